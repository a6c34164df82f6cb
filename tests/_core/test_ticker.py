"""Timers, tickers and functions called later: Go's rules since 1.23."""

import contextvars
import gc
import random
import threading
import time
import weakref
from typing import Any

import pytest

import grt
from grt.testing import bubble
from tests.goroutines import blocked

LATE = 3600  # seconds: does not come in these tests
SOON = 0.001
PATIENCE = 60


def pending():
    """How many timers this thread's loop has."""
    grt.sleep(SOON)  # turns the loop: what was dropped, or stopped by another thread, leaves the heap then
    return len(grt.current().proc.loop.timers)


def test_a_timer_sends_the_moment_once():
    before = time.monotonic()
    timer = grt.Timer(SOON)
    assert before + SOON <= timer.c.recv(PATIENCE) <= time.monotonic()
    assert grt.select(timer.c.recv, default=True)[0] == -1


@pytest.mark.parametrize("seconds", [0, -1, float("-inf")])
def test_a_moment_that_has_passed_is_sent_at_once(seconds):
    grt.Timer(seconds).c.recv(PATIENCE)


def test_timers_go_off_in_the_order_of_their_moments():
    order = grt.chan(3)
    with bubble():
        for seconds in (0.003, 0.001, 0.002):
            grt.after_func(seconds, order.send, seconds)
        grt.sleep(1)
    assert [order.recv(PATIENCE) for _ in range(3)] == [0.001, 0.002, 0.003]


def test_its_channel_has_no_buffer_to_be_seen():
    timer = grt.Timer(SOON)
    grt.sleep(0.01)
    assert len(timer.c) == 0
    timer.c.recv(PATIENCE)


def test_stop_tells_whether_it_was_in_time():
    timer = grt.Timer(LATE)
    assert timer.stop()
    assert not timer.stop()
    assert pending() == 0


def test_stop_is_in_time_until_the_value_is_received():
    timer = grt.Timer(SOON)
    grt.sleep(0.01)
    assert timer.stop()
    timer.reset(SOON)
    timer.c.recv(PATIENCE)
    assert not timer.stop()


def test_nothing_stale_is_received_after_stop():
    timer = grt.Timer(SOON)
    grt.sleep(0.01)
    timer.stop()
    with pytest.raises(TimeoutError):
        timer.c.recv(0.01)


def test_nothing_stale_is_received_after_reset():
    timer = grt.Timer(SOON)
    grt.sleep(0.01)
    asked = time.monotonic()
    assert timer.reset(0.005)
    assert timer.c.recv(PATIENCE) >= asked + 0.005


def test_reset_sets_a_timer_that_has_gone_off_or_was_stopped():
    timer = grt.Timer(SOON)
    timer.c.recv(PATIENCE)
    assert not timer.reset(SOON)
    timer.c.recv(PATIENCE)
    timer.stop()
    assert not timer.reset(SOON)
    timer.c.recv(PATIENCE)


def test_reset_puts_a_receiver_that_waits_off():
    timer = grt.Timer(LATE)
    g = blocked(timer.c.recv)
    assert timer.reset(SOON)
    g.result(PATIENCE)


def test_a_receiver_of_a_stopped_timer_waits_on():
    timer = grt.Timer(SOON)
    g = blocked(timer.c.recv)
    timer.stop()
    grt.sleep(0.01)
    assert not g.done
    timer.reset(SOON)
    g.result(PATIENCE)


def test_the_receiver_of_a_timer_can_be_cancelled_and_the_value_stays():
    timer = grt.Timer(0.01)
    g = blocked(timer.c.recv)
    g.cancel()
    g.join()
    timer.c.recv(PATIENCE)


def test_a_dropped_timer_is_forgotten():
    for _ in range(1000):
        grt.Timer(LATE)
        grt.after(LATE)
        grt.Ticker(LATE)
    gc.collect()
    assert pending() == 0


def test_a_timer_in_a_cycle_is_forgotten_too():
    cycle: list[Any] = [grt.Ticker(LATE)]
    cycle.append(cycle)
    gone = weakref.ref(cycle[0])
    del cycle
    gc.collect()
    assert gone() is None
    assert pending() == 0


