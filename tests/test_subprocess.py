"""Programs: what they print, how they end, and that nothing of them is left."""

import gc
import os
import signal
import sys
import time
from typing import Any

import pytest

import grt
from grt.subprocess import DEVNULL, PIPE, STDOUT, CalledProcessError, Popen, TimeoutExpired, run
from tests.child import child_processes
from tests.goroutines import living

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def nothing_left():
    before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    children = child_processes()
    yield
    grt.sleep(0.001)
    assert len(living()) == 1
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 3  # a loop's own, made meanwhile
    assert child_processes() == children


def test_what_a_program_prints_and_how_it_ends():
    done = run(
        [PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"], capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert run(["true"]).stdout is None


def test_text_goes_in_and_out():
    assert run(["cat"], input="größer\r\n", text=True, encoding="utf-8", capture_output=True).stdout == "größer\n"
    assert run("echo $SPAM", shell=True, env={"SPAM": "eggs"}, stdout=PIPE, text=True).stdout == "eggs\n"


def test_much_goes_in_and_out_at_once():
    data = os.urandom(3_000_000)
    assert run(["cat"], input=data, stdout=PIPE).stdout == data


def test_a_program_that_does_not_want_its_input_is_no_error():
    assert run(["true"], input=bytes(1_000_000)).returncode == 0


def test_stderr_may_go_where_stdout_goes_or_nowhere():
    program = [PYTHON, "-c", "import os; os.write(1, b'a'); os.write(2, b'b')"]
    assert run(program, stdout=PIPE, stderr=STDOUT).stdout == b"ab"
    assert run(program, stdout=PIPE, stderr=DEVNULL).stdout == b"a"


def test_an_input_of_the_wrong_kind_is_told_before_anything_is_waited_for():
    for options, wrong in (({}, "text"), ({"text": True}, b"bytes")):
        with pytest.raises(TypeError, match=f"the input of a program is .*: not {wrong!r}"):
            run(["sleep", "600"], input=wrong, stdout=PIPE, **options)


def test_a_communication_leaves_nothing_open():
    process = Popen(["cat"], stdin=PIPE, stdout=PIPE)
    before = len(os.listdir("/dev/fd"))
    assert process.communicate(b"spam") == (b"spam", None)
    assert process.stdin.closed and process.stdout.closed and len(os.listdir("/dev/fd")) < before
    process = Popen(["true"])
    while process.poll() is None:
        grt.sleep(0.001)
    assert process.wait() == 0
    assert process._exit is None or process._exit.closed


def test_a_block_that_is_left_by_a_timeout_of_communicate_reports_nothing(monkeypatch):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)
    with pytest.raises(TimeoutExpired), Popen(["sleep", "0.2"], stdin=PIPE, stdout=PIPE) as process:
        process.communicate(bytes(1_000_000), timeout=0.05)
    grt.sleep(0.001)
    del process
    gc.collect()
    assert not reported


def test_who_closes_the_pipes_of_a_communication_ends_it(monkeypatch):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)
    process = Popen(["sleep", "0.2"], stdin=PIPE, stdout=PIPE)
    with pytest.raises(TimeoutExpired):
        process.communicate(bytes(1_000_000), timeout=0.05)
    process.stdout.close()
    process.stdin.close()
    assert process.wait() == 0 and process.communicate() == (b"", None)
    del process
    gc.collect()
    assert not reported


def test_check_raises_with_all_that_is_known():
    with pytest.raises(CalledProcessError) as failed:
        run([PYTHON, "-c", "print('said'); raise SystemExit(2)"], check=True, capture_output=True)
    assert (failed.value.returncode, failed.value.stdout) == (2, b"said\n")
    assert grt.subprocess.call(["false"]) == 1 and grt.subprocess.check_call(["true"]) == 0
    assert grt.subprocess.check_output(["echo", "x"]) == b"x\n"


def test_others_run_meanwhile():
    ticks = []

    def tick():
        for _ in range(5):
            grt.sleep(0.001)
            ticks.append(1)

    ticking = grt.go(tick)
    run(["sleep", "0.2"])
    assert ticking.done


