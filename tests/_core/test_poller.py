"""What every back-end promises of readiness: one suite, run over each that this system has.

The table, closing and bad input are in tests/test_poll.py, run over each as well.
"""

import math
import os
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from grt._core import poller as module
from grt.poll import EDGE, READ, WRITE, Poller

SOON = 10.0  # more than any event takes, even on a busy machine; nothing waits it out unless a test fails
COMPILED = not module.__file__.endswith(".py")


@pytest.fixture(params=Poller.backends())
def poller(request):
    with Poller(request.param) as made:
        yield made


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        yield here, there


@pytest.fixture
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        server.setblocking(False)
        yield server, client


def only(events):
    assert len(events) == 1, events
    return events[0]


def libkqueue_cannot(poller, what):
    """Skips what the kqueue of a BSD does, and the library that stands for it on Linux (2.3, Debian's) does not."""
    if poller.backend == "kqueue" and sys.platform == "linux":
        pytest.skip(f"libkqueue cannot {what}")


@pytest.fixture
def both(poller):
    libkqueue_cannot(poller, "watch a descriptor in both directions")


def fill(sock):
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


def drain(sock):
    size = 0
    try:
        while data := sock.recv(1 << 20):
            size += len(data)
    except BlockingIOError:
        pass
    return size


# ---- level-triggered


def test_nothing_registered_is_nothing_reported(poller):
    assert poller.wait(0) == []
    assert poller.wait(-1) == []


def test_level_reports_until_drained(poller, pair):
    here, there = pair
    poller.register(here, READ, "data")
    assert poller.wait(0) == []
    there.send(b"hello")
    for _ in range(3):
        event = only(poller.wait(SOON))
        assert (event.fd, event.data) == (here.fileno(), "data")
        assert event.readable and not (event.writable or event.hangup or event.error)
    here.recv(100)
    assert poller.wait(0) == []


def test_a_socket_with_room_is_writable_and_a_full_one_is_not(poller, pair):
    here, there = pair
    poller.register(here, WRITE)
    assert only(poller.wait(SOON)).writable
    fill(here)
    assert poller.wait(0) == []
    drain(there)
    assert only(poller.wait(SOON)).writable


def test_reading_and_writing_are_one_event(poller, pair, both):
    here, there = pair
    there.send(b"x")
    poller.register(here, READ | WRITE)
    event = only(poller.wait(SOON))
    assert event.readable and event.writable


def test_many_pairs_are_merged_each_into_its_own_event(poller, both):
    pairs = [socket.socketpair() for _ in range(40)]
    for here, there in pairs:
        there.send(b"x")
        poller.register(here, READ | WRITE, here)
    events = poller.wait(SOON)
    assert {event.data for event in events} == {here for here, _ in pairs}
    assert len(events) == 40
    assert all(event.readable and event.writable for event in events)
    for here, there in pairs:
        poller.unregister(here)
        here.close()
        there.close()


def test_a_pipe_is_readable_when_written(poller):
    reader, writer = os.pipe()
    poller.register(reader, READ)
    assert poller.wait(0) == []
    os.write(writer, b"x")
    assert only(poller.wait(SOON)).readable
    poller.unregister(reader)
    os.close(reader)
    os.close(writer)


def test_a_listener_is_readable_when_someone_connects(poller):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        poller.register(listener, READ)
        with socket.create_connection(listener.getsockname()):
            assert only(poller.wait(SOON)).readable
        poller.unregister(listener)


def test_a_refused_connect_is_reported_as_writable(poller):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    with socket.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(address) != 0
        poller.register(client, WRITE | EDGE)
        event = only(poller.wait(SOON))
        assert event.writable
        assert event.error or client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        poller.unregister(client)


# ---- edge-triggered


def test_edge_is_quiet_after_its_report_and_speaks_again_after_draining(poller, pair):
    here, there = pair
    poller.register(here, READ | EDGE)
    for _ in range(3):
        there.send(b"news")
        assert only(poller.wait(SOON)).readable
        assert poller.wait(0) == []
        assert drain(here) == 4
        poller.rearm(here, READ)
        assert poller.wait(0) == []


def test_news_between_draining_and_rearming_is_not_lost(poller, pair):
    here, there = pair
    poller.register(here, READ | EDGE)
    there.send(b"x")
    assert only(poller.wait(SOON)).readable
    drain(here)
    there.send(b"y")
    poller.rearm(here, READ)
    assert only(poller.wait(SOON)).readable


