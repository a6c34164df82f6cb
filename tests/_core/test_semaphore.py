"""Mutex, Semaphore and the queue of those who wait for a state. (How their waits end: tests/test_sync.py.)"""

import gc
import threading

import pytest

import grt
from grt._core.semaphore import WaitQueue, pace
from grt.sync import Mutex, Semaphore
from tests.goroutines import NO_GIL, blocked, end

NEVER = float("inf")


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


def test_a_mutex_handed_on_is_not_free_for_one_who_comes_in_between():
    mutex = Mutex()
    mutex.lock()
    g = blocked(mutex.lock)
    mutex.unlock()
    assert mutex.locked and not mutex.try_lock()
    g.result()


def test_trying_never_waits():
    mutex, semaphore = Mutex(), Semaphore(1)
    assert mutex.try_lock() and not mutex.try_lock()
    assert semaphore.try_acquire() and not semaphore.try_acquire()
    mutex.unlock()
    semaphore.release()
    assert mutex.try_lock() and semaphore.try_acquire()


def test_unlocking_what_is_not_locked_is_an_error():
    with pytest.raises(RuntimeError, match="unlocked Mutex"):
        Mutex().unlock()
    with pytest.raises(RuntimeError, match="all 2 permits are free"):
        Semaphore(2).release()


def test_a_semaphore_lets_so_many_in():
    semaphore = Semaphore(2)
    semaphore.acquire()
    semaphore.acquire()
    with pytest.raises(TimeoutError, match=r"<Semaphore 0/2 free at .* was not free within 0\.001 s"):
        semaphore.acquire(timeout=0.001)
    semaphore.release()
    assert semaphore.free == 1
    with semaphore:
        assert semaphore.free == 0
    for permits in (0, -1):
        with pytest.raises(ValueError, match=f"not {permits}"):
            Semaphore(permits)


def test_a_second_holder_by_force_is_a_holder_more():
    mutex = Mutex()
    mutex.lock()
    mutex.lock_anyway()
    waiting = blocked(mutex.lock)
    mutex.unlock()
    grt.gosched()
    assert mutex.locked and not waiting.done and not mutex.try_lock()
    mutex.unlock()
    waiting.result()
    mutex.unlock()
    assert not mutex.locked


@pytest.mark.skipif(NO_GIL, reason="the collector runs when it likes there")
def test_a_finalizer_that_gives_a_permit_in_the_midst_of_a_wait_for_it_loses_nothing():
    mutex, gate = Mutex(), grt.chan()
    spare = [blocked(gate.recv_ok) for _ in range(100)]  # so that the next to wait has to allocate what it waits by
    threshold = gc.get_threshold()

    class Holder:
        def __init__(self):
            self.me = self  # garbage that the collector alone finds

        def __del__(self):
            gc.set_threshold(*threshold)
            mutex.unlock()

    def work():
        gc.set_threshold(1)  # the next allocation collects
        mutex.lock(timeout=5)

    gc.collect()
    mutex.lock()
    gc.set_threshold(0)
    Holder()
    g = grt.go(work)
    try:
        g.result()
    finally:
        gc.set_threshold(*threshold)
        gate.close()
        for other in spare:
            other.join()
    mutex.unlock()
    assert not mutex.locked


# -- WaitQueue


class Place:
    """A state that goroutines wait for, and who left it."""

    def __init__(self):
        self.guard = threading.Lock()
        self.queue = WaitQueue()
        self.left = []

    def wait(self, deadline=NEVER):
        self.guard.acquire()
        return self.queue.wait(self.guard, "news", deadline, self.note_left)

    def note_left(self, woken):
        assert self.guard.locked()
        self.left.append(woken)

    def wake(self, count=1):
        with self.guard:
            return self.queue.wake(count)


def test_a_queue_wakes_the_first_who_wait():
    place = Place()
    waiting = [blocked(place.wait) for _ in range(4)]
    assert (len(place.queue), bool(place.queue)) == (4, True)
    assert (place.wake(), place.wake(2)) == (1, 2)
    assert [g.result() for g in waiting[:3]] == [True] * 3 and not waiting[3].done
    assert waiting[3].on == "news"
    with place.guard:
        assert (place.queue.wake_all(), place.queue.wake_all(), place.queue.wake()) == (1, 0, 0)
    assert waiting[3].result() and place.left == [] and not place.queue


def test_one_that_leaves_a_queue_is_counted_until_it_has_left():
    place = Place()
    g = blocked(place.wait)
    g.cancel()
    assert place.queue and place.wake() == 0
    g.join()
    assert place.left == [False] and not place.queue and not place.guard.locked()


def test_a_deadline_is_told_by_the_value_and_one_before_the_wait_too():
    place = Place()
    assert place.wait(0.0) is False and place.left == [False]
    with pytest.raises(TimeoutError, match=r"grt\.timeout"), grt.timeout(0):
        place.wait()
    assert place.left == [False, False] and not place.queue and not place.guard.locked()


def test_where_nothing_may_block_a_queue_is_left_before_it_is_joined():
    place, errors = Place(), []

    def callback():
        try:
            place.wait()
        except RuntimeError as error:
            errors.append(error)

    grt.current_loop().call_soon(callback)
    grt.sleep(0.001)
    assert len(errors) == 1 and place.left == [False] and not place.queue and not place.guard.locked()


def test_one_whose_thread_ends_tells_whether_it_had_been_woken():
    place, parked, go_on = Place(), threading.Event(), threading.Event()

    def work():
        blocked(place.wait)
        blocked(place.wait)
        parked.set()
        go_on.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert parked.wait(60) and place.wake() == 1
    go_on.set()
    thread.join()
    assert sorted(place.left) == [False, True] and not place.queue


def test_pace_raises_what_is_pending_and_gives_way_now_and_then():
    ran = []
    grt.go(ran.append, "another")
    for _ in range(1000):
        pace()
    assert ran == ["another"]

    def work():
        grt.current().cancel()
        pace()

    g = grt.go(work)
    with pytest.raises(grt.Cancelled):
        g.result()
    end(blocked(grt.sleep, 60))
