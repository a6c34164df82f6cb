"""A connection between goroutines: what reading, writing and closing promise, over real sockets."""

import array
import errno
import gzip
import os
import socket
import threading

import pytest

import grt
from tests.goroutines import blocked


def read_all(conn):
    received = bytearray()
    for data in conn:
        received += data
    return received


def fill(conn):
    """Writes until it is cancelled or fails; returns how much has gone."""
    sent = 0
    chunk = bytes(1 << 20)
    while True:
        try:
            conn.write(chunk)
        except BaseException as error:
            return sent + error.sent, error  # type: ignore[attr-defined]
        sent += len(chunk)


# -- reading and writing


def test_what_is_written_is_read(pair):
    near, far = pair
    near.write(b"hello")
    assert far.read() == b"hello"
    far.write(b"you")
    assert near.read(2) + near.read() == b"you"


def test_read_returns_at_most_what_was_asked_for(pair):
    near, far = pair
    near.write(b"0123456789")
    assert [far.read(3), far.read(1), far.read(100)] == [b"012", b"3", b"456789"]


def test_read_waits_for_what_comes(pair):
    near, far = pair
    g = blocked(far.read)
    near.write(b"late")
    assert g.result() == b"late"


def test_reading_nothing_returns_at_once_and_a_negative_size_is_refused(pair):
    near, far = pair
    assert far.read(0) == b"" and far.read_exactly(0) == b"" and far.read_into(bytearray()) == 0
    near.write(b"x")
    grt.sleep(0.001)
    for read in (far.read, far.read_exactly):
        with pytest.raises(ValueError, match="must not be negative"):
            read(-1)
    assert far.read(0) == b""
    assert far.read() == b"x"


def test_read_into_fills_the_buffer_it_is_given(pair):
    near, far = pair
    near.write(b"abcdef")
    buffer = bytearray(4)
    assert far.read_into(buffer) == 4 and buffer == b"abcd"
    numbers = array.array("H", [0, 0])
    assert far.read_into(memoryview(numbers)[1:]) == 2 and numbers[1:].tobytes() == b"ef"
    near.close_write()
    assert far.read_into(buffer) == 0


def test_a_buffer_that_cannot_be_written_loses_nothing(pair):
    near, far = pair
    near.write(b"kept")
    with pytest.raises((BufferError, TypeError)):
        far.read_into(b"constant")
    assert far.read() == b"kept"


def test_read_exactly_waits_for_all_of_it(pair):
    near, far = pair
    g = blocked(far.read_exactly, 6)
    for part in (b"ab", b"cd", b"efgh"):
        near.write(part)
        grt.sleep(0.001)
    assert g.result() == b"abcdef" and far.read() == b"gh"


def test_read_exactly_tells_what_came_before_the_end(pair):
    near, far = pair
    near.write(b"abc")
    near.close_write()
    with pytest.raises(EOFError, match=r"tcp .* ended after 3 of 5 bytes") as caught:
        far.read_exactly(5)
    assert caught.value.partial == b"abc"  # type: ignore[attr-defined]


def test_iteration_yields_until_the_end_of_the_stream(pair):
    near, far = pair
    g = grt.go(read_all, far)
    for _ in range(10):
        near.write(b"x" * 1000)
        grt.gosched()
    near.close_write()
    assert g.result() == b"x" * 10_000


def test_the_end_of_the_stream_is_read_again_and_again(pair):
    near, far = pair
    near.write(b"last")
    near.close_write()
    assert [far.read(), far.read(), far.read()] == [b"last", b"", b""]


def test_after_a_half_close_the_other_direction_goes_on(pair):
    near, far = pair
    near.close_write()
    assert far.read() == b""
    g = grt.go(far.write, bytes(3_000_000))
    g.join()
    far.close_write()
    assert len(read_all(near)) == 3_000_000
    with pytest.raises(BrokenPipeError):
        near.write(b"x")


@pytest.mark.parametrize(
    "data", [b"bytes", bytearray(b"array"), memoryview(b"a view"), array.array("i", [1, 2, 3]), b""]
)
def test_anything_like_bytes_can_be_written(pair, data):
    near, far = pair
    near.write(data)
    near.close_write()
    assert read_all(far) == bytes(data)


@pytest.mark.parametrize("data", ["text", 3, None])
def test_anything_else_is_refused(pair, data):
    near, far = pair
    with pytest.raises(TypeError, match="bytes-like"):
        near.write(data)
    near.write(b"still fine")
    assert far.read() == b"still fine"


