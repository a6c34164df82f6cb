"""Program files as VMs."""

import pytest

import grt


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


PRODUCER = """
import grt
(channel,) = grt.vm.args
for i in range(5):
    channel.send(i)
channel.close()
"""

CONSUMER = """
import sys
import grt
import helper
channel, out = grt.vm.args
assert __name__ == "__main__" and sys.argv == [__file__]
for i in channel:
    out.send(helper.square(i))
out.close()
"""


def test_two_programs_and_a_channel(tmp_path):
    write(tmp_path, "helper.py", "def square(x):\n    return x * x\n")
    channel, out = grt.chan(), grt.chan(1)
    consumer = grt.vm.task(write(tmp_path, "consumer.py", CONSUMER), channel, out)
    producer = grt.vm.task(str(write(tmp_path, "producer.py", PRODUCER)), channel)
    assert list(out) == [0, 1, 4, 9, 16]
    producer.result()
    consumer.result()


def test_what_a_program_raises_is_raised(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        grt.vm.task(write(tmp_path, "bad.py", "1 / 0\n")).result()
    assert "bad.py" in str(caught.value.__cause__)


@pytest.mark.parametrize("status", ["", "0", "None"])
def test_a_program_that_ends_by_exit_ends_itself_alone(tmp_path, status):
    path = write(tmp_path, "ends.py", f"import sys\nsys.exit({status})\n")
    assert grt.vm.task(path).result() is None
    unasked = grt.vm.task(path)
    unasked.join()
    grt.sleep(0.01)


@pytest.mark.parametrize("status", ["3", "'text'"])
def test_what_a_program_exits_with_is_told(tmp_path, status):
    path = write(tmp_path, "ends.py", f"import sys\nsys.exit({status})\n")
    with pytest.raises(grt.vm.RemoteError, match=rf"ends\.py has ended by sys\.exit\({status}\)"):
        grt.vm.task(path).result()
    grt.sleep(0.01)


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such program.*missing\.py"):
        grt.vm.task(tmp_path / "missing.py")


def test_a_program_is_cancelled(tmp_path):
    started = grt.chan()
    path = write(tmp_path, "waits.py", "import grt\ngrt.vm.args[0].send('started')\ngrt.select()\n")
    g = grt.vm.task(path, started)
    assert started.recv() == "started"
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()
