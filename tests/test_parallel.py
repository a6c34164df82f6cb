"""Several threads for one program's goroutines: where they run, what moves, and how it ends."""

import contextlib
import os
import signal
import socket
import sys
import sysconfig
import threading
import time
from typing import Any

import pytest

import grt
import grt.sync
from grt import parallel
from tests.child import finish, read_line, run_program, spawn, wait_ready
from tests.goroutines import NO_GIL, blocked

PATIENCE = 60  # seconds for a thread to get its turn


@pytest.fixture
def two():
    """The calling thread's goroutines are shared by two threads; afterwards by one, whose end is waited for."""
    proc: Any = grt.current().proc
    assert grt.procs(2) == 1
    yield
    parallel.settle_down(proc, 1, True)
    assert grt.procs() == 1


def meet(barrier):
    """Keeps its thread until others, in other threads, are here too."""
    barrier.wait(PATIENCE)
    return threading.get_ident()


def start_in_another_thread(fn, *args):
    """Starts fn(*args), and returns its goroutine when another thread is running it."""
    begun = threading.Event()

    def begin():
        begun.set()
        return fn(*args)

    g = grt.go(begin)
    assert begun.wait(PATIENCE)
    return g


def helpers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("grt proc of")]


# -- how many


def test_procs_reads_and_changes_the_number():
    proc: Any = grt.current().proc
    assert grt.procs() == 1
    assert grt.procs(3) == 1
    assert grt.procs() == 3 and len(helpers()) == 2
    assert grt.procs(2) == 3
    assert grt.procs() == 2
    parallel.settle_down(proc, 1, True)
    assert grt.procs() == 1 and helpers() == []


def test_run_takes_the_number_and_gives_the_threads_back():
    assert grt.run(grt.procs, procs=3) == 3
    assert grt.procs() == 1 and helpers() == []


def test_each_goroutine_of_a_program_knows_the_number(two):
    assert start_in_another_thread(grt.procs).result() == 2


@pytest.mark.parametrize("n", [0, -1, 100_000])
def test_a_number_that_makes_no_sense_is_told_so(n):
    with pytest.raises(ValueError, match=f"from 1 to 1024, not {n}"):
        grt.procs(n)
    with pytest.raises(ValueError, match=f"from 1 to 1024, not {n}"):
        grt.run(grt.procs, procs=n)


def test_a_number_that_is_none_is_told_so():
    with pytest.raises(TypeError):
        grt.procs("two")  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", ["none", "0", "1.5"])
def test_a_wrong_number_in_the_environment_is_told_so(monkeypatch, wanted):
    monkeypatch.setenv("GRT_PROCS", wanted)
    with pytest.raises(ValueError, match=f"GRT_PROCS is the number of threads, at least 1, not '{wanted}'"):
        grt.run(grt.procs)


def test_the_environment_gives_the_number(monkeypatch):
    monkeypatch.setenv("GRT_PROCS", "3")
    assert grt.run(grt.procs) == 3
    assert grt.run(grt.procs, procs=2) == 2


def test_without_a_gil_a_program_uses_all_cores(monkeypatch):
    monkeypatch.delenv("GRT_PROCS", raising=False)
    assert grt.run(grt.procs) == (len(os.sched_getaffinity(0)) if NO_GIL else 1)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_where_the_gil_was_switched_on_several_are_refused():
    status, _, err = run_program("import grt; grt.run(grt.procs, procs=2)", PYTHON_GIL="1")
    assert status == 1 and "2 procs would take turns" in err and "set PYTHON_GIL=0" in err


# -- where goroutines run


def test_two_goroutines_run_at_the_same_time(two):
    barrier = threading.Barrier(2)
    threads = {g.result() for g in [grt.go(meet, barrier), grt.go(meet, barrier)]}
    assert len(threads) == 2


def test_what_the_main_goroutine_starts_runs_while_it_computes(two):
    assert start_in_another_thread(threading.get_ident).result() != threading.get_ident()


def test_a_started_goroutine_stays_in_its_thread(two):
    def wander():
        seen = {threading.get_ident()}
        for _ in range(50):
            grt.gosched()
            grt.sleep(0.0001)
            seen.add(threading.get_ident())
        return seen

    gs = [grt.go(wander) for _ in range(50)]
    assert [len(g.result()) for g in gs] == [1] * 50


def test_connections_spread_over_the_threads(two):
    """One after the other, each served at once: no thread is ever so busy that another would steal."""
    served = []

    def serve(conn):
        served.append(threading.get_ident())
        with conn:
            for data in conn:
                conn.write(data)

    def accept(listener):
        with contextlib.suppress(grt.Closed), grt.group() as g:
            for conn in listener:
                g.go(serve, conn)

    with grt.listen("tcp", "127.0.0.1:0") as listener, contextlib.ExitStack() as stack:
        acceptor = grt.go(accept, listener)
        for _ in range(20):
            conn = stack.enter_context(grt.dial("tcp", listener.addr))
            conn.write(b"x")
            assert conn.read(1) == b"x"
    acceptor.join()
    assert len(served) == 20
    assert min(served.count(thread) for thread in set(served)) >= 5 and len(set(served)) == 2


