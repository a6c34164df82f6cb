"""Join, result and cancel; and that every park has one winner."""

import contextlib
import random
import threading
import traceback

import pytest

import grt
from grt._core.goroutine import fire
from tests.goroutines import blocked, end

NEVER = float("inf")


def clean_up(log):
    try:
        grt.sleep(60)
    finally:
        grt.sleep(0.001)
        log.append("cleaned up")


def test_goroutines_are_not_made_by_hand():
    with pytest.raises(TypeError, match=r"started with grt\.go"):
        grt.Goroutine()


def test_everyone_who_joins_is_woken_in_order():
    g = blocked(grt.sleep, 0.01)
    woken = []

    def wait(number):
        g.join()
        woken.append(number)

    waiting = [grt.go(wait, number) for number in range(5)]
    for other in waiting:
        other.join()
    assert woken == [0, 1, 2, 3, 4] and g.done


def test_join_of_one_that_has_ended_returns_at_once():
    g = grt.go(max, 1, 2)
    g.join()
    g.join(0)
    assert g.result(timeout=0) == 2


@pytest.mark.parametrize("timeout", [0.001, 0, -1])
def test_join_and_result_give_up_at_their_timeout(timeout):
    g = blocked(grt.sleep, 60)
    with pytest.raises(TimeoutError, match=rf"{g.id} sleep parked> did not end within {timeout} s"):
        g.join(timeout)
    with pytest.raises(TimeoutError):
        g.result(timeout)
    end(g)


def test_nobody_can_wait_for_its_own_end():
    g = grt.go(lambda: grt.current().join())
    with pytest.raises(RuntimeError, match="cannot wait for its own end"):
        g.result()


def test_result_raises_what_ended_it():
    g = grt.go(int, "x")
    g.join()
    with pytest.raises(ValueError, match="invalid literal"):
        g.result()


def test_cancel_ends_a_blocking_call():
    g = blocked(grt.sleep, 60)
    assert g.cancel() is True
    with pytest.raises(grt.Cancelled, match=rf"goroutine {g.id} \(sleep\) was cancelled"):
        g.result()
    assert g.done and g.cancel() is False


def test_one_cancelled_before_its_start_never_starts():
    started = []
    g = grt.go(started.append, 1)
    assert g.cancel() is True
    with pytest.raises(grt.Cancelled):
        g.result()
    assert started == []


def test_one_cancelled_from_another_thread_before_its_start_never_starts():
    started = []
    g = grt.go(started.append, 1)
    thread = threading.Thread(target=g.cancel)
    thread.start()
    thread.join()
    g.join()
    assert started == []


def test_a_runnable_goroutine_is_cancelled_at_its_next_blocking_call():
    log = []

    def work():
        grt.gosched()
        log.append("ran")
        grt.sleep(60)
        log.append("slept")

    g = blocked(work)
    g.cancel()
    g.join()
    assert log == ["ran"]


def test_one_that_cancels_itself_ends_at_its_next_blocking_call():
    log = []

    def work():
        grt.current().cancel()
        log.append("still runs")
        grt.gosched()
        log.append("never")

    grt.go(work).join()
    assert log == ["still runs"]


def test_cleaning_up_after_a_cancellation_may_block():
    log = []
    g = blocked(clean_up, log)
    g.cancel()
    g.join()
    assert log == ["cleaned up"]


def test_a_second_cancellation_before_the_first_is_raised_changes_nothing():
    log = []
    g = blocked(clean_up, log)
    g.cancel()
    g.cancel()
    g.join()
    assert log == ["cleaned up"]


def test_except_exception_does_not_swallow_a_cancellation():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                grt.sleep(60)

    g = blocked(stubborn)
    end(g)


def test_cancel_and_join_from_another_thread():
    g = blocked(grt.sleep, 60)
    errors = []

    def elsewhere():
        g.cancel()
        try:
            g.result()
        except grt.Cancelled as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    g.join()
    thread.join()
    assert len(errors) == 1


def test_a_thread_waits_for_many_goroutines_of_another():
    goroutines = [grt.go(grt.sleep, random.random() / 100) for _ in range(100)]
    ended = []

    def elsewhere():
        for g in goroutines:
            g.join()
        ended.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    for g in goroutines:
        g.join()
    thread.join()
    assert ended == [True]


def test_cancellations_from_another_thread_never_reach_a_later_call():
    """A cancellation raised while its canceller is still on its way must not end the next sleep as well."""
    rounds, early = 2000, []
    ready = threading.Semaphore(0)

    def work():
        for _ in range(rounds):
            try:
                ready.release()
                grt.sleep(60)
                early.append("a sleep ended by nothing")
            except grt.Cancelled:
                with grt.timeout(0.0001) as brief:
                    try:
                        grt.sleep(60)
                        early.append("a stale wake-up")
                    except TimeoutError:
                        pass
                assert brief.expired

    g = grt.go(work)

    def cancel():
        for _ in range(rounds):
            ready.acquire()
            g.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    g.result()
    thread.join()
    assert early == []


def test_fire_wins_once():
    g = blocked(grt.sleep, 60)
    assert fire(g) is True
    assert fire(g) is False
    g.join()
    assert fire(g) is False


EVENT, DEADLINE, CANCELLED = "event", "deadline", "cancelled"


def wait_once(place, deadline):
    """Parks in place, as every blocking call does, and says how that ended."""
    me = grt.current()
    place.append(me)
    me.arm("news")
    try:
        return EVENT if me.park(deadline) else DEADLINE
    except grt.Cancelled:
        return CANCELLED
    finally:
        place.clear()


def race(g, place, news, loop):
    """Everything in news happens in the same turn; returns what came first."""

    def event():
        fire(place[0])

    happenings = {EVENT: event, CANCELLED: g.cancel}
    first = None
    for name in news:
        if name in happenings:
            first = first or name
            loop.call_soon(happenings[name])
    return first


def test_each_park_has_one_winner_and_no_news_reaches_a_later_one():
    loop, place, random_ = grt.current_loop(), [], random.Random(2)
    outcomes, expected = [], []

    def work():
        for _ in range(10_000):
            news = random_.choices([EVENT, DEADLINE, CANCELLED], k=random_.randint(1, 3))
            when = -1.0 if DEADLINE in news else NEVER  # timers expire before queued calls
            first = race(grt.current(), place, news, loop)
            expected.append((DEADLINE if DEADLINE in news else first, first, CANCELLED in news))
            outcomes.append(wait_once(place, when))
            grt.current().arm("news")  # whatever lost must leave this one alone
            pending = False
            try:
                fired = grt.current().park(0.0)
            except grt.Cancelled:
                fired, pending = False, True
            outcomes.append((fired, pending))

    grt.go(work).result()
    for (winner, _, cancelled), outcome, (fired, pending) in zip(expected, outcomes[::2], outcomes[1::2], strict=True):
        assert outcome == winner
        assert not fired
        assert pending == (cancelled and winner != CANCELLED)


def test_the_traceback_of_an_error_does_not_grow_with_each_result():
    g = grt.go(lambda: 1 / 0)
    lengths = []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError) as raised:
            g.result()
        lengths.append(len(traceback.extract_tb(raised.value.__traceback__)))
    assert len(set(lengths)) == 1
