"""The scheduler: fairness, greenlets, threads, and where nothing may block."""

import gc
import os
import re
import socket
import threading
from pathlib import Path

import greenlet
import pytest

import grt
from tests.child import run_program
from tests.goroutines import LOCKS_HELD, end, living


@pytest.fixture
def pair():
    """Both ends of a connection."""
    with (
        grt.listen("tcp", "127.0.0.1:0") as listener,
        grt.dial("tcp", listener.addr) as near,
        listener.accept() as far,
    ):
        yield near, far


def run_in_thread(fn):
    """Calls fn in a thread of its own; returns what it returned when the thread and its goroutines are gone."""
    results = []
    thread = threading.Thread(target=lambda: results.append(fn()))
    thread.start()
    thread.join()
    return results[0]


# -- fairness


def test_one_that_only_gives_way_starves_neither_timers_nor_io():
    def busy():
        while True:
            grt.gosched()

    spinning = grt.go(busy)
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        client = socket.create_connection(listener.addr)
        with client, listener.accept() as conn:
            g = grt.go(conn.read)
            grt.sleep(0.005)
            client.send(b"x")
            assert g.result() == b"x"
    end(spinning)


def test_one_that_reads_a_flood_starves_nobody(pair):
    """Neither side ever has to wait: the one always finds data, the other always finds room."""
    near, far = pair
    read = 0

    def serve():
        nonlocal read
        while far.read(1):
            read += 1

    near.write(bytes(100_000))
    g = grt.go(serve)
    grt.gosched()
    assert 0 < read < 10_000
    end(g)


def test_a_scope_expires_although_no_call_has_to_wait(pair):
    near, far = pair

    def flood():
        while True:
            near.write(bytes(65536))

    def drink():
        while True:
            far.read(1)

    g = grt.go(flood)
    with pytest.raises(TimeoutError), grt.timeout(0.05) as scope:
        drink()
    assert scope.expired
    end(g)


# -- greenlets


def test_thousands_may_block_end_and_start_again():
    idle = []
    for _ in range(3):
        goroutines = [grt.go(grt.sleep, 60) for _ in range(3000)]
        grt.gosched()
        assert len(living()) == 3001
        end(*goroutines)
        del goroutines  # whose tracebacks hold frames
        gc.collect()
        idle.append(sum(type(found) is greenlet.greenlet for found in gc.get_objects()))
    assert len(living()) == 1
    assert max(idle) < 2200  # those kept for reuse, and one that each of them last switched to