def test_one_that_started_before_stays():
    g = blocked(grt.chan().recv)
    waiting = grt.go(threading.get_ident)
    proc: Any = grt.current().proc
    grt.procs(2)
    time.sleep(0.05)  # the other thread has all the time to take it
    assert waiting.result() == threading.get_ident() and g.proc == proc
    parallel.settle_down(proc, 1, True)
    g.cancel()
    g.join()


def test_a_thread_that_is_locked_starts_nothing(two):
    with grt.lock_os_thread(), grt.lock_os_thread():
        threads = {g.result() for g in [grt.go(threading.get_ident) for _ in range(50)]}
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_where_there_is_no_other_thread_a_locked_one_starts_all_the_same():
    with grt.lock_os_thread():
        assert grt.go(threading.get_ident).result() == threading.get_ident()


def test_a_retired_thread_ends_its_goroutines_and_starts_none(two):
    c = grt.chan()
    g = start_in_another_thread(lambda: (c.recv(), threading.get_ident()))
    assert grt.procs(1) == 2
    assert {grt.go(threading.get_ident).result() for _ in range(20)} == {threading.get_ident()}
    assert helpers()
    c.send("go on")
    value, thread = g.result()
    assert value == "go on" and thread != threading.get_ident()


def test_what_a_goroutine_of_a_retired_thread_starts_runs_elsewhere(two):
    c = grt.chan()

    def starter():
        c.recv()
        return grt.go(threading.get_ident)

    g = start_in_another_thread(starter)
    grt.procs(1)
    c.send(None)
    assert g.result().result() == threading.get_ident()


def test_a_bubble_keeps_its_goroutines(two):
    with grt.testing.bubble():
        threads = {g.result() for g in [grt.go(threading.get_ident) for _ in range(50)]}
    assert threads == {threading.get_ident()}


# -- what they share


def test_channels_join_them(two):
    c, done = grt.chan(3), grt.chan()

    def produce(first):
        for value in range(first, 1000, 4):
            c.send(value)

    def consume():
        done.send(sorted(c))

    with grt.group() as consumers:
        for _ in range(3):
            consumers.go(consume)
        with grt.group() as producers:
            for first in range(4):
                producers.go(produce, first)
        c.close()
        received = [value for _ in range(3) for value in done.recv()]
    assert sorted(received) == list(range(1000))


def test_a_mutex_excludes_them(two):
    mutex, inside, worst = grt.sync.Mutex(), 0, 0

    def enter():
        nonlocal inside, worst
        for _ in range(100):
            with mutex:
                inside += 1
                worst = max(worst, inside)
                grt.gosched()
                inside -= 1

    with grt.group() as g:
        for _ in range(8):
            g.go(enter)
    assert worst == 1 and inside == 0


def test_one_is_read_here_and_written_there_and_closed_by_a_third(two):
    with (
        grt.listen("tcp", "127.0.0.1:0") as listener,
        socket.create_connection(listener.addr),
        listener.accept() as conn,
    ):
        reader = start_in_another_thread(conn.read, 10)
        writer = blocked(conn.write, bytes(10_000_000))
        grt.sleep(0.001)
        conn.close()
        for g in (reader, writer):
            with pytest.raises(grt.Closed):
                g.result()


def test_timers_fire_in_the_thread_that_waits(two):
    def sleeps():
        began = time.monotonic()
        grt.sleep(0.02)
        with pytest.raises(TimeoutError), grt.timeout(0.02):
            grt.chan().recv()
        return time.monotonic() - began

    assert all(g.result() >= 0.04 for g in [grt.go(sleeps) for _ in range(20)])


def test_a_group_ends_its_goroutines_in_every_thread(two):
    ended = []

    def wait():
        try:
            grt.chan().recv()
        finally:
            ended.append(threading.get_ident())

    def fail():
        grt.sleep(0.01)
        raise KeyError("spam")

    with pytest.raises(KeyError), grt.group() as g:
        for _ in range(10):
            g.go(wait)
        g.go(fail)
    assert len(ended) <= 10  # one that was cancelled before it started never ran


def test_its_context_goes_with_a_goroutine(two):
    import contextvars

    name = contextvars.ContextVar("name", default="nobody")
    name.set("spam")
    assert {g.result() for g in [grt.go(name.get) for _ in range(30)]} == {"spam"}


# -- cancellation, errors, ends


def test_one_that_is_cancelled_before_it_starts_never_runs(two):
    ran, gate = [], threading.Event()
    for _ in range(2):  # both threads are kept
        keeper = grt.go(gate.wait, PATIENCE)
    gs = [grt.go(ran.append, i) for i in range(100)]
    assert all(g.cancel() for g in gs)
    gate.set()
    for g in gs:
        with pytest.raises(grt.Cancelled):
            g.result()
    keeper.join()
    assert ran == []


