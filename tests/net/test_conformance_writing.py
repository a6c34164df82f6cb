"""What every connection promises of whole writes, of files, and of half a close."""

import io
import sys
import time

import pytest

import grt
from tests.goroutines import LOCKS_HELD, blocked
from tests.net.test_conformance import drain, everything

LENGTH = 8 << 20  # bytes: more than any connection holds


def late_writes(file, conn, data):
    """Writes data by file, and goes on after each deadline that has passed."""
    conn.set_write_deadline(time.monotonic() + 0.01)
    late = 0
    write, data = file.write, (data,)
    while True:
        try:
            write(*data)
            if write == file.flush:
                return late
        except TimeoutError:
            late += 1
            conn.set_write_deadline(time.monotonic() + 0.01)
        write, data = file.flush, ()


@pytest.mark.skipif(LOCKS_HELD, reason="this greenlet switches with the interpreter's locks held")
def test_a_file_over_it_sends_nothing_twice_after_a_deadline(ends):
    near, far = ends
    file = near.makefile("wb", LENGTH + 1)
    data = bytes(range(256)) * (LENGTH // 256)
    writing = grt.go(late_writes, file, near, data)
    grt.sleep(0.05)  # a deadline or two
    received = far.read_exactly(LENGTH)
    assert writing.result() > 0
    near.set_write_deadline(None)
    file.close()
    near.close_write()
    assert received == data and far.read() == b""


@pytest.mark.skipif(LOCKS_HELD, reason="this greenlet switches with the interpreter's locks held")
def test_a_cancellation_of_a_write_by_a_file_is_not_lost(ends):
    near, _ = ends

    def write(file):
        file.write(bytes(LENGTH))
        grt.sleep(0)

    for buffering in (0, -1):
        writing = blocked(write, near.makefile("wb", buffering))
        writing.cancel()
        with pytest.raises(grt.Cancelled):
            writing.result()
    near.abort()


def test_half_a_close_waits_for_the_write_before_it(ends):
    near, far = ends
    writing = blocked(near.write, bytes(LENGTH))
    closing = blocked(near.close_write)
    assert drain(far) == LENGTH
    writing.result()
    closing.result()


def test_half_a_close_does_not_mind_a_write_deadline_that_has_passed(ends):
    near, far = ends
    near.write(b"all")
    near.set_write_deadline(time.monotonic() - 1)
    near.close_write()
    assert everything(far) == b"all"


@pytest.mark.parametrize("in_memory", [False, True])
def test_nothing_gets_into_the_midst_of_a_file(ends, tmp_path, in_memory):
    near, far = ends
    (tmp_path / "file").write_bytes(bytes(LENGTH))
    with io.BytesIO(bytes(LENGTH)) if in_memory else (tmp_path / "file").open("rb") as file:
        sending = blocked(near.send_file, file)
        writing = blocked(near.write, b"behind it")
        assert far.read_exactly(LENGTH) == bytes(LENGTH)
        assert sending.result() == LENGTH and far.read_exactly(9) == b"behind it"
        writing.result()


def test_what_comes_out_of_a_pipe_is_sent_as_a_file(ends):
    near, far = ends
    with grt.subprocess.Popen(["echo", "hello"], stdout=-1) as program:
        assert near.send_file(program.stdout) == 6 and far.read_exactly(6) == b"hello\n"


@pytest.mark.parametrize("call", ["read_exactly", "read_until", "read_line", "peek"])
def test_a_connection_is_not_idle_in_the_midst_of_what_is_read(ends, call):
    near, far = ends
    near.write(b"x")
    assert far.read() == b"x"  # the handshake is over
    arguments = [b"!"] if call == "read_until" else [] if call == "read_line" else [10]
    reading = blocked(getattr(far, call), *arguments)
    while not far.idle:
        grt.sleep(0.001)
    near.write(b"hel")
    while far.idle:
        grt.sleep(0.001)
    near.write(b"lo you!!!!\n")
    assert reading.result().startswith(b"hello you!")


@pytest.mark.parametrize("limit", [sys.maxsize, 1 << 40])
def test_the_last_line_may_have_any_limit_and_any_size(ends, limit):
    near, far = ends
    near.write(b"first\nlast")
    near.close_write()
    assert far.read_line() == b"first\n" and far.peek(limit) == b"last"
    assert far.read_line(limit) == b"last" and far.read_line(limit) == b""
    with pytest.raises(EOFError):
        far.read_until(b"x", limit)
