"""Groups: their goroutines end together, and no later than the block that starts them."""

import builtins
import gc
import sys
import threading
from typing import Any
from unittest import mock

import pytest

import grt
from tests.child import run_program
from tests.goroutines import blocked, living

LONG = 60
SEVERAL = sys.version_info >= (3, 11)  # whether Python has ExceptionGroup


def fail(error):
    raise error


@pytest.fixture(autouse=True)
def all_end():
    """No test leaves a goroutine behind, nor an exception that nobody hears of."""
    before = living()
    reported = []
    with mock.patch.object(grt, "excepthook", reported.append):
        yield
        gc.collect()
    assert [g for g in living() if g not in before] == []
    assert reported == []


def test_the_block_ends_when_all_have_ended():
    order = []

    def slow():
        grt.sleep(0.002)
        order.append("slow")

    with grt.group() as group:
        group.go(slow)
        group.go(order.append, "quick")
        order.append("body")
    assert order == ["body", "quick", "slow"]


def test_go_returns_a_goroutine_whose_result_is_at_hand():
    with grt.group() as group:
        results = [group.go(pow, 2, n, mod=None) for n in range(4)]
    assert [g.result() for g in results] == [1, 2, 4, 8]
    assert results[0].started_at is not None and results[0].started_at[0] == __file__


def test_an_empty_group_ends_at_once():
    with grt.group() as group:
        pass
    assert "ended" in repr(group)


def test_the_first_error_cancels_the_others_and_is_raised():
    ends = []

    def wait():
        try:
            grt.sleep(LONG)
        except grt.Cancelled:
            ends.append("cancelled")
            raise

    with pytest.raises(ZeroDivisionError), grt.group() as group:
        group.go(wait)
        group.go(wait)
        group.go(lambda: 1 / 0)
    assert ends == ["cancelled"] * 2


def test_an_error_ends_the_blocks_own_call_too():
    reached = []
    with pytest.raises(ZeroDivisionError), grt.group() as group:
        group.go(lambda: 1 / 0)
        grt.sleep(LONG)
        reached.append("behind")
    assert reached == []


def test_an_error_of_the_block_cancels_its_goroutines():
    with pytest.raises(KeyError, match="spam"), grt.group() as group:
        g = group.go(grt.sleep, LONG)
        raise KeyError("spam")
    assert g.done


def test_several_errors_are_raised_together_in_their_order():
    def fail_late():
        try:
            grt.sleep(LONG)
        finally:
            raise KeyError("late")

    errors: list[BaseException] = []
    try:
        with grt.group() as group:
            group.go(fail_late)
            group.go(fail, ValueError("first"))
    except BaseException as error:
        errors = list(error.exceptions) if SEVERAL else [error]  # type: ignore[attr-defined]
    assert [type(error) for error in errors] == ([ValueError, KeyError] if SEVERAL else [ValueError])
    assert [type(error) for error in group.errors] == [ValueError, KeyError]


@pytest.mark.skipif(not SEVERAL, reason="this Python has no ExceptionGroup")
def test_several_exceptions_make_an_exception_group():
    def fail_late():
        try:
            grt.sleep(LONG)
        finally:
            raise KeyError("late")

    several: Any = vars(builtins)["ExceptionGroup"]
    with pytest.raises(several) as caught, grt.group() as group:
        group.go(fail_late)
        grt.gosched()
        raise ValueError("of the block")
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]
    assert "2 errors" in str(caught.value)


def test_one_error_that_two_raise_counts_once():
    error = KeyError("the same")
    with pytest.raises(KeyError), grt.group() as group:
        g = group.go(fail, error)
        group.go(g.result)
    assert group.errors == [error]


def test_the_error_of_a_group_in_a_group_goes_outwards():
    def inner():
        with grt.group() as group:
            group.go(grt.sleep, LONG)
            group.go(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError), grt.group() as outer:
        other = outer.go(grt.sleep, LONG)
        outer.go(inner)
    assert other.done


def test_a_goroutine_that_alone_is_cancelled_is_no_error():
    with grt.group() as group:
        g = group.go(grt.sleep, LONG)
        other = group.go(max, 1, 2)
        grt.gosched()
        g.cancel()
    assert other.result() == 2


def test_cancel_ends_the_group_quietly():
    reached = []
    with grt.group() as group:
        g = group.go(grt.sleep, LONG)
        grt.after_func(0.001, group.cancel)
        grt.sleep(LONG)
        reached.append("behind")
    assert g.done and reached == []


def test_what_is_started_in_a_cancelled_group_never_runs():
    ran = []
    with grt.group() as group:
        group.cancel()
        g = group.go(ran.append, 1)
        group.cancel()
    assert g.done and ran == []


