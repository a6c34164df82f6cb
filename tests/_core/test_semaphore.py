"""Mutex, Semaphore and the queue of those who wait for a state."""

import pytest

import grt
from grt.sync import Mutex, Semaphore


def test_a_mutex_is_handed_to_those_who_wait_in_order():
    mutex, note = Mutex(), []

    def work(name):
        with mutex:
            note.append(name)
            grt.gosched()

    mutex.lock()
    goroutines = [grt.go(work, name) for name in "abc"]
    grt.gosched()
    mutex.unlock()
    for g in goroutines:
        g.join()
    assert note == ["a", "b", "c"] and not mutex.locked


def test_unlocking_what_is_not_locked_is_an_error():
    with pytest.raises(RuntimeError, match="unlocked Mutex"):
        Mutex().unlock()


def test_a_semaphore_lets_so_many_in():
    semaphore = Semaphore(2)
    semaphore.acquire()
    semaphore.acquire()
    with pytest.raises(TimeoutError):
        semaphore.acquire(timeout=0.001)
    semaphore.release()
    assert semaphore.free == 1