def test_a_dropped_ticker_ticks_no_more():
    grt.Ticker(SOON)
    grt.sleep(0.01)
    gc.collect()
    assert pending() == 0


def test_a_channel_keeps_its_timer_going():
    channel = grt.Timer(0.01).c
    gc.collect()
    channel.recv(PATIENCE)
    bound = grt.Timer(0.01).c.recv
    gc.collect()
    bound(PATIENCE)


def test_a_receiver_keeps_its_timer_going():
    g = blocked(lambda: grt.after(0.01).recv())
    gc.collect()
    g.result(PATIENCE)


def test_after_ends_a_select():
    quiet, late = grt.chan(), grt.after(SOON)
    assert grt.select(quiet.recv, late.recv)[0] == 1


def test_selects_with_after_leave_nothing_behind():
    busy = grt.chan(1)
    for number in range(1000):
        busy.send(number)
        assert grt.select(busy.recv, grt.after(LATE).recv) == (0, number)
    assert pending() == 0


def test_a_ticker_ticks_in_step():
    ticker = grt.Ticker(0.002)
    first, second, third = (ticker.c.recv(PATIENCE) for _ in range(3))
    assert first < second < third
    ticker.stop()


def test_a_ticker_drops_what_nobody_takes():
    ticker = grt.Ticker(SOON)
    grt.sleep(0.02)
    ready = 0
    while grt.select(ticker.c.recv, default=True)[0] == 0:
        ready += 1
    assert ready == 1
    ticker.stop()


def test_a_ticker_keeps_its_phase_when_ticks_were_missed():
    ticker = grt.Ticker(0.05)
    first = ticker.c.recv(PATIENCE)
    time.sleep(0.12)  # nobody runs goroutines meanwhile
    late = ticker.c.recv(PATIENCE)
    following = ticker.c.recv(PATIENCE)
    assert late >= first + 0.1
    assert following < late + 0.05  # the next of the row, not a period after the late one
    ticker.stop()


def test_a_stopped_ticker_neither_ticks_nor_closes():
    ticker = grt.Ticker(SOON)
    ticker.c.recv(PATIENCE)
    grt.sleep(0.01)
    ticker.stop()
    with pytest.raises(TimeoutError):
        ticker.c.recv(0.01)
    assert pending() == 0


def test_reset_starts_a_ticker_again_with_another_period():
    ticker = grt.Ticker(LATE)
    ticker.reset(SOON)
    ticker.c.recv(PATIENCE)
    ticker.stop()
    ticker.reset(SOON)
    ticker.c.recv(PATIENCE)
    ticker.c.recv(PATIENCE)
    ticker.stop()


def test_iterating_over_a_ticker_receives_its_ticks():
    ticks = []
    for moment in grt.Ticker(SOON):
        ticks.append(moment)
        if len(ticks) == 3:
            break
    assert ticks == sorted(ticks)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_ticker_needs_a_period_above_zero(seconds):
    with pytest.raises(ValueError, match=f"above 0, not {seconds}"):
        grt.Ticker(seconds)
    ticker = grt.Ticker(LATE)
    with pytest.raises(ValueError, match=f"above 0, not {seconds}"):
        ticker.reset(seconds)
    assert pending() == 1


def test_a_timer_needs_a_number():
    with pytest.raises(ValueError, match="number of seconds, not nan"):
        grt.Timer(float("nan"))
    wrong: Any
    for wrong in (None, "1"):
        with pytest.raises(TypeError, match=f"number of seconds, not {wrong!r}"):
            grt.Timer(wrong)
        with pytest.raises(TypeError, match=f"number of seconds, not {wrong!r}"):
            grt.after_func(wrong, print)
        with pytest.raises(TypeError, match=f"number of seconds above 0, not {wrong!r}"):
            grt.Ticker(wrong)
    wrong = "spam"
    with pytest.raises(TypeError, match="needs a function"):
        grt.after_func(1, wrong)


def test_a_timer_of_infinite_seconds_is_never_due():
    timer = grt.Timer(float("inf"))
    assert grt.select(timer.c.recv, default=True)[0] == -1
    timer.reset(SOON)
    timer.c.recv(PATIENCE)