def test_a_large_write_comes_whole_and_in_order(pair):
    near, far = pair
    data = bytes(range(256)) * (1 << 15)
    g = grt.go(near.write, memoryview(data))
    assert far.read_exactly(len(data)) == data
    g.result()


def test_what_a_file_gives_is_sent_and_not_what_is_on_the_disk(pair, tmp_path):
    near, far = pair
    with gzip.open(tmp_path / "packed", "wb") as file:
        file.write(b"unpacked")
    with gzip.open(tmp_path / "packed") as file:
        assert near.send_file(file) == 8
    with (tmp_path / "new").open("w+b") as file:
        file.write(b", not flushed")
        assert near.send_file(file) == 13 and file.tell() == 13
    near.close_write()
    assert read_all(far) == b"unpacked, not flushed"


# -- errors


def test_a_reset_is_a_connection_reset_error_with_the_address(pair):
    near, far = pair
    near.abort()
    with pytest.raises(ConnectionResetError, match=str(near.remote_addr[1])) as caught:
        far.read()
    assert caught.value.errno == errno.ECONNRESET
    assert far.read() == b""  # it has been told, and is over


def test_a_reset_ends_a_blocked_reader_and_a_blocked_writer(pair):
    near, far = pair
    writer, reader = blocked(fill, far), blocked(far.read)
    near.abort()
    _, error = writer.result()
    ended = []
    try:
        ended.append(reader.result())
    except ConnectionResetError as reset:
        ended.append(reset)
    assert isinstance(error, ConnectionError) and len(ended) == 1


def test_writing_to_one_that_is_gone_is_a_broken_pipe(pair):
    near, far = pair
    far.abort()
    sent, error = fill(near)
    assert isinstance(error, ConnectionError) and str(near.remote_addr[1]) in str(error) and sent == 0
    with pytest.raises(BrokenPipeError):
        near.write(b"x")


# -- options


def test_small_writes_are_not_delayed_unless_that_is_wished(pair):
    for conn in pair:
        assert conn.raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        conn.set_no_delay(False)
        assert not conn.raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this system calls it otherwise")
def test_what_cannot_be_wrapped_is_closed(listener):
    def refuse(conn):
        raise ValueError(conn)

    listener.wrap = refuse
    with grt.dial("tcp", listener.addr) as near:
        with pytest.raises(ValueError, match="Conn tcp"):
            listener.accept()
        assert near.read() == b""


def test_silence_is_probed_after_as_many_seconds_as_are_said(pair):
    times = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL

    def probes(conn):
        wanted = conn.raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return [conn.raw.getsockopt(socket.IPPROTO_TCP, each) for each in times] if wanted else None

    for conn in pair:
        assert probes(conn) == [15, 15]
        conn.set_keepalive(60)
        assert probes(conn) == [60, 60]
        for wrong in (0, -1, "60"):
            with pytest.raises(ValueError, match=f"a number of seconds above 0, or None for never, not {wrong!r}"):
                conn.set_keepalive(wrong)
        for long in (40_000, float("inf")):
            with pytest.raises(ValueError, match=f"is 32767 seconds at most, or None for never, not {long!r}"):
                conn.set_keepalive(long)
        assert probes(conn) == [60, 60]
        conn.set_keepalive(0.1)
        assert probes(conn) == [1, 1]
        conn.set_keepalive(None)
        assert probes(conn) is None


def test_the_buffers_can_be_sized(pair):
    near, _ = pair
    near.set_read_buffer(50_000)
    near.set_write_buffer(60_000)
    assert near.raw.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 50_000
    assert near.raw.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 60_000


# -- closing


def test_close_wakes_a_blocked_reader(pair):
    _, far = pair
    g = blocked(far.read)
    far.close()
    with pytest.raises(grt.Closed, match=r"tcp 127\.0\.0\.1:\d+ is closed"):
        g.result()


def test_close_wakes_a_blocked_writer(pair):
    near, _ = pair
    g = blocked(fill, near)
    near.close()
    sent, error = g.result()
    assert isinstance(error, grt.Closed) and sent > 0


def test_close_wakes_those_who_queue(pair):
    _, far = pair
    goroutines = [blocked(far.read) for _ in range(5)] + [grt.go(fill, far) for _ in range(5)]
    grt.gosched()
    far.close()
    for g in goroutines[:5]:
        with pytest.raises(grt.Closed):
            g.result()
    assert [type(g.result()[1]) for g in goroutines[5:]] == [grt.Closed] * 5


def test_close_wakes_everyone_who_accepts(listener):
    goroutines = [blocked(listener.accept) for _ in range(3)]
    listener.close()
    for g in goroutines:
        with pytest.raises(grt.Closed, match=rf"tcp 127\.0\.0\.1:{listener.addr[1]} is closed"):
            g.result()


