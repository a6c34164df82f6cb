"""A connection in memory: what it has that others have not; the rest is in test_conformance."""

import errno
import gc
import io
import os
import time

import pytest

import grt
from grt.testing import bubble
from tests.child import run_program


def test_it_says_what_it_is_and_has_no_descriptor():
    near, far = grt.pipe()
    with near, far:
        assert repr(near) == "<grt.Conn pipe near->far>" and near.remote_addr == far.local_addr == "far"
        assert near.fileno() == -1
        with pytest.raises(io.UnsupportedOperation, match="has no descriptor"):
            near.raw  # noqa: B018
    assert repr(near) == "<grt.Conn pipe near->far closed>"


def test_what_is_written_before_a_close_is_read_after_it():
    near, far = grt.pipe()
    near.write(b"last")
    near.close()
    assert far.read() == b"last" and far.read() == b""
    far.close()


def test_nobody_reads_any_more():
    near, far = grt.pipe()
    far.close()
    with near, pytest.raises(BrokenPipeError, match="pipe near->far") as broken:
        near.write(b"x")
    assert broken.value.errno == errno.EPIPE


def test_abort_drops_what_was_not_read():
    near, far = grt.pipe()
    near.write(b"lost")
    near.abort()
    with far:
        assert far.read() == b""


def test_its_time_is_virtual_in_a_bubble():
    began = time.monotonic()
    with bubble():
        near, far = grt.pipe()
        with near, far:
            near.set_read_deadline(time.monotonic() + 3600)
            with pytest.raises(TimeoutError):
                near.read()
            grt.after_func(60, far.write, b"x")
            near.set_read_deadline(None)
            assert near.read() == b"x"
    assert time.monotonic() - began < 60


def test_a_deadlock_on_it_is_found():
    status, _, err = run_program("import grt; near, far = grt.pipe(); near.read()")
    assert status == 1 and "grt.Deadlock" in err and "<grt.Conn pipe near->far>" in err


def test_two_ends_that_nobody_refers_to_are_told_of_and_go():
    grt.pipe()
    with pytest.warns(ResourceWarning, match="unclosed <grt.Conn pipe"):
        gc.collect()


def test_nothing_is_lost_to_a_buffer_that_cannot_be_changed():
    near, far = grt.pipe()
    with near, far:
        near.write(b"hello")
        with pytest.raises(TypeError, match="read-only"):
            far.read_into(b"??")
        assert far.read() == b"hello"


def test_a_file_cannot_be_read_again_after_a_deadline():
    """What its buffer had of the line is lost: that must not pass unnoticed."""
    near, far = grt.pipe()
    with near, far:
        file = near.makefile("rb")
        far.write(b"par")
        near.set_read_deadline(time.monotonic() + 0.01)
        with pytest.raises(TimeoutError):
            file.readline()
        near.set_read_deadline(None)
        far.write(b"tial\n")
        with pytest.raises(OSError, match="in the midst of a read"):
            file.readline()
        file.close()


def test_a_pipe_is_sent_as_a_file():
    near, far = grt.pipe()
    reader, writer = os.pipe()
    os.write(writer, b"hello")
    os.close(writer)
    with near, far, open(reader, "rb") as file:
        assert near.send_file(file) == 5 and far.read() == b"hello"


@pytest.mark.parametrize("ends", [grt.pipe, grt.os_pipe])
def test_no_write_is_tried_once_it_is_closed(ends):
    near, far = ends()
    near.close()
    far.close()
    with pytest.raises(grt.Closed):
        near.try_write(b"x")
    with pytest.raises(grt.Closed):
        far.try_write(b"x")
