"""The heap of deadlines: order, cancelling, re-arming, and a long random run against a sorted list."""

import math
import random
import threading

import pytest

from grt._core.timers import Timer, Timers, deadline_of, now, set_clock, virtual_now


def drain(timers, until=math.inf):
    found = []
    while (timer := timers.pop_due(until)) is not None:
        found.append(timer)
    return found


def armed(timers, *moments):
    made = [Timer() for _ in moments]
    for timer, moment in zip(made, moments, strict=True):
        timers.arm(timer, moment)
    return made


def test_timers_expire_earliest_first():
    timers = Timers()
    late, early, middle = armed(timers, 3.0, 1.0, 2.0)
    assert timers.next_when() == 1.0
    assert drain(timers) == [early, middle, late]
    assert timers.next_when() == math.inf and len(timers) == 0


def test_timers_of_one_moment_expire_in_the_order_of_arming():
    timers = Timers()
    made = armed(timers, *[5.0] * 50)
    assert drain(timers) == made


def test_only_what_is_due_is_popped():
    timers = Timers()
    first, second = armed(timers, 1.0, 2.0)
    assert drain(timers, until=1.5) == [first]
    assert drain(timers, until=2.0) == [second]


def test_a_cancelled_timer_leaves_at_once():
    timers = Timers()
    first, second = armed(timers, 1.0, 2.0)
    assert timers.cancel(first) is True
    assert len(timers) == 1 and timers.cancel(first) is False
    assert drain(timers) == [second]


def test_arming_again_moves_a_timer():
    timers = Timers()
    first, second = armed(timers, 1.0, 2.0)
    timers.arm(first, 3.0)
    assert len(timers) == 2
    assert drain(timers) == [second, first]


@pytest.mark.parametrize("seed", range(5))
def test_random_arming_and_cancelling_agrees_with_a_sorted_list(seed):
    rng = random.Random(seed)
    timers, made, model, order = Timers(), [Timer() for _ in range(200)], {}, 0
    for _ in range(5000):
        which = rng.randrange(len(made))
        if rng.random() < 0.6:
            order += 1
            moment = float(rng.randrange(50))
            timers.arm(made[which], moment)
            model[which] = (moment, order)
        elif rng.random() < 0.5:
            assert timers.cancel(made[which]) == (model.pop(which, None) is not None)
        elif model:
            now = min(model.values())[0]
            due = sorted((key for key in model if model[key][0] <= now), key=model.__getitem__)
            assert [made.index(timer) for timer in drain(timers, now)] == due
            for key in due:
                del model[key]
        assert len(timers) == len(model)
        assert timers.next_when() == min(model.values(), default=(math.inf,))[0]


def test_a_timer_that_nobody_has_given_a_meaning_says_so():
    with pytest.raises(NotImplementedError):
        Timer().expire()


def test_deadline_of_none_never_comes():
    assert deadline_of(None) == math.inf


def test_deadlines_are_moments_from_now_and_may_have_passed():
    assert deadline_of(-1) < deadline_of(0) < deadline_of(1)


def test_a_timeout_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="number of seconds or None, not nan"):
        deadline_of(math.nan)
    with pytest.raises(TypeError, match="number of seconds or None, not '3'"):
        deadline_of("3")  # type: ignore[arg-type]


def test_a_virtual_clock_is_its_threads_alone():
    before = now()
    set_clock(5.0)
    try:
        seen = []
        thread = threading.Thread(target=lambda: seen.append(now()))
        thread.start()
        thread.join()
        assert (now(), virtual_now()) == (5.0, 5.0)
        set_clock(7.0)
        assert now() == 7.0
        assert seen[0] >= before
        assert deadline_of(2) == 9.0
    finally:
        set_clock(None)
    assert virtual_now() is None
    assert now() >= before
