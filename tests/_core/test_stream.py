"""Reading up to a mark, from one stream by many, and deadlines: what holds beneath every kind of connection."""

import contextlib
import socket
import threading
import time

import pytest

import grt
from grt._core.stream import Layered, Stream
from tests.goroutines import blocked, end


@pytest.fixture
def ends():
    """A Stream and the socket at its other end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    stream = Stream(near.detach())
    yield stream, far
    stream.close()
    far.close()


# -- misuse


def test_text_is_not_written(ends):
    stream, far = ends
    with pytest.raises(TypeError, match=r"a bytes-like object is written, not str: .* 'spam'.encode\(\)"):
        stream.write("spam")
    stream.write(b"eggs")
    assert far.recv(9) == b"eggs"


def test_a_deadline_that_is_no_number_is_named(ends):
    stream, _ = ends
    with pytest.raises(TypeError, match=r"a moment of time.monotonic or None, not '3'"):
        stream.set_deadline("3")


# -- up to a mark


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"--boundary--"])
def test_a_delimiter_is_found_wherever_the_pieces_are_cut(ends, delimiter):
    stream, far = ends
    message = b"some text" + delimiter
    for cut in range(len(message) + 1):
        reading = grt.go(stream.read_until, delimiter)
        for piece in (message[:cut], message[cut:] + b"rest"):
            far.sendall(piece)
            grt.sleep(0)
            grt.gosched()
        assert reading.result() == message and stream.buffered == 4
        assert stream.read() == b"rest"


def test_a_delimiter_of_nothing_is_refused(ends):
    stream, far = ends
    with pytest.raises(ValueError, match="the delimiter is empty"):
        stream.read_until(b"")
    far.sendall(b"x")
    assert stream.read() == b"x"


@pytest.mark.parametrize("limit", [3, 4])
def test_the_limit_counts_the_delimiter(ends, limit):
    stream, far = ends
    far.sendall(b"abc\n")
    if limit == 4:
        assert stream.read_until(b"\n", limit) == b"abc\n"
    else:
        with pytest.raises(grt.TooLong):
            stream.read_until(b"\n", limit)
        assert stream.read_until(b"\n") == b"abc\n"


def test_a_line_that_never_ends_is_given_up_before_memory_is(ends):
    stream, far = ends
    reading = grt.go(stream.read_line)
    far.setblocking(False)
    chunk, sent = b"x" * 10_000, 0
    while not reading.done:
        with contextlib.suppress(BlockingIOError):
            sent += far.send(chunk)
        grt.gosched()
    with pytest.raises(grt.TooLong):
        reading.result()
    assert stream.buffered <= 65536 * 2 and sent < 1_000_000


def test_many_lines_in_one_piece_are_not_copied_for_each(ends):
    stream, far = ends
    far.sendall(b"a line\n" * 9000)
    stream.peek(7 * 9000)
    count = 0
    while stream.buffered:
        assert stream.read_line() == b"a line\n"
        count += 1
    assert count == 9000


def test_exactly_none_and_less_than_none(ends):
    stream, _ = ends
    assert stream.read_exactly(0) == stream.peek(0) == b""
    for read in (stream.read_exactly, stream.peek):
        with pytest.raises(ValueError, match="must not be negative"):
            read(-1)


def test_a_large_read_takes_what_was_buffered_first(ends):
    stream, far = ends
    far.sendall(b"head\n" + b"x" * 50_000)
    assert stream.read_line() == b"head\n"
    reading = grt.go(stream.read_exactly, 100_000)
    grt.gosched()
    far.sendall(b"y" * 50_000)
    assert reading.result() == b"x" * 50_000 + b"y" * 50_000


def test_who_reads_to_a_mark_gets_bytes_in_a_row_though_others_read_too(ends):
    stream, far = ends
    readers = [blocked(stream.read_exactly, 6) for _ in range(3)]
    for piece in (b"12", b"3456ab", b"cdefABCDE", b"F"):
        far.sendall(piece)
        grt.sleep(0.001)
    assert [g.result() for g in readers] == [b"123456", b"abcdef", b"ABCDEF"]


def test_a_cancelled_read_to_a_mark_leaves_what_it_had_to_the_next(ends):
    stream, far = ends
    first, second = blocked(stream.read_exactly, 10), blocked(stream.read_exactly, 10)
    far.sendall(b"01234")
    grt.sleep(0.001)
    first.cancel()
    grt.gosched()
    far.sendall(b"56789")
    assert second.result() == b"0123456789"


def test_read_into_takes_what_was_buffered_first(ends):
    stream, far = ends
    far.sendall(b"line\nrest")
    stream.read_line()
    with pytest.raises(TypeError, match="read-only"):
        stream.read_into(b"??")
    buffer = bytearray(2)
    assert stream.read_into(buffer) == 2 and buffer == b"re"
    assert stream.read() == b"st"


def test_idle_is_who_waits_for_a_first_byte(ends):
    stream, far = ends
    assert not stream.idle
    reading = blocked(stream.read_line)
    assert stream.idle
    far.sendall(b"a")
    grt.sleep(0.001)
    assert not stream.idle and not reading.done
    far.sendall(b"\n")
    assert reading.result() == b"a\n" and not stream.idle


# -- deadlines


def test_a_deadline_that_is_set_for_each_read_does_not_touch_the_timers(ends):
    stream, far = ends
    timers = grt.current_loop().timers
    moved = []
    for _ in range(100):
        stream.set_read_deadline(time.monotonic() + 60)
        reading = blocked(stream.read)
        moved.append(len(timers))
        far.sendall(b"x")
        reading.result()
    assert set(moved) == {1}
    stream.close()
    assert len(timers) == 0


def test_a_deadline_that_was_moved_away_is_looked_at_again_when_the_old_one_comes(ends):
    stream, _ = ends
    began = time.monotonic()
    stream.set_read_deadline(began + 0.01)
    reading = blocked(stream.read)
    for step in range(2, 6):
        stream.set_read_deadline(began + 0.01 * step)
    with pytest.raises(TimeoutError):
        reading.result()
    assert time.monotonic() >= began + 0.05


def test_a_deadline_that_is_taken_away_ends_nothing(ends):
    stream, far = ends
    stream.set_deadline(time.monotonic() + 0.01)
    reading = blocked(stream.read)
    stream.set_deadline(None)
    grt.sleep(0.03)
    far.sendall(b"x")
    assert reading.result() == b"x"


def test_the_earlier_of_a_deadline_and_a_scope_counts(ends):
    stream, _ = ends
    stream.set_deadline(time.monotonic() + 60)
    with pytest.raises(TimeoutError, match=r"grt\.timeout"), grt.timeout(0.01):
        stream.read()
    stream.set_deadline(time.monotonic() + 0.01)
    with pytest.raises(TimeoutError, match="the read deadline has passed"), grt.timeout(60):
        stream.read()


def test_those_who_queue_are_ended_too(ends):
    stream, _ = ends
    readers = [blocked(stream.read) for _ in range(3)]
    stream.set_read_deadline(time.monotonic() + 0.01)
    for g in readers:
        with pytest.raises(TimeoutError):
            g.result()


def test_an_accept_has_a_deadline_and_goes_on_after_it():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        listener.set_deadline(time.monotonic() + 0.01)
        with pytest.raises(TimeoutError, match="the read deadline has passed"):
            listener.accept()
        listener.set_deadline(None)
        with grt.dial("tcp", listener.addr), listener.accept():
            pass


def test_a_deadline_far_away_keeps_nothing_of_a_connection_that_was_closed(ends):
    stream, _ = ends
    stream.set_deadline(time.monotonic() + 1e6)
    reading = blocked(stream.read)
    assert len(grt.current_loop().timers) == 1
    stream.close()
    with pytest.raises(grt.Closed):
        reading.result()
    assert len(grt.current_loop().timers) == 0


def test_another_thread_that_closes_takes_the_deadline_out_of_this_ones_timers(ends):
    stream, _ = ends
    stream.set_deadline(time.monotonic() + 1e6)
    reading = blocked(stream.read)
    thread = threading.Thread(target=stream.close)
    thread.start()
    with pytest.raises(grt.Closed):
        reading.result()
    thread.join()
    grt.sleep(0.001)
    assert len(grt.current_loop().timers) == 0


# -- what has no descriptor


class Source(Layered):
    """Gives what it was given, and takes what it is."""

    __slots__ = ("given", "taken")

    def __init__(self, *given):
        super().__init__(-1)
        self.given = list(given)
        self.taken = []

    def pull(self, size):
        if not self.given:
            return None
        found = self.given.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    def push(self, data):
        self.taken.append(bytes(data[:3]))
        return min(len(data), 3)


def test_what_is_pulled_is_read_and_an_error_is_raised_once():
    source = Source(b"one\ntw", b"o\n", ValueError("spam"), b"last", b"")
    assert [source.read_line(), source.read_line()] == [b"one\n", b"two\n"]
    with pytest.raises(ValueError, match="spam"):
        source.read()
    assert source.read() == b"last" and source.read() == b""
    reading = blocked(source.read)
    end(reading)
    source.close()


def test_what_is_written_is_pushed_until_all_is_taken():
    source = Source()
    source.write(b"abcdefgh")
    assert source.taken == [b"abc", b"def", b"gh"]
    source.close()
