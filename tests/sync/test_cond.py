"""Cond. (What all waits promise: tests/test_sync.py.)"""

import threading
from typing import Any

import pytest

import grt
from grt.sync import Cond, Mutex
from tests.goroutines import blocked, end


def wait(cond, note, name):
    with cond:
        cond.wait()
        assert cond.mutex.locked
        note.append(name)


def test_waiting_lets_go_of_the_mutex_and_takes_it_again():
    cond, note = Cond(), []
    g = blocked(wait, cond, note, "a")
    assert not cond.mutex.locked
    with cond:
        cond.notify()
        grt.gosched()
        assert note == []
    g.result()
    assert note == ["a"] and not cond.mutex.locked


def test_notify_wakes_the_first_and_notify_all_the_rest():
    cond, note = Cond(), []
    goroutines = [blocked(wait, cond, note, name) for name in "abcde"]
    cond.notify()
    goroutines[0].result()
    cond.notify(2)
    goroutines[2].result()
    assert note == ["a", "b", "c"]
    cond.notify_all()
    for g in goroutines:
        g.result()
    assert note == list("abcde")
    cond.notify_all()
    cond.notify(9)


def test_waiting_without_the_mutex_is_an_error():
    cond = Cond(Mutex())
    with pytest.raises(RuntimeError, match="can only be waited for with its mutex locked"):
        cond.wait()
    with pytest.raises(RuntimeError, match="with its mutex locked"):
        cond.wait_for(lambda: False)
    assert not cond.mutex.locked and not cond._queue
    with cond:
        pass


@pytest.mark.parametrize("n", ["x", 1.5, None])
def test_it_notifies_a_whole_number(n):
    with pytest.raises(TypeError, match="integer"):
        Cond().notify(n)


async def some_coroutine():
    pass


def test_a_coroutine_function_is_no_predicate():
    with Cond() as cond, pytest.raises(TypeError, match="async"):
        _ = cond.wait_for(some_coroutine)


def test_several_conds_can_share_a_mutex():
    mutex, note = Mutex(), []
    full, empty = Cond(mutex), Cond(mutex)
    goroutines = [blocked(wait, full, note, "full"), blocked(wait, empty, note, "empty")]
    empty.notify()
    goroutines[1].result()
    full.notify()
    goroutines[0].result()
    assert note == ["empty", "full"]


def test_a_cancellation_while_it_locks_again_is_the_next_calls():
    cond, note = Cond(), []

    def work():
        with cond:
            cond.wait()
            note.append(cond.mutex.locked)
            grt.sleep(60)

    g = blocked(work)
    with cond:
        cond.notify()
        grt.gosched()  # it waits for the mutex
        g.cancel()
        grt.gosched()
        assert note == []
    with pytest.raises(grt.Cancelled):
        g.result()
    assert note == [True] and not cond.mutex.locked


@pytest.mark.parametrize("how", ["timeout", "scope", "cancel"])
def test_the_mutex_is_locked_again_however_long_that_takes(how):
    cond = Cond()
    note: list[Any] = []

    def work():
        with cond:
            try:
                if how == "scope":
                    with grt.timeout(0.001):
                        cond.wait()
                else:
                    cond.wait(0.001 if how == "timeout" else None)
            except (TimeoutError, grt.Cancelled) as error:
                note.append((type(error), list(note)))
                grt.sleep(0.001)

    g = blocked(work)
    with cond:
        if how == "cancel":
            g.cancel()
        grt.sleep(0.01)
        note.append("let go")
    g.join()
    assert note[1][1] == ["let go"] and not cond.mutex.locked
    assert note[1][0] is (grt.Cancelled if how == "cancel" else TimeoutError)


def test_wait_for_looks_again_until_it_is_true():
    cond, jobs, tries = Cond(), [], []

    def look():
        tries.append(len(jobs))
        return jobs[1:]

    def work():
        with cond:
            return cond.wait_for(look)

    g = blocked(work)
    for job in "ab":
        with cond:
            jobs.append(job)
            cond.notify()
        grt.gosched()
    assert g.result() == ["b"] and tries == [0, 1, 2]


def test_wait_for_has_one_timeout_for_all_and_a_last_look():
    cond = Cond()
    with cond:
        with pytest.raises(TimeoutError, match=r"did not come about within 0\.001 s"):
            cond.wait_for(lambda: False, timeout=0.001)
        looks = iter([0, 7])
        assert cond.wait_for(lambda: next(looks), timeout=0.001) == 7
        assert cond.wait_for(lambda: 3, timeout=0) == 3
        with pytest.raises(ZeroDivisionError):
            cond.wait_for(lambda: 1 / 0)
        assert cond.mutex.locked


def test_a_thread_that_ends_unlocks_nothing_that_others_hold():
    cond, parked, go_on = Cond(), threading.Event(), threading.Event()

    def wait():
        with cond:
            cond.wait()

    def work():
        blocked(wait)
        parked.set()
        go_on.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert parked.wait(60)
    with cond:
        go_on.set()
        thread.join()
        assert cond.mutex.locked
        other = blocked(wait)
        grt.gosched()
    end(other)
    assert not cond.mutex.locked


def test_a_pipe_of_conds_loses_no_news_between_threads():
    cond, items, got = Cond(), [], []

    def produce():
        for i in range(300):
            with cond:
                cond.wait_for(lambda: len(items) < 3)
                items.append(i)
                cond.notify_all()

    def consume():
        for _ in range(100):
            with cond:
                cond.wait_for(lambda: items)
                got.append(items.pop(0))
                cond.notify_all()

    def consumers():
        for g in [grt.go(consume) for _ in range(3)]:
            g.result()

    threads = [threading.Thread(target=fn) for fn in (produce, consumers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == list(range(300))


@pytest.mark.parametrize("wrong", [5, threading.Lock()])
def test_it_is_about_a_mutex(wrong):
    with pytest.raises(TypeError, match=r"a grt\.sync\.Mutex guards, not"):
        Cond(wrong)
