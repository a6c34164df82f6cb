"""What every connection promises, whatever carries it: after the suite that Go has for its net.Conn."""

import random
import threading
import time
from typing import Any

import pytest

import grt
from tests.goroutines import blocked
from tests.net.conftest import GENEROUS


def fill(conn):
    """Writes for ever."""
    while True:
        conn.write(bytes(65536))


def sent_of(caught: Any) -> int:
    sent: int = caught.value.sent
    return sent


def partial_of(caught: Any) -> bytes:
    partial: bytes = caught.value.partial
    return partial


def everything(conn):
    received = bytearray()
    for data in conn:
        received += data
    return received


def drain(conn):
    return len(everything(conn))


# -- bytes


def test_all_that_is_written_arrives_in_order(ends):
    near, far = ends
    data = random.Random(1).randbytes(3 << 20)

    def write():
        rng = random.Random(2)
        at = 0
        while at < len(data):
            size = rng.randrange(1, 300_000)
            near.write(data[at : at + size])
            at += size
        near.close_write()

    writing = grt.go(write)
    assert everything(far) == data
    writing.result()


def test_both_sides_write_at_once(ends):
    near, far = ends
    data = bytes(1 << 20)

    def exchange(conn):
        writing = grt.go(lambda: (conn.write(data), conn.close_write()))
        count = drain(conn)
        writing.result()
        return count

    there, back = grt.go(exchange, near), grt.go(exchange, far)
    assert there.result() == back.result() == len(data)


def test_ping_pong(ends):
    near, far = ends

    def pong():
        for data in far:
            far.write(data)
        far.close_write()

    ponging = grt.go(pong)
    for number in range(200):
        near.write(b"%08d" % number)
        assert near.read_exactly(8) == b"%08d" % number
    near.close_write()
    assert near.read() == b""
    ponging.result()


def test_buffers_of_every_kind_are_written_and_read_into(ends):
    near, far = ends
    near.write(bytearray(b"abc"))
    near.write(memoryview(b"xdefx")[1:4])
    near.writev([b"g", bytearray(b"h"), b"", memoryview(b"i")])
    assert far.read_exactly(9) == b"abcdefghi"
    buffer = bytearray(4)
    near.write(b"jklm")
    count = far.read_into(memoryview(buffer)[1:])
    assert bytes(buffer[1 : 1 + count]) == b"jkl"[:count]


def test_one_goroutine_reads_lines_and_another_writes_them_in_pieces(ends):
    near, far = ends
    text = b"".join(b"line %d\n" % number for number in range(1000))

    def write():
        for at in range(0, len(text), 7):
            near.write(text[at : at + 7])
        near.close_write()

    writing = grt.go(write)
    lines = []
    while line := far.read_line():
        lines.append(line)
    writing.result()
    assert lines == text.splitlines(keepends=True)


def test_what_a_call_leaves_the_next_one_gets(ends):
    near, far = ends
    near.write(b"GET /\r\nbody:12345rest\nlast")
    near.close_write()
    assert far.peek(3) == b"GET"
    assert far.read_until(b"\r\n") == b"GET /\r\n"
    assert far.read_until(b":") == b"body:"
    assert far.read_exactly(5) == b"12345"
    assert far.read_line() == b"rest\n"
    assert far.peek(100) == b"last"
    assert far.read_line() == b"last"
    assert far.read_line() == far.read() == far.peek() == b""


def test_a_line_that_is_too_long_is_refused_and_kept(ends):
    near, far = ends
    near.write(b"x" * 1000 + b"\n")
    with pytest.raises(grt.TooLong, match=r"no b'\\n' in the first 100 bytes"):
        far.read_line(100)
    with pytest.raises(grt.TooLong):
        far.read_until(b"\n", 1000)
    assert far.read_until(b"\n", 1001) == b"x" * 1000 + b"\n"


def test_a_stream_that_ends_too_soon_says_what_came(ends):
    near, far = ends
    near.write(b"half")
    near.close_write()
    with pytest.raises(EOFError, match="4 of 10 bytes") as ended:
        far.read_exactly(10)
    assert partial_of(ended) == b"half"
    with pytest.raises(EOFError, match="before the") as ended:
        far.read_until(b"\n")
    assert partial_of(ended) == b""


def test_a_file_over_it_reads_and_writes_text(ends):
    near, far = ends
    with near.makefile("w", encoding="utf-8", newline="\n") as file:
        file.write("größer\nзаря\n")
    near.close_write()
    with far.makefile("r", encoding="utf-8") as file:
        assert file.readlines() == ["größer\n", "заря\n"]
    assert not near.closed and not far.closed


