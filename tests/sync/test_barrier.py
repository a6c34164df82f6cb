"""Barrier. (What all waits promise: tests/test_sync.py.)"""

import threading
from threading import BrokenBarrierError
from typing import Any

import pytest

import grt
from grt.sync import Barrier
from tests.goroutines import blocked, end


def test_all_wait_until_the_last_has_come_and_each_learns_its_place():
    barrier = Barrier(3)
    goroutines = [blocked(barrier.wait) for _ in range(2)]
    assert (barrier.n_waiting, barrier.parties, barrier.broken) == (2, 3, False)
    assert barrier.wait() == 2
    assert [g.result() for g in goroutines] == [0, 1] and barrier.n_waiting == 0


def test_it_serves_round_after_round():
    barrier, note = Barrier(3), []

    def work(name):
        for lap in range(4):
            note.append(lap)
            barrier.wait()

    for g in [grt.go(work, name) for name in "abc"]:
        g.result()
    assert note == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_one_party_never_waits():
    barrier = Barrier(1)
    assert (barrier.wait(), barrier.wait(timeout=0)) == (0, 0)
    for parties in (0, -1):
        with pytest.raises(ValueError, match=f"not {parties}"):
            Barrier(parties)


def test_abort_breaks_it_until_reset():
    barrier = Barrier(3)
    waiting = blocked(barrier.wait)
    barrier.abort()
    with pytest.raises(BrokenBarrierError):
        waiting.result()
    with pytest.raises(BrokenBarrierError, match="Barrier broken"):
        barrier.wait()
    assert barrier.broken and barrier.n_waiting == 0
    barrier.reset()
    assert not barrier.broken
    waiting = blocked(barrier.wait)
    assert barrier.n_waiting == 1
    end(waiting)


def test_reset_tells_those_who_wait_and_begins_anew():
    barrier = Barrier(2)
    waiting = blocked(barrier.wait)
    barrier.reset()
    other = blocked(barrier.wait)
    with pytest.raises(BrokenBarrierError):
        waiting.result()
    assert barrier.wait() == 1 and other.result() == 0 and not barrier.broken


@pytest.mark.parametrize("leave", ["timeout", "scope", "cancel", "thread"])
def test_one_that_leaves_breaks_it_for_the_others(leave):
    barrier = Barrier(3)
    other = blocked(barrier.wait)
    if leave == "cancel":
        end(blocked(barrier.wait))
    elif leave == "thread":
        thread = threading.Thread(target=blocked, args=[barrier.wait])
        thread.start()
        thread.join()
    else:
        with pytest.raises(TimeoutError), grt.timeout(0.001 if leave == "scope" else None):
            barrier.wait(0.001 if leave == "timeout" else None)
    with pytest.raises(BrokenBarrierError):
        other.result()
    assert barrier.broken


def test_one_whose_deadline_comes_as_the_round_is_complete_has_passed():
    barrier = Barrier(2)
    late = blocked(barrier.wait, 0)
    proc: Any = late.proc
    proc.turn(0.0)  # its deadline has come, and it has not run yet
    assert barrier.wait() == 1
    assert late.result() == 0 and not barrier.broken


def test_threads_meet_there():
    barrier, note = Barrier(4), []

    def work():
        for lap in range(50):
            note.append(lap)
            barrier.wait(timeout=60)

    def start():
        for g in [grt.go(work), grt.go(work)]:
            g.result()

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert note == sorted(note) and len(note) == 200
