"""A descriptor's life among goroutines and threads: who is woken, what is given back, and when."""

import contextlib
import gc
import os
import random
import socket
import sys
import threading
from functools import partial

import pytest

import grt
from grt._core.stream import Stream as NetFD
from tests.child import run_program
from tests.goroutines import blocked


def pair():
    """A NetFD and the socket at its other end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    return NetFD(near.detach()), far


def fill(fd):
    while True:
        fd.write(bytes(1 << 20))


def in_threads(*calls):
    """Makes all calls at once, each in a thread of its own; raises what one of them raised."""
    errors = []
    start = threading.Barrier(len(calls))

    def program(call):
        start.wait()
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=program, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# -- what the poller is asked for


def test_who_only_reads_is_not_woken_by_room_to_write():
    fd, far = pair()
    g = blocked(fd.read)
    far.send(b"x")
    assert g.result() == b"x" and not fd.news.both
    far.send(b"y")
    assert fd.read() == b"y"
    fd.write(b"z")
    poller = grt.current_loop().poller
    grt.gosched()
    while poller.wait(0):
        pass
    assert far.recv(10) == b"z"  # which makes room
    assert poller.wait(0) == []
    fd.close()
    far.close()


def test_who_waits_to_write_after_reading_is_woken_by_room():
    fd, far = pair()
    g = blocked(fd.read)
    far.send(b"x")
    assert g.result() == b"x"
    writer = blocked(fd.write, bytes(1 << 22))
    assert fd.news.both
    reader = blocked(fd.read)
    far.setblocking(False)
    got = 0
    while got < 1 << 22:
        with contextlib.suppress(BlockingIOError):
            got += len(far.recv(1 << 20))
        grt.sleep(0.001)
    writer.result()
    far.send(b"y")
    assert reader.result() == b"y"
    fd.close()
    far.close()


# -- the number


def test_close_gives_the_number_back_at_once():
    fd, far = pair()
    number = fd.fileno()
    g = blocked(fd.read)
    fd.close()
    assert fd.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    with pytest.raises(grt.Closed):
        g.result()
    far.close()


def test_a_number_closed_and_used_anew_wakes_no_one_by_mistake():
    """In one turn: news for a descriptor, its close, and another one with its number whose reader waits."""
    for _ in range(300):
        old, old_far = pair()
        number = old.fileno()
        reader = blocked(old.read)

        def replace(old=old, number=number):
            old.close()
            fresh, far = pair()
            if fresh.fileno() != number and far.fileno() != number:
                pytest.fail("the number was not used anew")
            return fresh, far

        old_far.send(b"for the old one")
        fresh, far = replace()
        late = blocked(fresh.read)
        grt.sleep(0)
        grt.sleep(0.0001)
        assert not late.done
        far.send(b"new")
        assert late.result() == b"new"
        with pytest.raises(grt.Closed):
            reader.result()
        for open_one in (fresh, far, old_far):
            open_one.close()


def dropped(held):
    """Empties held, and collects what only that referred to."""
    held.clear()
    gc.collect()


def test_one_that_nobody_refers_to_gives_its_number_back_with_a_warning():
    fd, far = pair()
    held = [fd]
    del fd
    with pytest.warns(ResourceWarning, match="unclosed <grt._core.stream.Stream"):
        dropped(held)
    assert far.recv(10) == b""
    far.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_given_back_even_if_warnings_are_errors():
    fd, far = pair()
    del fd
    gc.collect()
    assert far.recv(10) == b""
    far.close()


def test_one_that_was_waited_on_goes_too_when_nobody_refers_to_it():
    fd, far = pair()
    g = blocked(fd.read)
    g.cancel()
    g.join()
    held = [fd, g]
    del fd, g
    with pytest.warns(ResourceWarning):
        dropped(held)
    assert far.recv(10) == b""
    far.close()


@pytest.mark.skipif(
    bool(getattr(sys.flags, "context_aware_warnings", 0)), reason="what a goroutine leaves has a context of its own"
)
def test_a_blocked_goroutine_keeps_its_descriptor():
    fd, far = pair()
    g = blocked(fd.read)
    del fd
    gc.collect()
    far.send(b"x")
    with pytest.warns(ResourceWarning):
        g.join()
    assert g.result() == b"x"
    far.close()


# -- errors and edges


@pytest.mark.parametrize("failing", [lambda fd: fd.read(1 << 62), lambda fd: fd.read_into(b"constant")])
def test_a_call_that_fails_leaves_what_has_come_to_the_next(failing):
    fd, far = pair()
    reader = blocked(fd.read)
    far.send(b"first")
    assert reader.result() == b"first"
    far.send(b"second")
    grt.sleep(0.001)
    with pytest.raises((MemoryError, BufferError, TypeError)):
        failing(fd)
    assert fd.read() == b"second"
    fd.close()
    far.close()


@pytest.mark.parametrize("made", [grt.Conn, grt.Listener, lambda: NetFD.__new__(NetFD)])
def test_one_that_never_got_its_descriptor_can_be_dropped(made):
    with contextlib.suppress(TypeError):
        made()
    gc.collect()


def test_an_error_names_the_descriptor():
    fd, far = pair()
    far.close()
    with pytest.raises(BrokenPipeError, match=f"descriptor {fd.fileno()}"):
        fd.write(b"x")
    fd.close()


def test_calls_and_closes_at_random_end_each_with_one_outcome():
    """Readers and writers, cancelled, timed out and closed under each other: nobody hangs, nothing stays behind."""
    chance = random.Random(7)
    outcomes = {"data": 0, grt.Closed: 0, grt.Cancelled: 0, TimeoutError: 0}

    def use(call, *args):
        try:
            with grt.timeout(chance.choice([None, 0.0, 0.0005, 60])):
                call(*args)
                outcomes["data"] += 1
        except (grt.Closed, grt.Cancelled, TimeoutError) as error:
            outcomes[type(error)] += 1

    for _ in range(500):
        fd, far = pair()
        far.setblocking(False)
        users = [grt.go(use, fd.read, 3) for _ in range(chance.randrange(4))]
        users += [grt.go(use, fd.write, bytes(400_000)) for _ in range(chance.randrange(4))]
        for _ in range(chance.randrange(6)):
            chance.choice([partial(grt.gosched), partial(far.send, b"abc"), partial(grt.sleep, 0.0003)])()
            if users:
                chance.choice(users).cancel()
        fd.close()
        for user in users:
            user.join()
        assert fd.fileno() == -1
        far.close()
    assert min(outcomes.values()) > 0


# -- threads


def test_one_thread_reads_while_another_writes():
    fd, far = pair()
    size = 2_000_000
    data = random.Random(1).randbytes(size)
    received = bytearray()

    def read():
        while len(received) < size:
            received.extend(fd.read())

    def echo():
        left = size
        while left:
            chunk = far.recv(65536)
            far.sendall(chunk)
            left -= len(chunk)

    in_threads(read, lambda: fd.write(data), echo)
    assert received == data
    fd.close()
    far.close()


def test_a_connection_moves_to_the_thread_that_uses_it():
    fd, far = pair()
    for _ in range(50):
        reader = blocked(fd.read)
        far.send(b"here")
        assert reader.result() == b"here"

        def elsewhere():
            g = grt.go(fd.read)
            grt.gosched()
            far.send(b"there")
            assert g.result() == b"there"

        in_threads(elsewhere)
    fd.close()
    far.close()


def test_threads_that_begin_to_use_it_at_once_do_not_meet():
    for _ in range(50):
        fd, far = pair()
        far.setblocking(True)

        def read(fd=fd):
            assert fd.read() == b"x"

        def write(fd=fd):
            fd.write(bytes(1_000_000))

        def peer(far=far):
            left = 1_000_000
            while left:
                left -= len(far.recv(65536))
            far.send(b"x")

        in_threads(read, write, peer)
        fd.close()
        far.close()


def test_a_reader_does_not_depend_on_the_thread_of_a_writer():
    """The writer's thread waits on the same descriptor, before and behind the reader's, and then turns no loop more."""
    for first in (True, False):
        fd, far = pair()
        reading, written, come = threading.Event(), threading.Event(), threading.Event()

        def write(fd=fd, reading=reading, written=written, come=come, first=first):
            if not first:
                reading.wait()
            g = grt.go(fill, fd)
            grt.gosched()
            if first:
                reading.set()
            g.cancel()
            g.join()
            written.set()
            come.wait()  # blocks the thread itself

        def read(fd=fd, reading=reading, come=come, first=first):
            if first:
                reading.wait()
            g = grt.go(fd.read)
            grt.gosched()
            reading.set()
            assert g.result() == b"x"
            come.set()

        def peer(far=far, written=written):
            written.wait()
            far.send(b"x")

        in_threads(read, write, peer)
        fd.close()
        far.close()


def test_close_from_another_thread_wakes_readers_of_all_threads():
    for _ in range(30):
        fd, far = pair()
        ready = threading.Semaphore(0)

        def read(fd=fd, ready=ready):
            ready.release()
            with pytest.raises(grt.Closed):
                fd.read()

        def close(fd=fd, ready=ready):
            for _ in range(3):
                ready.acquire()
            fd.close()

        in_threads(read, read, read, close)
        assert fd.fileno() == -1
        far.close()


# -- more connections than descriptors

EXHAUSTED = """
    import resource, socket, time, grt
    def main():
        listener = grt.listen("tcp", "127.0.0.1:0")
        served = grt.go(accept_all, listener)
        used = grt.dial("tcp", listener.addr)
        clients = [socket.socket() for _ in range(5)]
        soft = max(client.fileno() for client in clients) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
        for client in clients:
            client.connect(listener.addr)
        grt.sleep(0.05)
        print("served", len(conns))
        {then}
        for conn in [used, *conns, *clients]:
            conn.close()
    conns = []
    def accept_all(listener):
        for conn in listener:
            conns.append(conn)
    grt.run(main)