MEMORY = """
    import os, resource, grt
    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    def batch():
        last = None
        for _ in range(100):
            for _ in range(1000):
                last = grt.go(len, b"")
            last.join()
    batch()
    before = resident()
    batch()
    print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_starting_and_ending_leaves_no_memory_behind():
    status, out, err = run_program(MEMORY)
    assert (status, err) == (0, "")
    assert int(out) < 1_000_000


def test_a_goroutine_may_block_deep_in_a_recursion():
    def recurse(depth):
        if depth == 0:
            grt.sleep(0.001)
            return 0
        return 1 + recurse(depth - 1)

    assert [g.result() for g in [grt.go(recurse, 500) for _ in range(20)]] == [500] * 20


def test_a_recursion_without_end_is_an_error_of_its_goroutine_alone():
    def recurse():
        recurse()

    with pytest.raises(RecursionError):
        grt.go(recurse).result()
    assert grt.go(max, 1, 2).result() == 2


def test_goroutines_started_from_goroutines_do_not_pile_up():
    def chain(left):
        if left:
            g = grt.go(chain, left - 1)
            g.join()
        return left

    assert grt.go(chain, 3000).result() == 3000


def test_a_goroutine_may_block_inside_a_greenlet_of_its_own():
    def inner(results):
        for _ in range(3):
            grt.sleep(0.001)
            results.append(grt.current())
            greenlet.getcurrent().parent.switch()

    def outer():
        results = []
        g = greenlet.greenlet(inner)
        for _ in range(3):
            g.switch(results)
        return results

    goroutines = [grt.go(outer) for _ in range(5)]
    assert [g.result() for g in goroutines] == [[g] * 3 for g in goroutines]


@pytest.mark.skipif(LOCKS_HELD, reason="this greenlet switches with the interpreter's locks held")
def test_goroutines_may_block_while_the_interpreter_holds_a_lock_for_them():
    """list() fills itself from an iterator with its lock held, where there is no GIL."""

    def numbers():
        for number in range(20):
            grt.sleep(0.0001)
            yield number

    for _ in range(20):
        goroutines = [grt.go(list, numbers()) for _ in range(10)]
        assert [g.result() for g in goroutines] == [list(range(20))] * 10


def test_one_that_throws_greenlets_own_exit_ends_alone():
    def leave():
        raise greenlet.GreenletExit

    g = grt.go(leave)
    g.join()
    assert g.done and grt.go(max, 1, 2).result() == 2


# -- where nothing may block


def test_a_callback_of_the_loop_cannot_block_and_is_told_so():
    errors = []

    def callback():
        for call in (lambda: grt.sleep(1), grt.gosched, lambda: grt.go(max, 1, 2).join()):
            try:
                call()
            except RuntimeError as error:
                errors.append(str(error))

    grt.current_loop().call_soon(callback)
    grt.sleep(0.001)
    why = "this is a callback of the event loop; start a goroutine for it with grt.go"
    assert errors == [f"cannot block here: {why}"] * 3


def test_a_finalizer_run_by_the_collector_cannot_block_and_is_told_so():
    errors = []

    class Cycle:
        def __init__(self):
            self.me = self

        def __del__(self):
            try:
                grt.sleep(0.001)
            except RuntimeError as error:
                errors.append(str(error))

    def make():
        Cycle()
        gc.collect()

    grt.go(make).result()
    assert len(errors) == 1 and "this is a finalizer" in errors[0]
    assert grt.go(max, 1, 2).result() == 2


def test_a_finalizer_cannot_block_in_a_thread_that_had_not_used_grt_before_either():
    errors = []

    class Knot:
        def __init__(self):
            self.self = self

        def __del__(self):
            try:
                grt.sleep(0)
            except RuntimeError as error:
                errors.append(str(error))

    def program():
        Knot()
        gc.collect()
        grt.sleep(0)  # the collection is over

    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "this is a finalizer" in errors[0]


def test_what_an_ended_goroutine_leaves_cannot_block_and_is_told_so():
    errors = []

    class Left:
        def __del__(self):
            try:
                grt.sleep(0.001)
            except RuntimeError as error:
                errors.append(str(error))

    grt.go(Left)
    grt.sleep(0.001)
    assert len(errors) == 1 and "this goroutine has ended" in errors[0]


# -- threads


def test_the_end_of_a_thread_runs_the_finally_blocks_of_its_goroutines():
    log = []

    def hold(number):
        try:
            grt.sleep(60)
        finally:
            log.append(number)

    def program():
        for number in range(5):
            grt.go(hold, number)
        grt.gosched()

    run_in_thread(program)
    assert sorted(log) == [0, 1, 2, 3, 4]


def test_cleaning_up_at_the_end_of_a_thread_cannot_block_and_is_told_so():
    errors = []

    def hold():
        try:
            grt.sleep(60)
        finally:
            try:
                grt.sleep(0)
            except RuntimeError as error:
                errors.append(str(error))

    def program():
        grt.go(hold)
        grt.gosched()

    run_in_thread(program)
    assert errors == ["cannot block here: its thread is ending"]


def test_the_end_of_a_thread_gives_descriptors_back():
    before = len(os.listdir("/dev/fd"))

    def serve(listener):
        with listener:
            for conn in listener:
                conn.close()

    def program():
        listener = grt.listen("tcp", "127.0.0.1:0")
        grt.go(serve, listener)
        near = grt.dial("tcp", listener.addr)

        def hold():
            with near:
                grt.sleep(60)

        grt.go(hold)
        grt.gosched()

    for _ in range(20):
        run_in_thread(program)
    assert len(os.listdir("/dev/fd")) == before


def test_who_joins_a_goroutine_of_a_thread_that_ends_is_told():
    started = threading.Event()
    found = []

    def program():
        found.extend([grt.go(grt.sleep, 60), grt.go(grt.sleep, 60)])
        grt.gosched()
        found.append(grt.go(len, b""))  # never gets to run
        started.set()

    thread = threading.Thread(target=program)
    thread.start()
    started.wait()
    for g in found:
        with pytest.raises(grt.Cancelled, match="ended with its thread"):
            g.result()
    thread.join()
    assert all(g.done and g.cancel() is False for g in found)


def test_a_goroutine_cannot_be_run_by_another_thread():
    g = grt.go(grt.sleep, 60)
    grt.gosched()
    errors = []

    def program():
        grt.current().proc.push(g)
        try:
            grt.gosched()
        except RuntimeError as error:
            errors.append(str(error))

    run_in_thread(program)
    end(g)
    assert len(errors) == 1 and re.match(r"<Goroutine \d+ sleep \w+> belongs to another thread", errors[0])


def test_thousands_of_threads_leave_nothing_behind():
    def program():
        return grt.go(grt.current).result().id

    before = len(os.listdir("/dev/fd"))
    identities = [run_in_thread(program) for _ in range(300)]
    assert len(set(identities)) == 300 and len(os.listdir("/dev/fd")) == before


# -- the end of the interpreter


@pytest.mark.parametrize("blocked", ["grt.sleep, 1000", "listener.accept", "near.read", "grt.go(grt.sleep, 5).join"])
def test_the_end_of_the_program_with_blocked_goroutines_is_silent(blocked):
    program = f"""
        import grt
        listener = grt.listen("tcp", "127.0.0.1:0")
        near, far = grt.dial("tcp", listener.addr), listener.accept()
        held = [grt.go({blocked}) for _ in range(10)]
        grt.gosched()
        unheld = grt.go({blocked}).id
        grt.sleep(0.01)
        never_started = grt.go(print, "no")
        near.close(), far.close(), listener.close()
    """
    assert run_program(program) == (0, "", "")


def test_the_end_of_the_program_runs_finally_blocks():
    program = """
        import grt
        def hold():
            try:
                grt.sleep(1000)
            finally:
                print("cleaned up")
        grt.go(hold)
        grt.gosched()
    """
    assert run_program(program) == (0, "cleaned up\n", "")


def test_an_exception_nobody_took_is_reported_at_the_end_of_the_program():
    status, _, err = run_program("import grt; g = grt.go(int, 'x'); grt.gosched()")
    assert status == 0 and "invalid literal" in err and "Exception ignored" not in err