def test_a_file_is_sent(ends, tmp_path):
    near, far = ends
    data = random.Random(3).randbytes(1_000_000)
    (tmp_path / "file").write_bytes(data)
    reading = grt.go(everything, far)
    with (tmp_path / "file").open("rb") as file:
        assert near.send_file(file, 10, 500_000) == 500_000 and file.tell() == 500_010
        assert near.send_file(file, 999_990) == 10
    near.close_write()
    assert reading.result() == data[10:500_010] + data[999_990:]


# -- deadlines


def test_a_deadline_ends_a_read_that_waits_and_the_next(ends):
    near, _ = ends
    near.set_read_deadline(time.monotonic() + 0.02)
    for _ in range(2):
        with pytest.raises(TimeoutError, match="deadline has passed"):
            near.read()


def test_a_deadline_ends_a_write_that_waits_and_the_next(ends):
    near, _ = ends
    near.set_write_deadline(time.monotonic() + 0.02)
    for _ in range(2):
        with pytest.raises(TimeoutError, match="deadline has passed") as late:
            fill(near)
        assert sent_of(late) <= 65536


def test_a_deadline_that_has_passed_ends_a_read_at_once_though_there_is_data(ends):
    near, far = ends
    far.write(b"x")
    near.set_deadline(time.monotonic() - 1)
    with pytest.raises(TimeoutError):
        near.read()
    with pytest.raises(TimeoutError):
        near.write(b"y")
    near.set_deadline(None)
    assert near.read() == b"x"
    near.write(b"y")
    assert far.read() == b"y"


@pytest.mark.parametrize("moment", [0, 0.01])
def test_a_deadline_applies_to_calls_that_wait_already(ends, moment):
    near, _ = ends
    reading, writing = blocked(near.read), grt.go(fill, near)
    grt.sleep(0.01)
    near.set_deadline(time.monotonic() + moment)
    for g in (reading, writing):
        with pytest.raises(TimeoutError):
            g.result()


def test_a_deadline_of_reads_leaves_writes_alone_and_the_other_way_round(ends):
    near, far = ends
    near.set_read_deadline(time.monotonic() - 1)
    near.write(b"x")
    near.set_read_deadline(None)
    near.set_write_deadline(time.monotonic() - 1)
    far.write(b"y")
    assert near.read() == b"y" and far.read() == b"x"


def test_a_deadline_can_be_moved_away_while_a_call_waits(ends):
    near, far = ends
    near.set_read_deadline(time.monotonic() + 0.02)
    reading = blocked(near.read)
    near.set_read_deadline(time.monotonic() + GENEROUS)
    grt.sleep(0.05)
    assert not reading.done
    far.write(b"late")
    assert reading.result() == b"late"


def test_a_deadline_moved_forward_counts_from_then_on(ends):
    near, _ = ends
    near.set_read_deadline(time.monotonic() + GENEROUS)
    reading = blocked(near.read)
    near.set_read_deadline(time.monotonic() + 0.01)
    with pytest.raises(TimeoutError):
        reading.result()


def test_a_read_to_a_mark_that_times_out_loses_nothing(ends):
    near, far = ends
    for read in (lambda: near.read_exactly(10), lambda: near.read_until(b"!"), near.read_line, lambda: near.peek(10)):
        far.write(b"half ")
        near.set_read_deadline(time.monotonic() + 0.02)
        with pytest.raises(TimeoutError):
            read()
        near.set_read_deadline(None)
        far.write(b"more!\n")
        assert near.read_exactly(11) == b"half more!\n"


def test_a_stream_goes_on_where_a_write_was_cut_short(ends):
    near, far = ends
    data = random.Random(4).randbytes(40 << 20)
    near.set_write_deadline(time.monotonic() + 0.02)
    with pytest.raises(TimeoutError) as late:
        near.write(data)
    assert 0 < sent_of(late) < len(data)
    near.set_write_deadline(None)
    reading = grt.go(everything, far)
    near.write(data[sent_of(late) :])
    near.close_write()
    assert reading.result() == data


def test_what_a_write_that_was_cut_short_counts_as_sent_arrives_with_the_next_even_an_empty_one(ends):
    near, far = ends
    sent = 0
    near.set_write_deadline(time.monotonic() + 0.02)
    with pytest.raises(TimeoutError) as late:
        while True:
            near.write(bytes(1000))
            sent += 1000
    near.set_write_deadline(None)
    reading = grt.go(far.read_exactly, sent + sent_of(late))
    near.write(b"")
    assert reading.result() == bytes(sent + sent_of(late))