def test_after_func_calls_in_a_goroutine_of_its_own():
    ran = grt.chan()
    timer = grt.after_func(SOON, lambda *args: ran.send((args, grt.current())), 1, "a")
    args, g = ran.recv(PATIENCE)
    assert args == (1, "a")
    assert g is not grt.current()
    assert timer.c is None
    assert not timer.stop()


def test_after_func_may_block_and_does_not_hold_others_up():
    gate, ran = grt.chan(), grt.chan()
    grt.after_func(SOON, lambda: ran.send(gate.recv()))
    grt.after_func(2 * SOON, gate.send, "go on")
    assert ran.recv(PATIENCE) == "go on"


def test_after_func_is_taken_back_by_stop():
    calls = []
    timer = grt.after_func(0.005, calls.append, 1)
    assert timer.stop()
    grt.sleep(0.02)
    assert calls == []
    assert pending() == 0


def test_after_func_is_called_once_more_after_reset():
    ran = grt.chan(1)
    timer = grt.after_func(SOON, ran.send, None)
    ran.recv(PATIENCE)
    assert not timer.reset(SOON)
    ran.recv(PATIENCE)


def test_after_func_is_called_though_nobody_keeps_the_timer():
    ran = grt.chan(1)
    grt.after_func(0.005, ran.send, None)
    gc.collect()
    ran.recv(PATIENCE)


def test_after_func_runs_in_a_copy_of_the_callers_context():
    variable = contextvars.ContextVar("variable")
    variable.set("then")
    ran = grt.chan(1)
    grt.after_func(SOON, lambda: ran.send(variable.get()))
    variable.set("now")
    assert ran.recv(PATIENCE) == "then"


def test_what_after_func_raises_is_reported(monkeypatch):
    reported = grt.chan(1)
    monkeypatch.setattr(grt, "excepthook", reported.try_send)

    def fail():
        raise ValueError("spam")

    grt.after_func(SOON, fail)
    assert isinstance(reported.recv(PATIENCE).error, ValueError)


def in_thread(fn, *args):
    """Runs fn in a thread of its own; this thread's goroutines run meanwhile. Returns what it returned."""
    done = grt.chan(1)
    thread = threading.Thread(target=lambda: done.send(fn(*args)))
    thread.start()
    value = done.recv(PATIENCE)
    thread.join()
    return value


def test_another_thread_stops_a_timer():
    timer = grt.Timer(LATE)
    assert in_thread(timer.stop)
    assert pending() == 0


def test_another_thread_resets_a_timer():
    timer = grt.Timer(LATE)
    g = blocked(timer.c.recv)
    assert in_thread(timer.reset, SOON)
    g.result(PATIENCE)


def test_another_thread_receives_from_a_timer():
    timer = grt.Timer(0.005)
    assert in_thread(timer.c.recv, PATIENCE) > 0


def test_another_thread_drops_a_timer():
    timers = [grt.Timer(LATE) for _ in range(10)]
    in_thread(timers.clear)
    assert pending() == 0


def test_reset_moves_a_timer_whose_thread_has_ended():
    timer, ticker = in_thread(lambda: (grt.Timer(LATE), grt.Ticker(LATE)))
    timer.reset(SOON)
    timer.c.recv(PATIENCE)
    ticker.reset(SOON)
    ticker.c.recv(PATIENCE)
    ticker.c.recv(PATIENCE)
    ticker.stop()


def test_many_timers_set_reset_and_stopped_at_random_go_off_in_order():
    rng = random.Random(1)
    timers = [grt.Timer(rng.uniform(0.1, 0.2)) for _ in range(500)]
    expected = set(range(500))
    for number, timer in enumerate(timers):
        choice = rng.random()
        if choice < 0.3:
            timer.stop()
            expected.discard(number)
        elif choice < 0.6:
            timer.reset(rng.uniform(0.1, 0.2))
    arrived = grt.chan(500)

    def wait(number):
        arrived.send((timers[number].c.recv(), number))

    waiting = [grt.go(wait, number) for number in range(500)]
    got = [arrived.recv(PATIENCE) for _ in expected]
    assert {number for _, number in got} == expected
    assert [moment for moment, _ in got] == sorted(moment for moment, _ in got)
    for g in waiting:
        g.cancel()
