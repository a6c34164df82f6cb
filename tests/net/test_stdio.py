"""Pipes of the system's, as connections."""

import io
import os
import time

import pytest

import grt
from grt.net import FDConn
from tests.goroutines import blocked


@pytest.fixture
def ends():
    reader, writer = grt.os_pipe()
    with reader, writer:
        yield reader, writer


def test_an_abort_closes_it_and_it_has_no_socket():
    reader, writer = grt.os_pipe()
    with reader:
        with pytest.raises(io.UnsupportedOperation, match=r"fd \d+ is no socket"):
            writer.raw  # noqa: B018
        writer.abort()
        assert writer.closed and reader.read() == b""


def test_what_is_written_is_read_by_every_way_of_reading(ends):
    reader, writer = ends
    writer.write(b"a line\nexactly then the rest")
    writer.writev([b"!", bytearray(b"?")])
    assert reader.read_line() == b"a line\n" and reader.read_exactly(7) == b"exactly"
    assert reader.peek(5) == b" then" and reader.read() == b" then the rest!?"


def test_more_than_a_pipe_holds_is_written_whole(ends):
    reader, writer = ends
    data = os.urandom(1 << 20)
    writing = grt.go(writer.write, data)
    assert reader.read_exactly(len(data)) == data
    writing.result()


def test_a_closed_end_is_the_end_of_the_stream_or_a_broken_pipe(ends):
    reader, writer = ends
    writer.close()
    assert reader.read() == b""
    reader, writer = grt.os_pipe()
    reader.close()
    with writer, pytest.raises(BrokenPipeError):
        writer.write(b"x")


def test_a_wait_ends_by_deadline_cancellation_and_close(ends):
    reader, _ = ends
    reader.set_read_deadline(time.monotonic() + 0.01)
    with pytest.raises(TimeoutError, match=r"fd \d+: the read deadline"):
        reader.read()
    reader.set_read_deadline(None)
    waiting = blocked(reader.read)
    waiting.cancel()
    with pytest.raises(grt.Cancelled):
        waiting.result()
    waiting = blocked(reader.read)
    reader.close()
    with pytest.raises(grt.Closed):
        waiting.result()


def test_it_has_one_direction(ends):
    _, writer = ends
    with pytest.raises(io.UnsupportedOperation, match="one direction"):
        writer.close_write()
    assert repr(writer) == f"<grt.Conn fd {writer.fileno()}>" and writer.try_write(b"x") == 1


def test_a_file_is_sent_through_it(ends, tmp_path):
    reader, writer = ends
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    with (tmp_path / "file").open("rb") as file:
        assert writer.send_file(file) == 10_000
    assert reader.read_exactly(10_000) == b"x" * 10_000


def test_a_regular_file_cannot_be_waited_for(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with FDConn(fd) as conn:
        conn.write(b"x")  # it never has to wait
        assert conn.read() == b""
