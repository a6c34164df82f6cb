"""Event. (What all waits promise: tests/test_sync.py.)"""

import threading

import pytest

import grt
from grt.sync import Event
from tests.child import run_program
from tests.goroutines import blocked


def test_setting_wakes_all_who_wait_and_waiting_then_returns_at_once():
    event = Event()
    waiting = [blocked(event.wait) for _ in range(3)]
    assert not event.is_set()
    event.set()
    assert [g.result() for g in waiting] == [True] * 3
    assert event.is_set() and event.wait(timeout=0)


def test_those_who_come_after_clear_wait_again():
    event = Event()
    early = blocked(event.wait)
    event.set()
    event.set()
    event.clear()
    early.result()  # it was woken, though the flag is down again
    with pytest.raises(TimeoutError, match=r"<Event not set at .* was not set within 0\.001 s"):
        event.wait(timeout=0.001)


def test_threads_and_goroutines_can_pass_a_token_around():
    events, laps = [Event() for _ in range(4)], []

    def work(i):
        for _ in range(200):
            events[i].wait(timeout=60)
            events[i].clear()
            laps.append(i)
            events[(i + 1) % 4].set()

    threads = [threading.Thread(target=work, args=(i,)) for i in (1, 3)]
    for thread in threads:
        thread.start()
    goroutines = [grt.go(work, i) for i in (0, 2)]
    events[0].set()
    for g in goroutines:
        g.result()
    for thread in threads:
        thread.join()
    assert laps == [0, 1, 2, 3] * 200


def test_one_who_sets_it_while_the_guard_is_held_leaves_the_waking_to_the_holder():
    event = Event()
    g = blocked(event.wait)
    event._guard.acquire()
    event.set()  # as a signal's handler may, in the midst of this thread's own wait
    grt.gosched()
    assert not g.done
    event._guard.release()
    assert g.result()


def test_one_set_in_the_midst_of_a_wait_ends_that_wait():
    event = Event()

    class Interrupted:
        """A guard during whose last moment a signal's handler sets the event."""

        acquire = event._guard.acquire

        def release(self):
            event.set()
            event._guard.release()

    deadline = float("inf")
    guard = Interrupted()
    guard.acquire()
    assert event._queue.wait(guard, event, deadline)


def test_a_signals_handler_may_set_it_at_any_moment():
    program = """
        import grt, signal
        event, count, loop = grt.sync.Event(), 0, grt.current_loop()
        def on_alarm(*_):
            global count
            count += 1
            if grt.__compiled__:
                event.set()
            else:
                loop.call_soon(event.set)
        def work():
            while count < 2000:
                event.wait(timeout=50)
                event.clear()
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        goroutines = [grt.go(work) for _ in range(3)]
        while count < 2000:
            try:
                event.wait(timeout=0)
            except TimeoutError:
                pass
            event.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        while not all(g.done for g in goroutines):
            event.set()
            grt.gosched()
        print("done")
    """
    assert run_program(program) == (0, "done\n", "")