def test_a_program_that_takes_too_long_is_killed_and_what_it_said_is_kept():
    began = time.monotonic()
    with pytest.raises(TimeoutExpired, match=r"timed out after 0\.3 seconds") as expired:
        run([PYTHON, "-c", "import time; print('early', flush=True); time.sleep(60)"], stdout=PIPE, timeout=0.3)
    assert expired.value.stdout in (b"early\n", b"") and time.monotonic() - began < 50


def test_the_programs_of_one_that_takes_too_long_are_not_waited_for(tmp_path):
    pid, program = tmp_path / "pid", "echo early; sleep 300 & echo $! > $0; wait"
    with pytest.raises(TimeoutExpired) as expired:
        run(["sh", "-c", program, pid], capture_output=True, text=True, timeout=1)
    said: Any = expired.value
    assert said.stdout in ("early\n", "") and said.stderr == ""
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)  # it still runs


def test_the_end_of_a_scope_or_a_cancellation_kills_it():
    with pytest.raises(TimeoutError), grt.timeout(0.05):
        run(["sleep", "60"], capture_output=True)
    running = grt.go(run, ["sleep", "60"], stdout=PIPE, input=b"x")
    grt.sleep(0.01)
    running.cancel()
    with pytest.raises(grt.Cancelled):
        running.result()


def test_a_conversation():
    with Popen(["cat"], stdin=PIPE, stdout=PIPE) as cat:
        for number in range(3):
            cat.stdin.write(b"%d\n" % number)
            assert cat.stdout.read_line() == b"%d\n" % number
        assert cat.poll() is None and cat.returncode is None and "running" in repr(cat)
        cat.stdin.close()
        assert cat.stdout.read() == b"" and cat.wait() == 0
    assert cat.returncode == 0 and "ended with 0" in repr(cat)


def test_a_conversation_in_text():
    with Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as cat:
        cat.stdin.write("spam\n")
        assert cat.stdout.readline() == "spam\n"
        cat.stdin.close()


def test_a_file_of_text_closes_the_pipe_with_what_it_holds():
    with Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as cat:
        cat.stdin.write("no newline")
        cat.stdin.close()
        assert cat.stdout.read() == "no newline"
    cat = Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True)
    cat.stdin.write("be")
    assert cat.communicate("gun\n") == ("begun\n", None)
    cat.__exit__()


def test_the_end_of_a_block_writes_what_a_file_of_text_holds(tmp_path):
    said = tmp_path / "said"
    with Popen(["sh", "-c", 'cat > "$0"', said], stdin=PIPE, text=True) as cat:
        cat.stdin.write("no newline")
    assert said.read_text() == "no newline"


def test_wait_has_a_timeout_and_several_may_wait():
    with Popen(["sleep", "60"]) as sleeping:
        with pytest.raises(TimeoutExpired):
            sleeping.wait(0.01)
        waiting = [grt.go(sleeping.wait) for _ in range(2)]
        grt.sleep(0.01)
        sleeping.terminate()
        assert [g.result() for g in waiting] == [-signal.SIGTERM] * 2
        sleeping.kill()  # it has ended: nothing is signalled


def test_communicate_goes_on_after_a_timeout_and_loses_nothing():
    program = "import sys, time; print('one', flush=True); time.sleep(0.3); print(sys.stdin.read())"
    process = Popen([PYTHON, "-c", program], stdin=PIPE, stdout=PIPE)
    with process:
        with pytest.raises(TimeoutExpired) as expired:
            process.communicate(b"two", timeout=0.01)
        assert expired.value.stdout in (b"one\n", b"one", b"") and expired.value.stderr is None
        assert process.communicate() == (b"one\ntwo\n", None)


def test_what_cannot_be_run_raises_and_leaves_nothing():
    for _ in range(3):
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            run(["no-such-program"], capture_output=True, input=b"x")
    with pytest.raises(ValueError, match="input and stdin"):
        run(["true"], input=b"x", stdin=DEVNULL)
    with pytest.raises(ValueError, match="capture_output"):
        run(["true"], capture_output=True, stdout=PIPE)


def test_a_hundred_at_once():
    with grt.group() as group:
        running = [group.go(run, ["echo", f"{number}"], stdout=PIPE, text=True) for number in range(100)]
    assert [g.result().stdout for g in running] == [f"{number}\n" for number in range(100)]