def test_closing_a_listener_ends_its_iteration(listener):
    def accept_all():
        for conn in listener:
            conn.close()
        return True

    g = blocked(accept_all)
    listener.close()
    assert g.result() is True


def test_closing_from_another_thread_wakes_too(pair):
    _, far = pair
    g = blocked(far.read)
    thread = threading.Thread(target=far.close)
    thread.start()
    with pytest.raises(grt.Closed):
        g.result()
    thread.join()


def test_what_is_closed_says_so(pair, listener):
    near, _ = pair
    near.close()
    near.close()
    for call in (near.read, near.close_write, lambda: near.write(b"x"), lambda: near.read_into(bytearray(1))):
        with pytest.raises(grt.Closed):
            call()
    assert near.closed and near.fileno() == -1


def test_what_was_written_before_close_arrives(pair):
    near, far = pair
    near.write(b"x" * 100_000)
    near.close()
    assert len(read_all(far)) == 100_000


def test_the_end_that_is_there_before_the_first_wait_is_never_missed(listener):
    """Data and FIN in one segment or two, before registration and after: each reader sees both, every time."""
    for number in range(3000):
        with socket.create_connection(listener.addr) as client, listener.accept() as conn:
            reader = grt.go(read_all, conn)
            if number & 1:
                grt.gosched()  # the reader waits, registered
            client.send(b"x")
            if number & 2:
                grt.gosched()
            client.shutdown(socket.SHUT_WR)
            assert reader.result() == b"x"


def test_the_end_behind_reads_of_every_size_is_never_missed(listener):
    def read_in(conn, size):
        received = 0
        while data := conn.read(size):
            received += len(data)
        return received

    for number in range(2000):
        with socket.create_connection(listener.addr) as client, listener.accept() as conn:
            reader = blocked(read_in, conn, 1 + number % 7)
            client.send(b"x" * (number % 5 + 1))
            if number % 3 == 0:
                grt.gosched()
            client.shutdown(socket.SHUT_WR)
            assert reader.result() == number % 5 + 1


# -- several goroutines on one connection


def test_two_writers_never_interleave(pair):
    near, far = pair
    size, each = 300_000, 5
    writers = [grt.go(lambda mark: [near.write(mark * size) for _ in range(each)], bytes([m])) for m in b"abc"]
    grt.gosched()
    for _ in range(each * len(writers)):
        message = far.read_exactly(size)
        assert message == message[:1] * size
        grt.gosched()
    for writer in writers:
        writer.result()


def test_readers_of_one_connection_get_every_byte_once(pair):
    near, far = pair
    readers = [grt.go(read_all, far) for _ in range(5)]
    data = os.urandom(200_000)
    for at in range(0, len(data), 1000):
        near.write(data[at : at + 1000])
        grt.gosched()
    near.close_write()
    assert sorted(b"".join(reader.result() for reader in readers)) == sorted(data)


def test_readers_take_turns_in_the_order_in_which_they_came(pair):
    near, far = pair
    readers = [blocked(far.read, 1) for _ in range(5)]
    near.write(b"01234")
    assert [reader.result() for reader in readers] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_reader_that_is_cancelled_in_the_queue_leaves_the_others_in_order(pair):
    near, far = pair
    readers = [blocked(far.read, 1) for _ in range(4)]
    readers[0].cancel()
    readers[2].cancel()
    near.write(b"13")
    assert [readers[1].result(), readers[3].result()] == [b"1", b"3"]
    readers[0].join()
    readers[2].join()


def test_a_cancelled_writer_tells_how_much_has_gone(pair):
    near, far = pair
    g = blocked(fill, near)
    g.cancel()
    sent, error = g.result()
    assert isinstance(error, grt.Cancelled)
    near.close_write()
    assert len(read_all(far)) == sent > 0


def test_a_writer_that_times_out_tells_how_much_has_gone(pair):
    near, far = pair
    data = bytes(50_000_000)
    with pytest.raises(TimeoutError) as caught, grt.timeout(0.1):
        near.write(data)
    near.close_write()
    assert len(read_all(far)) == caught.value.sent > 0  # type: ignore[attr-defined]


def test_a_writer_that_never_got_its_turn_has_sent_nothing(pair):
    near, _ = pair
    first = blocked(fill, near)
    second = blocked(fill, near)
    second.cancel()
    sent, error = second.result()
    assert (sent, type(error)) == (0, grt.Cancelled)
    near.close()
    first.join()