def test_children_may_start_children():
    found = []

    def visit(depth):
        found.append(depth)
        if depth < 4:
            group.go(visit, depth + 1)
            group.go(visit, depth + 1)

    with grt.group() as group:
        group.go(visit, 0)
    assert sorted(found) == [0] + [1] * 2 + [2] * 4 + [3] * 8 + [4] * 16


def test_nothing_can_be_started_outside_the_block():
    group = grt.group()
    with pytest.raises(RuntimeError, match="has not been entered"):
        group.go(print)
    with group:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        group.go(print)
    with pytest.raises(RuntimeError, match="entered before"), group:
        pass


def test_no_more_than_limit_run_at_once():
    now, most = 0, 0

    def work():
        nonlocal now, most
        now += 1
        most = max(most, now)
        grt.sleep(0.0005)
        now -= 1

    with grt.group(limit=3) as group:
        for _ in range(20):
            group.go(work)
    assert (now, most) == (0, 3)


def test_the_places_of_those_that_fail_or_are_cancelled_are_free_again():
    with pytest.raises(ZeroDivisionError), grt.group(1) as group:
        for _ in range(3):
            group.go(grt.sleep, LONG).cancel()
        group.go(lambda: 1 / 0)
        group.go(grt.sleep, LONG)
        group.go(grt.sleep, LONG)


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_limit_is_one_at_least(wrong):
    with pytest.raises(ValueError, match=f"at least 1, not {wrong}"):
        grt.group(wrong)


def test_a_limit_is_a_whole_number():
    with pytest.raises(TypeError):
        grt.group(1.5)  # type: ignore[arg-type]


def test_a_timeout_around_cancels_the_group_and_is_raised_behind_it():
    cleaned = []

    def work():
        try:
            grt.sleep(LONG)
        finally:
            grt.sleep(0.005)  # the deadline does not cut this short
            cleaned.append(True)

    with pytest.raises(TimeoutError) as caught, grt.timeout(0.005), grt.group() as group:
        group.go(work)
    assert cleaned == [True]
    assert "0.005" in str(caught.value)


def test_a_timeout_that_ends_the_blocks_own_call_is_raised_once_and_waits_for_the_children():
    log = []

    def child():
        try:
            grt.sleep(60)
        finally:
            grt.sleep(0.001)
            log.append("cleaned up")

    with pytest.raises(TimeoutError, match=r"0\.005 s"), grt.timeout(0.005) as limit, grt.group() as group:
        group.go(child)
        grt.sleep(60)
    assert limit.expired and log == ["cleaned up"]


def test_a_timeout_inside_that_the_block_handles_leaves_the_group_alone():
    with grt.group() as group:
        g = group.go(grt.sleep, 0.005)
        with pytest.raises(TimeoutError), grt.timeout(0.001):
            grt.sleep(LONG)
    g.result()


def test_a_goroutine_that_waits_for_its_group_can_be_cancelled():
    children = []

    def parent():
        with grt.group() as group:
            children.append(group.go(grt.sleep, LONG))

    g = blocked(parent)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result(LONG)
    assert children[0].done


def test_a_second_cancellation_is_passed_on_to_children_that_still_clean_up():
    steps = []

    def child():
        try:
            grt.sleep(LONG)
        except grt.Cancelled:
            steps.append("cleans up")
            grt.sleep(LONG)

    def parent():
        with grt.group() as group:
            group.go(child)

    g = blocked(parent)
    g.cancel()
    while not steps:
        grt.gosched()
    assert not g.done
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result(LONG)


def test_threads_may_start_and_cancel_in_a_group():
    ran = []

    def elsewhere():
        group.go(lambda: ran.append(threading.get_ident())).join()

    with grt.group() as group:
        group.go(grt.sleep, LONG)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        while not ran:
            grt.sleep(0.001)
        canceller = threading.Thread(target=group.cancel)
        canceller.start()
    thread.join()
    canceller.join()
    assert ran == [thread.ident]


def test_many_goroutines_leave_no_memory_behind():
    with grt.group() as group:
        for _ in range(10_000):
            group.go(int)
    assert group.children == set()


def test_ctrl_c_ends_a_group_and_its_goroutines():
    status, output, errors = run_program(
        """
        import os, signal, grt

        def work():
            try:
                grt.sleep(60)
            finally:
                print("cleaned up")

        def main():
            with grt.group() as group:
                group.go(work)
                grt.after_func(0.01, os.kill, os.getpid(), signal.SIGINT)

        try:
            grt.run(main)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (status, output, errors) == (0, "cleaned up\ninterrupted\n", "")


def test_a_child_that_ends_the_program_ends_it():
    status, output, errors = run_program(
        """
        import sys, grt

        def main():
            with grt.group() as group:
                group.go(grt.sleep, 60)
                group.go(sys.exit, 3)

        grt.run(main)
        """
    )
    assert (status, output, errors) == (3, "", "")
