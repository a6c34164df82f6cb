"""Executor: the promises of concurrent.futures, kept by goroutines."""

import asyncio
import concurrent.futures
import threading
import time

import pytest

import grt
from tests.goroutines import blocked, living

LONG = 60


@pytest.fixture(autouse=True)
def all_end():
    before = living()
    yield
    assert [g for g in living() if g not in before] == []


def fail(error):
    raise error


def test_it_is_an_executor_and_its_futures_are_futures():
    with grt.Executor() as executor:
        future = executor.submit(pow, 2, 5, mod=7)
        assert isinstance(executor, concurrent.futures.Executor)
        assert isinstance(future, concurrent.futures.Future)
        assert future.result() == 4


def test_result_parks_the_goroutine_that_asks_and_others_run():
    with grt.Executor() as executor:
        gate = grt.chan()
        future = executor.submit(gate.recv)
        g = blocked(future.result)
        gate.send("spam")
        assert g.result(LONG) == "spam"


def test_what_the_function_raises_is_raised_by_result():
    with grt.Executor() as executor:
        future = executor.submit(fail, KeyError("spam"))
        with pytest.raises(KeyError, match="spam"):
            future.result()
        assert isinstance(future.exception(), KeyError)


def test_result_and_exception_raise_after_their_timeout():
    with grt.Executor() as executor:
        gate = grt.chan()
        future = executor.submit(gate.recv)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0.001)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.exception(0.001)
        with pytest.raises(TimeoutError), grt.timeout(0.001):
            future.result()
        gate.send(1)
        assert future.result(LONG) == 1


def test_map_keeps_the_order():
    def slow_first(number):
        grt.sleep(0.002 if number == 0 else 0)
        return number * number

    with grt.Executor() as executor:
        assert list(executor.map(slow_first, range(5))) == [0, 1, 4, 9, 16]


def test_no_more_than_max_workers_run_at_once():
    now = most = 0

    def work():
        nonlocal now, most
        now += 1
        most = max(most, now)
        grt.sleep(0.0005)
        now -= 1

    with grt.Executor(max_workers=3) as executor:
        for _ in range(20):
            executor.submit(work)
    assert (now, most) == (0, 3)


@pytest.mark.parametrize("wrong", [0, -1])
def test_there_is_at_least_one_worker(wrong):
    with pytest.raises(ValueError, match=f"at least 1, or None, not {wrong}"):
        grt.Executor(wrong)
    with pytest.raises(TypeError):
        grt.Executor("3")  # type: ignore[arg-type]


def test_shutdown_waits_and_then_nothing_is_taken():
    done = []
    executor = grt.Executor()

    def work():
        grt.sleep(0.002)
        done.append(1)

    executor.submit(work)
    executor.shutdown()
    assert done == [1]
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(print)
    executor.shutdown()


def test_shutdown_that_does_not_wait_lets_all_go_on():
    executor = grt.Executor(1)
    futures = [executor.submit(abs, number) for number in range(3)]
    executor.shutdown(wait=False)
    assert [future.result(LONG) for future in futures] == [0, 1, 2]


def test_shutdown_can_cancel_what_has_not_begun():
    executor = grt.Executor(1)
    gate = grt.chan()
    first = executor.submit(gate.recv)
    grt.gosched()
    others = [executor.submit(abs, number) for number in range(3)]
    executor.shutdown(wait=False, cancel_futures=True)
    gate.send("done")
    executor.shutdown()
    assert first.result() == "done"
    assert all(future.cancelled() for future in others)


def test_a_future_can_be_cancelled_until_it_begins():
    with grt.Executor() as executor:
        ran = []
        future = executor.submit(ran.append, 1)
        assert future.cancel() and future.cancelled()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        running = executor.submit(grt.sleep, 0.002)
        grt.gosched()
        assert not running.cancel()
    assert ran == []


def test_callbacks_are_called():
    called = []
    with grt.Executor() as executor:
        future = executor.submit(max, 1, 2)
        future.add_done_callback(lambda future: called.append(future.result()))
    assert called == [2]


def test_another_thread_submits_and_waits_as_it_is_used_to():
    found: list[object] = []

    def elsewhere():
        futures = [executor.submit(threading.get_ident) for _ in range(5)]
        concurrent.futures.wait(futures, LONG)
        found.extend(future.result() for future in concurrent.futures.as_completed(futures, LONG))
        cancelled = executor.submit(abs, 1)
        cancelled.cancel()
        concurrent.futures.wait([cancelled], LONG)
        found.append(cancelled.done())

    with grt.Executor(2) as executor:
        grt.blocking(elsewhere)
    assert found == [threading.get_ident()] * 5 + [True]


def test_asyncio_hands_calls_to_it():
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, pow, 2, n) for n in range(4)))

    with grt.Executor() as executor:
        assert grt.blocking(asyncio.run, main()) == [1, 2, 4, 8]


def test_the_executor_of_a_thread_that_has_ended_says_so():
    made = []
    thread = threading.Thread(target=lambda: made.append(grt.Executor()))
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="has ended"):
        made[0].submit(print)


def test_in_a_bubble_it_takes_the_time_there():
    with grt.testing.bubble():
        began = time.monotonic()
        executor = grt.Executor(2)
        assert list(executor.map(slept, [60, 60, 60, 60])) == [60] * 4
        assert time.monotonic() - began == 120
    with pytest.raises(RuntimeError, match=r"bubble .* has ended"):
        executor.submit(print)


def slept(seconds):
    grt.sleep(seconds)
    return seconds


def test_a_goroutine_that_ends_with_its_thread_ends_its_future():
    futures = []

    def elsewhere():
        executor = grt.Executor(1)
        futures.append(executor.submit(grt.sleep, LONG))
        grt.gosched()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert futures[0].done()


def test_submit_wants_a_function():
    with grt.Executor() as executor, pytest.raises(TypeError, match="needs a function"):
        executor.submit("spam")  # type: ignore[arg-type]


async def some_coroutine():
    pass


def test_a_coroutine_function_is_refused():
    with grt.Executor() as executor, pytest.raises(TypeError, match="async"):
        executor.submit(some_coroutine)


def test_the_goroutines_are_said_to_be_started_where_submit_was_called():
    with grt.Executor() as executor:
        g = executor.submit(grt.current).result()
    assert g.started_at is not None and g.started_at[0] == __file__