def test_one_can_be_joined_while_it_moves(two):
    """The joiners of one that has not started move with it."""
    for _ in range(200):
        gs = [grt.go(int) for _ in range(4)]
        joiners = [grt.go(g.join) for g in gs for _ in range(2)]
        for joiner in joiners:
            joiner.result()
        assert all(g.done for g in gs)


def test_run_ends_what_lives_in_every_thread():
    ended = []

    def wait(barrier):
        barrier.wait(PATIENCE)
        try:
            grt.chan().recv()
        finally:
            grt.sleep(0.001)
            ended.append(threading.get_ident())

    def main():
        barrier = threading.Barrier(3)
        for _ in range(2):
            start_in_another_thread(wait, barrier)
        barrier.wait(PATIENCE)

    grt.run(main, procs=3)
    assert len(set(ended)) == 2 and helpers() == []


def test_sys_exit_in_any_thread_ends_the_program():
    status, _, err = run_program("""
        import sys, threading, time
        import grt

        def leave():
            assert threading.current_thread() is not threading.main_thread()
            sys.exit(7)

        def main():
            grt.go(leave)
            time.sleep(0.5)  # keeps this thread, so that another one takes it
            grt.chan().recv()

        grt.run(main, procs=2)
    """)
    assert (status, err) == (7, "")


def test_an_exception_in_any_thread_is_reported():
    status, _, err = run_program("""
        import threading, time
        import grt

        def fail(begun):
            begun.set()
            raise KeyError("spam")

        def main():
            begun = threading.Event()
            grt.go(fail, begun)
            begun.wait(60)

        grt.run(main, procs=2)
    """)
    assert status == 0 and "(fail)" in err and "KeyError: 'spam'" in err


def test_ctrl_c_ends_goroutines_in_every_thread():
    child = spawn("""
        import os, threading
        import grt

        def wait(barrier):
            barrier.wait(60)
            try:
                grt.chan().recv()
            finally:
                os.write(1, b"ended\\n")

        def main():
            barrier = threading.Barrier(2)
            grt.go(wait, barrier)
            grt.go(wait, barrier)
            grt.sleep(0.1)
            print("ready", flush=True)
            grt.sleep(60)

        grt.run(main, procs=2)
    """)
    wait_ready(child)
    child.send_signal(signal.SIGINT)
    status, out, err = finish(child)
    assert out == "ended\nended\n" and "KeyboardInterrupt" in err and status == -signal.SIGINT


def test_a_second_ctrl_c_abandons_one_that_does_not_end():
    child = spawn("""
        import threading
        import grt

        def stubborn(begun):
            begun.set()
            while True:
                try:
                    grt.sleep(60)
                except grt.Cancelled:
                    print("no", flush=True)

        def main():
            begun = threading.Event()
            grt.go(stubborn, begun)
            begun.wait(60)
            grt.sleep(0.01)
            print("ready", flush=True)
            grt.sleep(60)

        grt.run(main, procs=2)
    """)
    wait_ready(child)
    child.send_signal(signal.SIGINT)
    assert read_line(child) == "no\n"
    child.send_signal(signal.SIGINT)
    status, _, err = finish(child)
    assert "KeyboardInterrupt" in err and status != 0


def test_a_program_without_run_ends_with_its_threads():
    status, out, err = run_program("""
        import threading
        import grt

        def wait(begun):
            begun.set()
            try:
                grt.chan().recv()
            finally:
                print("ended")

        begun = threading.Event()
        grt.procs(3)
        grt.go(wait, begun)
        begun.wait(60)
    """)
    assert (status, out, err) == (0, "ended\n", "")


def test_a_deadlock_of_all_threads_is_seen():
    status, _, err = run_program("""
        import threading
        import grt

        def wait(begun, c):
            begun.set()
            c.recv()

        def main():
            c, begun = grt.chan(), threading.Event()
            grt.go(wait, begun, c)
            begun.wait(60)
            c.recv()

        grt.run(main, procs=2)
    """)
    assert status == 1 and "grt.Deadlock" in err and "(wait) of grt proc of MainThread" in err, err


def test_a_timer_in_another_thread_is_hope():
    status, out, err = run_program("""
        import threading
        import grt

        def wait(begun, c):
            begun.set()
            grt.sleep(1.5)
            c.send("here")

        def main():
            c, begun = grt.chan(), threading.Event()
            grt.go(wait, begun, c)
            begun.wait(60)
            print(c.recv())

        grt.run(main, procs=2)
    """)
    assert (status, out, err) == (0, "here\n", "")


def test_a_child_of_a_fork_goes_on_with_one_thread(two):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            total = sum(g.result() for g in [grt.go(int, i) for i in range(10)])
            os.write(writer, f"{grt.procs()} {total}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        assert answer.read() == "1 45"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_that_come_and_go_leave_nothing():
    for _ in range(3):
        grt.run(lambda: [g.result() for g in [grt.go(int) for _ in range(50)]], procs=4)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        grt.run(lambda: [g.result() for g in [grt.go(int) for _ in range(50)]], procs=4)
    assert len(os.listdir("/proc/self/fd")) == before and helpers() == []
