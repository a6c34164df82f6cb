"""Calls that block a thread of the pool, and not the goroutines of the caller's."""

import contextvars
import gc
import os
import threading
import time
import traceback
import weakref
from unittest import mock

import pytest

import grt
from grt import offload
from tests.child import run_program
from tests.goroutines import all_idle, blocked

LONG = 60


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A pool of the test's own, whose threads have nothing to do at its end."""
    own = offload.Pool()
    monkeypatch.setattr(offload, "pool", own)
    yield own
    all_idle()
    monkeypatch.setattr(offload, "LINGER", 0)
    for _ in range(own.workers):  # so that each sees that nobody needs it
        grt.blocking(time.sleep, 0.001)


def hold(event, *more):
    event.wait(LONG)
    return more


def test_it_returns_what_the_function_returns():
    assert grt.blocking(pow, 2, 5, mod=7) == 4


def test_it_raises_what_the_function_raises_with_its_traceback():
    def fail():
        raise KeyError("spam")

    with pytest.raises(KeyError, match="spam") as caught:
        grt.blocking(fail)
    assert "fail" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_the_function_runs_in_another_thread_and_others_go_on_meanwhile():
    event = threading.Event()
    g = blocked(grt.blocking, hold, event, threading.get_ident)
    grt.sleep(0.001)
    assert not g.done
    event.set()
    assert g.result(LONG) == (threading.get_ident,)
    assert grt.blocking(threading.get_ident) != threading.get_ident()


def test_it_sees_the_callers_context():
    variable = contextvars.ContextVar("variable")
    variable.set("the caller's")
    assert grt.blocking(variable.get) == "the caller's"


def test_it_wants_a_function():
    with pytest.raises(TypeError, match="needs a function"):
        grt.blocking("spam")  # type: ignore[arg-type]


def test_calls_one_after_the_other_use_one_thread(pool):
    threads = set()
    for _ in range(20):
        threads.add(grt.blocking(threading.get_ident))
        all_idle()
    assert len(threads) == pool.workers == 1


def test_calls_at_the_same_time_use_as_many_threads(pool):
    event = threading.Event()
    goroutines = [blocked(grt.blocking, hold, event, number) for number in range(8)]
    assert pool.workers == 8
    event.set()
    assert [g.result(LONG) for g in goroutines] == [(number,) for number in range(8)]
    assert pool.workers == 8


def test_more_calls_than_threads_wait_their_turn(pool, monkeypatch):
    monkeypatch.setattr(offload, "LIMIT", 2)
    event, order = threading.Event(), []
    goroutines = [blocked(grt.blocking, hold, event) for _ in range(2)]
    goroutines += [blocked(grt.blocking, order.append, number) for number in range(6)]
    assert (pool.workers, len(pool.calls)) == (2, 6)
    grt.sleep(0.005)
    assert order == []
    event.set()
    for g in goroutines:
        g.result(LONG)
    assert sorted(order) == list(range(6))
    assert pool.workers == 2


def test_threads_that_nobody_needs_end(pool, monkeypatch):
    monkeypatch.setattr(offload, "LINGER", 0.01)
    event = threading.Event()
    goroutines = [blocked(grt.blocking, hold, event) for _ in range(4)]
    event.set()
    for g in goroutines:
        g.join(LONG)
    deadline = time.monotonic() + LONG
    while pool.workers:
        assert time.monotonic() < deadline
        grt.sleep(0.005)
    assert pool.idle == []
    assert grt.blocking(max, 1, 2) == 2  # and there is a new one when there is need again


def test_a_call_handed_over_at_the_moment_of_expiry_is_made(pool, monkeypatch):
    monkeypatch.setattr(offload, "LINGER", 0.0001)
    for number in range(300):
        assert grt.blocking(abs, number) == number
        if number % 3 == 0:
            time.sleep(0.0001)


def test_a_timeout_ends_the_wait_and_not_the_call():
    event, ended = threading.Event(), threading.Event()

    def work():
        event.wait(LONG)
        ended.set()

    with pytest.raises(TimeoutError), grt.timeout(0.005):
        grt.blocking(work)
    event.set()
    assert ended.wait(LONG)


def test_a_cancellation_ends_the_wait():
    event = threading.Event()
    g = blocked(grt.blocking, hold, event)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result(LONG)
    event.set()


