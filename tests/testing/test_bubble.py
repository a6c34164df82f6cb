"""Bubbles: virtual time, as Go's testing/synctest has it."""

import subprocess
import sys
import threading
import time

import pytest

import grt
from grt.testing import bubble
from tests.goroutines import blocked, living

YEAR = 365 * 24 * 3600.0


def test_sleeping_takes_no_time():
    began = time.monotonic()
    with bubble():
        grt.sleep(YEAR)
        assert time.monotonic() == YEAR
    assert time.monotonic() - began < 3600


def test_it_begins_in_the_year_2000_and_the_clocks_agree():
    with bubble():
        grt.sleep(1.5)
        assert time.gmtime(time.time())[:6] == (2000, 1, 1, 0, 0, 1)
        assert time.time_ns() == 946684801_500_000_000
        assert time.monotonic() == time.perf_counter() == 1.5
        assert time.monotonic_ns() == time.perf_counter_ns() == 1_500_000_000
    assert time.time() > 1_700_000_000


def test_goroutines_wake_in_the_order_of_their_moments_each_at_its_own():
    order = []

    def wake(after):
        grt.sleep(after)
        order.append((after, time.monotonic()))

    with bubble():
        for after in (30, 10, 20):
            grt.go(wake, after)
    assert order == [(10, 10.0), (20, 20.0), (30, 30.0)]


def test_the_clock_stands_while_anybody_runs():
    with bubble():
        grt.go(grt.sleep, 1)
        before = time.monotonic()
        for _ in range(1000):
            grt.gosched()
        assert time.monotonic() == before


def test_timeouts_timers_tickers_and_contexts_live_in_it():
    with bubble():
        with pytest.raises(TimeoutError), grt.timeout(60):
            grt.chan().recv()
        assert time.monotonic() == 60
        assert grt.after(40).recv() == 100
        ticker = grt.Ticker(25)
        assert [ticker.c.recv() for _ in range(3)] == [125, 150, 175]
        ticker.stop()
        ctx, cancel = grt.context.with_timeout(grt.context.background(), 5)
        assert ctx.done is not None
        ctx.done.recv_ok()
        assert time.monotonic() == 180
        cancel()
        with pytest.raises(TimeoutError):
            grt.select(timeout=20)
        assert time.monotonic() == 200


def test_a_stopped_retry_with_backoff_is_tested_at_once():
    """What bubbles are for: the code under test knows nothing of them."""
    tries = []

    def fetch():
        tries.append(time.monotonic())
        if len(tries) < 5:
            raise ConnectionError

    def retry():
        pause = 1
        while True:
            try:
                return fetch()
            except ConnectionError:
                grt.sleep(pause)
                pause *= 2

    with bubble():
        retry()
    assert tries == [0, 1, 3, 7, 15]


def test_the_block_waits_for_its_goroutines():
    ended = []
    with bubble():
        grt.go(lambda: (grt.sleep(100), ended.append(time.monotonic())))  # type: ignore[func-returns-value]
    assert ended == [100]


def test_an_exception_in_the_block_cancels_its_goroutines():
    seen = []

    def wait():
        try:
            grt.sleep(YEAR)
        except grt.Cancelled:
            seen.append(time.monotonic())
            raise

    with pytest.raises(KeyError), bubble():
        grt.go(wait)
        grt.sleep(1)
        raise KeyError("spam")
    assert seen == [1]


def test_a_deadlock_in_it_is_raised_with_the_stacks():
    def starve():
        grt.chan().recv()

    with pytest.raises(grt.Deadlock, match="starve"), bubble():
        grt.go(starve)
        grt.chan().recv()


def test_goroutines_that_can_never_end_are_a_deadlock_at_its_end():
    with pytest.raises(grt.Deadlock), bubble():
        grt.go(grt.chan().recv)
    assert len(living()) >= 1


def test_a_ticker_that_nobody_receives_from_hides_no_deadlock():
    with pytest.raises(grt.Deadlock), bubble():
        ticker = grt.Ticker(1)
        grt.chan().recv()
        ticker.stop()


def test_wait_lets_the_others_go_on_until_they_wait():
    steps = []

    def work():
        steps.append("begun")
        grt.gosched()
        steps.append("half")
        grt.sleep(1)
        steps.append("woken")

    with bubble() as b:
        grt.go(work)
        b.wait()
        assert steps == ["begun", "half"]
        assert time.monotonic() == 0
        grt.sleep(1)
        b.wait()
        assert steps[-1] == "woken"


def test_wait_is_for_the_goroutines_of_the_bubble():
    b = bubble()
    with pytest.raises(RuntimeError, match="only the goroutines of a bubble"):
        b.wait()


def test_goroutines_outside_stand_still_and_go_on_afterwards():
    steps = []

    def outside():
        for _ in range(3):
            steps.append(time.monotonic())
            grt.sleep(0.001)

    g = blocked(outside)
    with bubble():
        grt.sleep(YEAR)
        assert len(steps) == 1
    g.join()
    assert len(steps) == 3 and steps == sorted(steps)


def test_a_bubble_may_be_entered_in_a_goroutine():
    def inside():
        with bubble():
            grt.sleep(YEAR)
            return time.monotonic()

    assert grt.go(inside).result() == YEAR
    assert [grt.go(inside).result() for _ in range(3)] == [YEAR] * 3


def test_bubbles_do_not_nest():
    with bubble(), pytest.raises(RuntimeError, match="do not nest"), bubble():
        pass
    with bubble():
        grt.sleep(1)


def test_another_threads_clock_is_the_systems():
    with bubble():
        grt.sleep(YEAR)
        seen: list[float] = []
        thread = threading.Thread(target=lambda: seen.append(time.time()))
        thread.start()
        thread.join()
        assert seen[0] > time.time()


def test_connections_are_waited_for_while_the_clock_stands():
    def echo(listener):
        with listener.accept() as conn:
            conn.write(conn.read())

    with bubble(), grt.listen("tcp", "127.0.0.1:0") as listener:
        grt.go(echo, listener)
        with grt.dial("tcp", listener.addr, timeout=1) as conn:
            conn.write(b"spam")
            assert conn.read() == b"spam"
        assert time.monotonic() == 0


def test_a_call_in_another_thread_is_waited_for_while_the_clock_stands():
    with bubble():
        other = grt.go(grt.sleep, 5)
        grt.blocking(time.sleep, 0.01)
        assert time.monotonic() == 0
        assert not other.done


def test_mutexes_groups_and_channels_work_in_it():
    with bubble():
        mutex = grt.sync.Mutex()

        def hold():
            with mutex:
                grt.sleep(10)

        with grt.group() as group:
            for _ in range(3):
                group.go(hold)
        assert time.monotonic() == 30


def test_the_documented_example_runs_in_a_program():
    program = "import grt, time\nwith grt.testing.bubble():\n    grt.sleep(3600)\n    print(time.monotonic())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("3600.0\n", "")