def test_an_edge_not_drained_stays_quiet_until_there_is_news_or_it_is_rearmed(poller, pair):
    here, there = pair
    poller.register(here, READ | EDGE)
    there.send(b"x")
    assert only(poller.wait(SOON)).readable
    assert poller.wait(0) == []
    if poller.needs_rearm:
        there.send(b"y")
        assert poller.wait(0) == []
        poller.rearm(here, READ)
    else:
        poller.rearm(here, READ)
        assert poller.wait(0) == []
        there.send(b"y")
    assert only(poller.wait(SOON)).readable


def test_the_directions_of_an_edge_are_reported_apart(poller, pair, both):
    here, there = pair
    poller.register(here, READ | WRITE | EDGE)
    event = only(poller.wait(SOON))
    assert event.writable and not event.readable
    assert poller.wait(0) == []
    there.send(b"x")
    assert only(poller.wait(SOON)).readable
    assert poller.wait(0) == []


def test_a_writer_is_told_once_there_is_room_again(poller, pair, both):
    here, there = pair
    poller.register(here, READ | WRITE | EDGE)
    poller.wait(SOON)
    fill(here)
    poller.rearm(here, WRITE)
    assert poller.wait(0) == []
    drain(there)
    assert only(poller.wait(SOON)).writable


def test_a_hangup_on_an_edge_is_reported_once(poller, pair, both):
    here, there = pair
    poller.register(here, READ | WRITE | EDGE)
    poller.wait(SOON)
    there.close()
    assert only(poller.wait(SOON))
    assert [event.hangup for event in poller.wait(0)] in ([], [True])  # kqueue may tell the directions one by one
    assert poller.wait(0) == []


def test_rearming_an_ended_stream_reports_it_or_keeps_quiet_but_never_blocks_out_the_rest(poller, pair):
    here, there = pair
    poller.register(here, READ | EDGE)
    there.close()
    assert only(poller.wait(SOON))
    poller.rearm(here, READ)
    assert [event.fd for event in poller.wait(0)] == ([here.fileno()] if poller.needs_rearm else [])


# ---- hangup and error


def test_half_a_close_is_a_hangup_after_the_data(poller, tcp):
    server, client = tcp
    poller.register(server, READ)
    client.send(b"last")
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.01)  # let both arrive, to see them in one event; either order is right
    event = only(poller.wait(SOON))
    assert event.readable
    assert server.recv(100) == b"last"
    event = only(poller.wait(SOON))
    assert event.readable and not event.error
    assert event.hangup == (poller.backend != "select")
    assert server.recv(100) == b""
    server.send(b"still open this way")
    assert client.recv(100)


def test_the_end_of_a_pipe_is_a_hangup_in_the_kernels_own_words(poller):
    reader, writer = os.pipe()
    poller.register(reader, READ)
    os.close(writer)
    event = only(poller.wait(SOON))
    assert event.hangup or (poller.backend == "select" and event.readable)
    poller.unregister(reader)
    os.close(reader)


def test_a_pipe_nobody_reads_is_an_error_or_hangup_to_its_writer(poller):
    libkqueue_cannot(poller, "tell a pipe's writer of its end")
    reader, writer = os.pipe()
    poller.register(writer, WRITE)
    os.close(reader)
    event = only(poller.wait(SOON))
    assert event.error or event.hangup or poller.backend == "select"
    poller.unregister(writer)
    os.close(writer)


def test_a_reset_is_an_error(poller, tcp):
    server, client = tcp
    poller.register(server, READ)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    event = only(poller.wait(SOON))
    assert event.readable if poller.backend == "select" else event.error and event.hangup
    libkqueue_cannot(poller, "leave a socket its error")
    with pytest.raises(ConnectionResetError):
        server.recv(100)


# ---- timeouts and signals


@pytest.mark.parametrize("timeout", [0.0101, 0.0305, 0.05])
def test_no_wait_ends_early(poller, pair, timeout):
    libkqueue_cannot(poller, "wait for parts of a millisecond")
    poller.register(pair[0], READ)
    before = time.monotonic()
    assert poller.wait(timeout) == []
    assert time.monotonic() - before >= timeout


@pytest.mark.parametrize("timeout", [1e-9, 1e-4])
def test_the_shortest_timeouts_are_waited_out(poller, timeout):
    before = time.monotonic()
    assert poller.wait(timeout) == []
    assert time.monotonic() - before >= timeout


@pytest.mark.parametrize("timeout", [None, 1e5, 1e12, 1e300, math.inf, 10**20])
def test_a_timeout_beyond_the_systems_is_taken(poller, pair, timeout):
    pair[1].send(b"x")
    poller.register(pair[0], READ)
    assert only(poller.wait(timeout)).readable


