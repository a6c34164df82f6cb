"""Scopes: which of several nested deadlines ends a call, and that none hits a call behind its scope."""

import threading

import pytest

import grt
from grt.scope import Scope
from tests.goroutines import blocked

LONG = 60


def test_the_earliest_of_nested_timeouts_ends_the_call_and_says_so():
    with grt.timeout(LONG) as outer:
        with pytest.raises(TimeoutError, match=r"0\.001 s of grt\.timeout"), grt.timeout(0.001) as inner:
            grt.sleep(LONG)
        assert inner.expired and not outer.expired
        grt.sleep(0.001)


def test_an_outer_deadline_that_is_earlier_passes_through_the_inner_scope():
    with pytest.raises(TimeoutError, match=r"0\.001 s"), grt.timeout(0.001) as outer, grt.timeout(LONG) as inner:
        grt.sleep(LONG)
    assert outer.expired and not inner.expired


def test_of_equal_deadlines_the_outermost_is_it():
    with pytest.raises(TimeoutError), grt.timeout(0) as outer, grt.timeout(0) as inner:
        grt.sleep(LONG)
    # the inner one began later, if only a moment: the outer is the earlier
    assert outer.expired and not inner.expired


def test_each_blocking_call_inside_ends_once_the_deadline_has_passed():
    with grt.timeout(0.001):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                grt.sleep(LONG)


def test_a_goroutine_started_inside_is_not_concerned():
    with pytest.raises(TimeoutError), grt.timeout(0.001):
        g = grt.go(grt.sleep, 0.01)
        grt.sleep(LONG)
    g.result(LONG)


def test_none_is_no_timeout():
    with grt.timeout(None) as scope:
        grt.sleep(0.001)
    assert not scope.expired


def test_a_scope_is_entered_once_at_a_time_and_may_be_used_again():
    scope = grt.timeout(LONG)
    with scope, pytest.raises(RuntimeError, match="entered already"):
        scope.__enter__()
    with scope:
        grt.sleep(0)


@pytest.mark.parametrize("wrong", ["1", [], object()])
def test_a_timeout_needs_a_number(wrong):
    with pytest.raises(TypeError, match="number of seconds or None"):
        grt.timeout(wrong)


def test_scopes_may_be_left_in_another_order_than_the_reverse_one():
    """Generators do that: their scopes are left when they are closed."""
    first, second = grt.timeout(LONG), grt.timeout(0.001)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(TimeoutError, match=r"0\.001"):
        grt.sleep(LONG)
    second.__exit__(None, None, None)
    grt.sleep(0.002)
    assert grt.current().scope is None


class Ended(Scope):
    __slots__ = ()

    def __enter__(self):
        self.open(float("inf"))
        return self

    def __exit__(self, *exc):
        self.shut()

    def error(self):
        return KeyError("ended")


def test_the_end_of_a_scope_ends_the_call_that_is_going_on_and_the_next():
    with Ended() as scope:
        grt.after_func(0.001, scope.end)
        for _ in range(2):
            with pytest.raises(KeyError, match="ended"):
                grt.sleep(LONG)
    grt.sleep(0)


def test_another_thread_may_end_a_scope():
    with Ended() as scope:
        threading.Timer(0.01, scope.end).start()
        with pytest.raises(KeyError, match="ended"):
            grt.sleep(LONG)


def test_the_end_of_a_scope_that_was_left_hits_nobody():
    with Ended() as scope:
        pass
    scope.end()
    grt.sleep(0.001)


def test_an_end_that_another_thread_asked_for_in_time_but_that_comes_late_hits_nobody():
    with Ended() as scope:
        thread = threading.Thread(target=scope.end)
        thread.start()
        thread.join()  # the loop has not turned since
    grt.sleep(0.001)


def test_the_end_of_an_outer_scope_ends_a_call_in_an_inner_one():
    with pytest.raises(KeyError), Ended() as outer, grt.timeout(LONG) as inner:
        grt.after_func(0.001, outer.end)
        grt.sleep(LONG)
    assert outer.expired and not inner.expired


def test_the_end_of_an_inner_scope_is_over_with_it():
    with Ended() as outer:
        with pytest.raises(KeyError), Ended() as inner:
            inner.end()
            grt.sleep(LONG)
        grt.sleep(0.001)
    assert inner.expired and not outer.expired


def test_a_goroutines_scope_ends_its_calls_alone():
    def wait():
        with Ended() as scope:
            scopes.append(scope)
            grt.sleep(LONG)

    scopes: list[Ended] = []
    one, other = blocked(wait), blocked(wait)
    scopes[0].end()
    with pytest.raises(KeyError):
        one.result(LONG)
    assert not other.done
    scopes[1].end()
    with pytest.raises(KeyError):
        other.result(LONG)