def test_a_call_that_is_still_queued_when_its_caller_leaves_is_never_made(pool, monkeypatch):
    monkeypatch.setattr(offload, "LIMIT", 1)
    event, made = threading.Event(), []
    first = blocked(grt.blocking, hold, event)
    second = blocked(grt.blocking, made.append, 1)
    second.cancel()
    second.join(LONG)
    assert len(pool.calls) == 0
    event.set()
    first.result(LONG)
    assert grt.blocking(max, 1, 2) == 2
    assert made == []


def test_a_late_exception_is_reported():
    event, reported = threading.Event(), threading.Event()
    errors = []

    def fail():
        event.wait(LONG)
        raise KeyError("late")

    def hook(uncaught):
        errors.append((repr(uncaught.error), uncaught.name))
        reported.set()

    with mock.patch.object(grt, "excepthook", hook):
        g = blocked(grt.blocking, fail)
        g.cancel()
        g.join()
        event.set()
        assert reported.wait(LONG)
    assert errors[0][0] == "KeyError('late')" and "fail" in errors[0][1]


def test_blocking_in_blocking_works():
    assert grt.blocking(grt.blocking, grt.blocking, max, 1, 2) == 2


def test_it_may_be_called_in_any_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(grt.blocking(max, 1, 2)))
    thread.start()
    thread.join(LONG)
    assert found == [2]


def test_it_must_not_be_called_where_nothing_may_block():
    errors = []

    def callback():
        try:
            grt.blocking(print, "never")
        except RuntimeError as error:
            errors.append(str(error))

    grt.current_loop().call_soon(callback)
    grt.sleep(0.001)
    assert "cannot block here" in errors[0]


def test_a_system_without_another_thread_makes_the_calls_with_those_it_has(pool):
    event = threading.Event()
    first = blocked(grt.blocking, hold, event)
    with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        second = blocked(grt.blocking, max, 1, 2)
    event.set()
    first.result(LONG)
    assert second.result(LONG) == 2
    assert pool.workers == 1


def test_a_system_without_any_thread_says_so(pool):
    none = mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread"))
    with none, pytest.raises(RuntimeError, match="can't start new thread"):
        grt.blocking(max, 1, 2)
    assert pool.workers == 0


def test_neither_arguments_nor_results_are_kept():
    class Big:
        pass

    big = Big()
    ref = weakref.ref(big)
    assert grt.blocking(lambda thing: thing, big) is big
    all_idle()
    del big
    gc.collect()
    assert ref() is None


def test_many_calls_of_many_threads_are_all_made():
    made = []
    guard = threading.Lock()

    def work(number):
        with guard:
            made.append(number)

    def caller(start):
        goroutines = [grt.go(grt.blocking, work, start + n) for n in range(200)]
        for g in goroutines:
            g.result(LONG)

    threads = [threading.Thread(target=caller, args=[start]) for start in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert sorted(made) == [start + n for start in (0, 1000, 2000) for n in range(200)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_pool_of_its_own():
    status, output, errors = run_program(
        """
        import os, warnings, grt
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        grt.blocking(int)
        pid = os.fork()
        if pid == 0:
            from grt import offload
            os._exit(0 if offload.pool.workers == 0 else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), grt.blocking(max, 1, 2))
        """
    )
    assert (status, output, errors) == (0, "0 2\n", "")


def test_the_program_ends_though_calls_hang():
    status, output, errors = run_program(
        """
        import time, grt
        def main():
            grt.go(grt.blocking, time.sleep, 600)
            grt.sleep(0.01)
            print("ended")
        grt.run(main)
        """
    )
    assert (status, output, errors) == (0, "ended\n", "")


def test_ctrl_c_ends_the_wait():
    status, output, errors = run_program(
        """
        import os, signal, time, grt
        def main():
            grt.after_func(0.01, os.kill, os.getpid(), signal.SIGINT)
            grt.blocking(time.sleep, 600)
        try:
            grt.run(main)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (status, output, errors) == (0, "interrupted\n", "")


def test_a_call_that_is_made_is_no_deadlock_and_idle_threads_are_no_hope():
    status, output, errors = run_program(
        """
        import time, grt
        grt.blocking(time.sleep, 0.4)  # longer than it takes to see that all is silent
        print("woken")
        try:
            grt.chan().recv()
        except grt.Deadlock:
            print("deadlock")
        """
    )
    assert (status, output, errors) == (0, "woken\ndeadlock\n", "")


async def some_coroutine():
    pass


def test_a_coroutine_function_is_refused():
    with pytest.raises(TypeError, match="async"):
        _ = grt.blocking(some_coroutine)