@contextmanager
def signalled(handler):
    """Sends this thread a signal again and again, so that one at least comes while it waits."""
    former = signal.signal(signal.SIGUSR1, handler)
    main, done = threading.get_ident(), threading.Event()

    def send():
        while not done.wait(0.05):
            signal.pthread_kill(main, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        signal.signal(signal.SIGUSR1, former)


def test_a_signal_handler_can_end_the_wait(poller, pair):
    here, there = pair
    poller.register(here, READ)
    with signalled(lambda number, frame: there.send(b"x")):
        while not (events := poller.wait(None)):
            pass
        assert only(events).readable


@pytest.mark.skipif(not COMPILED, reason="the stdlib's calls go on waiting after a signal")
def test_a_signal_ends_the_wait_with_nothing(poller):
    seen = []
    with signalled(lambda number, frame: seen.append(number)):
        while not seen:
            assert poller.wait(None) == []


def test_keyboard_interrupt_comes_out_of_the_wait_and_the_poller_goes_on(poller, pair):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    here, there = pair
    poller.register(here, READ)
    with pytest.raises(KeyboardInterrupt), signalled(interrupt):
        poller.wait(None)
    there.send(b"x")
    assert only(poller.wait(SOON)).readable


# ---- stale events


def test_an_event_of_a_descriptor_unregistered_meanwhile_is_stale(poller, pair):
    here, there = pair
    poller.register(here, READ, "data")
    there.send(b"x")
    assert poller.collect(SOON) == 1
    assert poller.data_at(0) == "data"
    poller.unregister(here)
    assert poller.data_at(0) is None


def test_an_event_of_a_descriptor_closed_and_used_anew_is_stale(poller, pair):
    here, there = pair
    poller.register(here, READ, "former")
    there.send(b"x")
    assert poller.collect(SOON) == 1
    number = here.fileno()
    poller.unregister(here)
    here.close()
    reader, writer = os.pipe()
    if reader != number:
        os.dup2(reader, number)
    poller.register(number, READ, "latter")
    assert poller.data_at(0) is None
    os.write(writer, b"x")
    assert poller.collect(SOON) == 1
    assert poller.data_at(0) == "latter"
    poller.unregister(number)
    for fd in {reader, writer, number}:
        os.close(fd)


def test_registering_again_makes_what_was_collected_before_stale(poller, pair):
    pair[1].send(b"x")
    poller.register(pair[0], READ, "former")
    assert poller.collect(SOON) == 1
    poller.unregister(pair[0])
    poller.register(pair[0], READ, "latter")
    assert poller.data_at(0) is None
    assert only(poller.wait(SOON)).data == "latter"


def test_modifying_does_not_make_stale(poller, pair, both):
    pair[1].send(b"x")
    poller.register(pair[0], READ, "former")
    assert poller.collect(SOON) == 1
    poller.modify(pair[0], READ | WRITE, "latter")
    assert poller.data_at(0) == "latter"


def test_a_batch_outlives_the_close_of_its_poller(poller, pair):
    pair[1].send(b"x")
    poller.register(pair[0], READ, "data")
    assert poller.collect(SOON) == 1
    poller.close()
    assert poller.data_at(0) is None
    assert poller.flags_at(0) == 0


# ---- threads


def wait_in_thread(poller):
    """Starts a thread that waits; returns it and its results once it really waits."""
    results = []

    def wait():
        while not results:
            try:
                results.append(poller.wait(60))
            except RuntimeError:  # met the look below
                pass

    waiter = threading.Thread(target=wait)
    waiter.start()
    while True:
        try:
            poller.wait(0)
        except RuntimeError:
            return waiter, results
        time.sleep(0.005)


def test_another_thread_can_wake_a_wait_and_register_meanwhile(poller, pair):
    if poller.needs_rearm:
        pytest.skip("with poll and select only the owner may register")
    here, there = pair
    waiter, results = wait_in_thread(poller)
    poller.register(here, READ, "registered meanwhile")
    there.send(b"x")
    waiter.join()
    assert only(results[0]).data == "registered meanwhile"


def test_only_one_thread_waits_and_nobody_closes_meanwhile(poller, pair):
    here, there = pair
    poller.register(here, READ)
    waiter, results = wait_in_thread(poller)
    with pytest.raises(RuntimeError, match="one at a time"):
        poller.wait(0)
    with pytest.raises(RuntimeError, match="wake that first"):
        poller.close()
    there.send(b"x")
    waiter.join()
    assert only(results[0]).readable


def test_other_threads_run_while_one_waits(poller, pair):
    here, there = pair
    poller.register(here, READ)
    waker = threading.Thread(target=there.send, args=(b"x",))
    waker.start()
    assert only(poller.wait(None)).readable
    waker.join()