"""


def test_accept_without_descriptors_backs_off_and_goes_on():
    then = """
        for client in clients[:3]:
            client.close()
        for conn in conns[:]:
            conn.close()
        while len(conns) < 6:
            grt.sleep(0.01)
            for conn in conns[:]:
                conn.close()
        print("served", len(conns))
        listener.close()
        served.result()
    """
    assert run_program(EXHAUSTED.format(then=then.strip()), GRT_PROCS="1") == (0, "served 1\nserved 6\n", "")


def test_a_listener_closed_while_it_backs_off_says_so():
    then = """
        listener.close()
        served.result()
        print("ended")
    """
    assert run_program(EXHAUSTED.format(then=then.strip()), GRT_PROCS="1") == (0, "served 1\nended\n", "")


def test_a_listener_closed_in_the_turn_in_which_the_back_off_is_over_says_so():
    then = """
        grt.current_loop().call_soon(time.sleep, 0.5)  # both deadlines pass, main's first
        grt.sleep(0.0001)
        listener.close()
        served.result()
        print("ended")
    """
    assert run_program(EXHAUSTED.format(then=then.strip()), GRT_PROCS="1") == (0, "served 1\nended\n", "")


def test_an_accept_cancelled_while_it_backs_off_leaves_the_connections_to_the_next():
    then = """
        served.cancel()
        served.join()
        conns.pop().close()
        conns.append(listener.accept())
        print("accepted")
        listener.close()
    """
    assert run_program(EXHAUSTED.format(then=then.strip()), GRT_PROCS="1") == (0, "served 1\naccepted\n", "")
