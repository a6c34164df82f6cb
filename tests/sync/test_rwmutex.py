"""RWMutex: who goes in when, and misuse. (What all waits promise: tests/test_sync.py.)"""

import random
import threading

import pytest

import grt
from grt.sync import RWMutex
from tests.goroutines import blocked, end


def read(rw, note, name, gate=None):
    with rw.reading():
        note.append(name)
        if gate is not None:
            gate.recv_ok()


def write(rw, note, name, gate=None):
    with rw:
        note.append(name)
        if gate is not None:
            gate.recv_ok()


def test_readers_are_in_together_and_a_writer_alone():
    rw, note, gate = RWMutex(), [], grt.chan()
    readers = [blocked(read, rw, note, name, gate) for name in "ab"]
    assert (rw.readers, rw.locked, note) == (2, False, ["a", "b"])
    writer = blocked(write, rw, note, "W")
    gate.close()
    for g in (*readers, writer):
        g.result()
    assert note == ["a", "b", "W"] and (rw.readers, rw.locked) == (0, False)


def test_a_waiting_writer_keeps_new_readers_out():
    rw, note = RWMutex(), []
    rw.rlock()
    writer, reader = blocked(write, rw, note, "W"), blocked(read, rw, note, "r")
    assert not rw.try_rlock()
    rw.runlock()
    for g in (writer, reader):
        g.result()
    assert note == ["W", "r"]


def test_readers_who_waited_for_a_writer_go_before_the_next_writer():
    rw, note = RWMutex(), []
    rw.lock()
    goroutines = [
        blocked(write, rw, note, "W"),
        blocked(read, rw, note, "r"),
        blocked(write, rw, note, "X"),
        blocked(read, rw, note, "s"),
    ]
    rw.unlock()
    assert rw.readers == 2 and not rw.try_rlock()
    for g in goroutines:
        g.result()
    assert note == ["r", "s", "W", "X"]


@pytest.mark.parametrize("leave", ["timeout", "cancel"])
def test_readers_need_not_wait_for_a_writer_who_has_left(leave):
    rw, note = RWMutex(), []
    rw.rlock()
    writer = blocked(rw.lock, 0.001) if leave == "timeout" else blocked(rw.lock)
    reader = blocked(read, rw, note, "r")
    if leave == "cancel":
        writer.cancel()
    reader.result()
    writer.join()
    rw.runlock()
    assert note == ["r"] and (rw.readers, rw.locked) == (0, False)


def test_of_two_waiting_writers_one_that_leaves_lets_no_reader_past_the_other():
    rw, note = RWMutex(), []
    rw.rlock()
    first, second, reader = blocked(rw.lock), blocked(write, rw, note, "W"), blocked(read, rw, note, "r")
    end(first)
    assert note == []
    rw.runlock()
    for g in (second, reader):
        g.result()
    assert note == ["W", "r"]


def test_trying_takes_it_only_if_that_needs_no_waiting():
    rw = RWMutex()
    assert rw.try_rlock() and rw.try_rlock() and not rw.try_lock()
    rw.runlock()
    rw.runlock()
    assert rw.try_lock() and not rw.try_lock() and not rw.try_rlock()
    rw.unlock()
    assert (rw.readers, rw.locked) == (0, False)


def test_unlocking_what_one_does_not_hold_is_an_error():
    rw = RWMutex()
    with pytest.raises(RuntimeError, match=r"runlock of <RWMutex unlocked at .*no reader holds"):
        rw.runlock()
    with rw.reading(), pytest.raises(RuntimeError, match=r"unlock of <RWMutex 1 readers at .*no writer holds"):
        rw.unlock()
    with rw, pytest.raises(RuntimeError, match="RWMutex locked"):
        rw.runlock()
    assert (rw.readers, rw.locked) == (0, False)


def test_another_goroutine_may_unlock_it():
    rw = RWMutex()
    rw.lock()
    grt.go(rw.unlock).result()
    rw.rlock()
    grt.go(rw.runlock).result()
    assert rw.try_lock()


def test_it_is_given_back_when_the_body_raises():
    rw = RWMutex()
    with pytest.raises(ZeroDivisionError), rw:
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), rw.reading():
        raise ZeroDivisionError
    assert (rw.readers, rw.locked) == (0, False)


def test_readers_of_several_threads_never_see_half_a_change():
    rw, pair, seen = RWMutex(), [0, 0], []

    def work(seed):
        rng = random.Random(seed)
        for _ in range(200):
            if rng.random() < 0.2:
                with rw:
                    pair[0] += 1
                    grt.gosched()
                    pair[1] += 1
            else:
                with rw.reading():
                    seen.append(pair[0] - pair[1])

    def start(seed):
        for g in [grt.go(work, seed + i) for i in range(4)]:
            g.result()

    threads = [threading.Thread(target=start, args=(10 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {0} and pair[0] == pair[1] > 0 and (rw.readers, rw.locked) == (0, False)
