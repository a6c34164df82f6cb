"""Several threads for one program's goroutines: where they run, what moves, and how it ends."""

import contextlib
import os
import socket
import sysconfig
import threading
import time
from collections import Counter
from typing import Any

import pytest

import grt
import grt.sync
from grt import parallel
from tests.child import run_program
from tests.goroutines import NO_GIL, blocked
from tests.threads import helpers, start_in_another_thread

PATIENCE = 60  # seconds for a thread to get its turn


def meet(barrier):
    """Keeps its thread until others, in other threads, are here too."""
    barrier.wait(PATIENCE)
    return threading.get_ident()


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


def test_each_goroutine_of_a_program_knows_the_number(two_procs):
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


def test_two_goroutines_run_at_the_same_time(two_procs):
    barrier = threading.Barrier(2)
    threads = {g.result() for g in [grt.go(meet, barrier), grt.go(meet, barrier)]}
    assert len(threads) == 2


def test_what_the_main_goroutine_starts_runs_while_it_computes(two_procs):
    assert start_in_another_thread(threading.get_ident).result() != threading.get_ident()


def test_a_started_goroutine_stays_in_its_thread(two_procs):
    def wander():
        seen = {threading.get_ident()}
        for _ in range(50):
            grt.gosched()
            grt.sleep(0.0001)
            seen.add(threading.get_ident())
        return seen

    gs = [grt.go(wander) for _ in range(50)]
    assert [len(g.result()) for g in gs] == [1] * 50


def test_connections_spread_over_the_threads(two_procs):
    """One after the other, each served at once: no thread is ever so busy that another would steal."""
    barrier = threading.Barrier(2)
    for g in [grt.go(meet, barrier), grt.go(meet, barrier)]:
        g.join()  # both threads are up: one that gets no processor loses its connections to the other, as it should
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
        for opened in range(1, 201):  # a busy machine needs more than twenty
            conn = stack.enter_context(grt.dial("tcp", listener.addr))
            conn.write(b"x")
            assert conn.read(1) == b"x"
            counts = Counter(served)
            if opened >= 20 and len(counts) == 2 and min(counts.values()) >= 3:
                break
    acceptor.join()
    assert len(served) == opened
    assert len(counts) == 2 and min(counts.values()) >= 3


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


def test_a_thread_that_is_locked_starts_nothing(two_procs):
    with grt.lock_os_thread(), grt.lock_os_thread():
        threads = {g.result() for g in [grt.go(threading.get_ident) for _ in range(50)]}
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_where_there_is_no_other_thread_a_locked_one_starts_all_the_same():
    with grt.lock_os_thread():
        assert grt.go(threading.get_ident).result() == threading.get_ident()


def test_a_retired_thread_ends_its_goroutines_and_starts_none(two_procs):
    c = grt.chan()
    g = start_in_another_thread(lambda: (c.recv(), threading.get_ident()))
    assert grt.procs(1) == 2
    assert {grt.go(threading.get_ident).result() for _ in range(20)} == {threading.get_ident()}
    assert helpers()
    c.send("go on")
    value, thread = g.result()
    assert value == "go on" and thread != threading.get_ident()


def test_what_a_goroutine_of_a_retired_thread_starts_runs_elsewhere(two_procs):
    c = grt.chan()

    def starter():
        c.recv()
        return grt.go(threading.get_ident)

    g = start_in_another_thread(starter)
    grt.procs(1)
    c.send(None)
    assert g.result().result() == threading.get_ident()


def test_a_retired_thread_ends_though_others_take_what_its_last_goroutine_has_started():
    def starter():
        wait.recv()
        return grt.go(int)

    proc: Any = grt.current().proc
    for _ in range(100):
        grt.procs(2)
        wait = grt.chan()
        g = start_in_another_thread(starter)
        grt.procs(1)
        wait.send(None)
        assert g.result().result() == 0
        parallel.settle_down(proc, 1, True)
        assert helpers() == []


def test_a_bubble_keeps_its_goroutines(two_procs):
    with grt.testing.bubble():
        threads = {g.result() for g in [grt.go(threading.get_ident) for _ in range(50)]}
    assert threads == {threading.get_ident()}


# -- what they share


def test_channels_join_them(two_procs):
    c, done = grt.chan(3), grt.chan()

    def produce(first):
        for value in range(first, 1000, 4):
            c.send(value)

    def consume():
        values = []
        for value in c:  # not list(c), which is greenlet's crash without a GIL, in the pure build
            values.append(value)
        done.send(values)

    with grt.group() as consumers:
        for _ in range(3):
            consumers.go(consume)
        with grt.group() as producers:
            for first in range(4):
                producers.go(produce, first)
        c.close()
        received = [value for _ in range(3) for value in done.recv()]
    assert sorted(received) == list(range(1000))


def test_a_mutex_excludes_them(two_procs):
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


def test_one_is_read_here_and_written_there_and_closed_by_a_third(two_procs):
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


def test_timers_fire_in_the_thread_that_waits(two_procs):
    def sleeps():
        began = time.monotonic()
        grt.sleep(0.02)
        with pytest.raises(TimeoutError), grt.timeout(0.02):
            grt.chan().recv()
        return time.monotonic() - began

    assert all(g.result() >= 0.04 for g in [grt.go(sleeps) for _ in range(20)])


def test_a_group_ends_its_goroutines_in_every_thread(two_procs):
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


def test_its_context_goes_with_a_goroutine(two_procs):
    import contextvars

    name = contextvars.ContextVar("name", default="nobody")
    name.set("spam")
    assert {g.result() for g in [grt.go(name.get) for _ in range(30)]} == {"spam"}