@pytest.mark.parametrize("wrong", [float("nan"), "soon"])
def test_what_is_no_moment_is_refused(ends, wrong):
    near, far = ends
    with pytest.raises((ValueError, TypeError)):
        near.set_deadline(wrong)
    far.write(b"x")
    assert near.read() == b"x"


# -- the end


def test_close_ends_all_calls_that_wait(ends):
    near, _ = ends
    waiting = [blocked(near.read), blocked(near.read), grt.go(fill, near), grt.go(fill, near)]
    grt.sleep(0.01)
    near.close()
    for g in waiting:
        with pytest.raises(grt.Closed):
            g.result()
    for call in (near.read, lambda: near.write(b"x"), near.close_write, lambda: near.peek(), near.read_line):
        with pytest.raises(grt.Closed):
            call()
    with pytest.raises(grt.Closed):
        near.set_deadline(None)
    near.close()


def test_a_peer_that_closes_is_the_end_of_the_stream(ends):
    near, far = ends
    far.write(b"last")
    far.close()
    assert near.read_exactly(4) == b"last" and near.read() == b""


def test_a_cancelled_read_leaves_the_connection_usable(ends):
    near, far = ends
    reading = blocked(near.read)
    reading.cancel()
    with pytest.raises(grt.Cancelled):
        reading.result()
    far.write(b"x")
    assert near.read() == b"x"


def test_after_half_a_close_the_other_half_goes_on(ends):
    near, far = ends
    near.write(b"question")
    near.close_write()
    assert far.read_exactly(8) == b"question" and far.read() == b""
    far.write(b"answer")
    assert near.read() == b"answer"


def test_nothing_is_written_after_half_a_close(ends):
    near, far = ends
    near.write(b"all")
    near.close_write()
    for call in (near.write, near.try_write, lambda data: near.writev([data])):
        with pytest.raises(BrokenPipeError):
            call(b"more")
    assert everything(far) == b"all"


def test_what_is_tried_is_not_put_into_the_midst_of_a_write(ends):
    near, far = ends
    near.set_deadline(time.monotonic() + GENEROUS)
    assert near.try_write(b"first") == 5
    writing = blocked(near.write, bytes(8 << 20))
    received, tried = bytearray(), near.try_write(b"x")
    assert tried == 0
    while len(received) < 5 + (8 << 20):
        received += far.read()
        tried += near.try_write(b"x")
    writing.result()
    near.close_write()
    assert received + everything(far) == b"first" + bytes(8 << 20) + b"x" * tried


def test_a_try_ends_where_there_is_no_more_room(ends):
    near, far = ends
    tried = 0
    while count := near.try_write(bytes(65536)):
        tried += count
    writing = grt.go(near.write, b"the end")
    assert far.read_exactly(tried + 7) == bytes(tried) + b"the end"
    writing.result()


# -- many at once


def test_reads_and_writes_of_many_goroutines_at_once(ends):
    near, far = ends

    def echo():
        for data in far:
            far.write(data)

    received = []

    def write():
        for _ in range(20):
            near.write(b"0123456789")
            grt.gosched()

    def read():
        for _ in range(20):
            received.append(near.read_exactly(10))

    echoing = grt.go(echo)
    with grt.group() as group:
        for _ in range(10):
            group.go(write)
            group.go(read)
    near.close_write()
    echoing.result()
    assert received == [b"0123456789"] * 200


def test_every_method_at_once_from_many_goroutines(ends):
    near, far = ends

    def use():
        for _ in range(10):
            near.set_deadline(time.monotonic() + 0.001)
            for call in (near.read, lambda: near.write(b"x"), lambda: near.read_exactly(2)):
                try:
                    call()
                except TimeoutError:
                    pass
            assert near.remote_addr is not None and near.local_addr is not None and repr(near)
            near.set_read_deadline(time.monotonic())
            near.set_write_deadline(time.monotonic() + 0.001)

    with grt.group() as group:
        for _ in range(20):
            group.go(use)
        group.go(far.write, b"y" * 100)


def test_another_thread_sets_the_deadline_and_closes(ends):
    near, _ = ends
    reading = blocked(near.read)
    thread = threading.Thread(target=lambda: near.set_read_deadline(time.monotonic() + 0.01))
    thread.start()
    with pytest.raises(TimeoutError):
        reading.result()
    thread.join()
    near.set_read_deadline(None)
    reading = blocked(near.read)
    thread = threading.Thread(target=near.close)
    thread.start()
    with pytest.raises(grt.Closed):
        reading.result()
    thread.join()
