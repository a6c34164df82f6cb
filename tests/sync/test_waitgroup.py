"""WaitGroup: counting, goroutines however they end, misuse. (What all waits promise: tests/test_sync.py.)"""

import threading

import pytest

import grt
from grt.sync import WaitGroup
from tests.goroutines import blocked, end


def test_waiting_for_nothing_returns_at_once():
    wg = WaitGroup()
    wg.wait(timeout=0)
    assert wg.count == 0


def test_all_who_wait_go_on_when_the_last_is_done():
    wg = WaitGroup()
    wg.add(2)
    waiting = [blocked(wg.wait) for _ in range(3)]
    wg.done()
    grt.gosched()
    assert not any(g.done for g in waiting)
    wg.done()
    for g in waiting:
        g.result()
    wg.add()  # all have returned: a new round
    assert wg.count == 1


def test_a_goroutine_is_done_when_it_has_returned():
    wg, gate = WaitGroup(), grt.chan()
    g = wg.go(gate.recv)
    assert (wg.count, g.name) == (1, "Chan.recv")
    waiting = blocked(wg.wait)
    gate.send("spam")
    waiting.result()
    assert g.result() == "spam" and wg.count == 0


def test_a_goroutine_is_done_when_it_has_raised(capsys):
    wg = WaitGroup()
    g = wg.go(int, "x")
    wg.wait()
    with pytest.raises(ValueError, match="invalid literal"):
        g.result()


def test_a_goroutine_is_done_when_it_was_cancelled_started_or_not():
    wg = WaitGroup()
    started = wg.go(grt.sleep, 60)
    grt.gosched()
    never = wg.go(grt.sleep, 60)
    for g in (started, never):
        g.cancel()
    wg.wait()
    assert started.done and never.done and wg.count == 0


def test_a_goroutine_is_done_when_its_thread_has_ended():
    wg = WaitGroup()

    def work():
        wg.go(grt.sleep, 60)
        grt.gosched()
        wg.go(grt.sleep, 60)

    thread = threading.Thread(target=work)
    thread.start()
    wg.wait()
    thread.join()
    assert wg.count == 0


def test_a_goroutine_gets_its_arguments_and_is_said_to_be_started_by_the_caller():
    wg = WaitGroup()
    g = wg.go(dict, [("a", 1)], b=2)
    assert g.result() == {"a": 1, "b": 2}
    assert g.started_at is not None and g.started_at[0] == __file__


def test_what_cannot_be_started_is_not_counted():
    wg = WaitGroup()
    with pytest.raises(TypeError, match=r"grt\.go needs a function"):
        wg.go(None)  # type: ignore[arg-type]
    assert wg.count == 0


def test_goroutines_may_start_more_of_them():
    wg, ran = WaitGroup(), []

    def work(depth):
        ran.append(depth)
        if depth:
            wg.go(work, depth - 1)
            wg.go(work, depth - 1)

    wg.go(work, 5)
    wg.wait()
    assert len(ran) == 2**6 - 1


def test_doing_more_than_was_added_is_an_error_and_counts_nothing():
    wg = WaitGroup()
    wg.add(1)
    with pytest.raises(RuntimeError, match=r"more was done than added to <WaitGroup with 1 not done.*add\(-2\)"):
        wg.add(-2)
    assert wg.count == 1
    wg.done()
    with pytest.raises(RuntimeError, match="more was done"):
        wg.done()
    with pytest.raises(TypeError):
        wg.add(1.5)  # type: ignore[arg-type]


def test_a_goroutine_that_says_itself_that_it_is_done_is_told(capsys):
    wg = WaitGroup()
    wg.go(wg.done).join()
    wg.wait()
    assert "more was done than added" in capsys.readouterr().err


def test_a_new_round_before_all_have_returned_is_an_error():
    wg = WaitGroup()
    wg.add()
    waiting = blocked(wg.wait)
    wg.done()
    with pytest.raises(RuntimeError, match="used again before the 1 that waited for it have returned"):
        wg.add()
    waiting.result()
    wg.add()
    assert wg.count == 1


def test_those_who_left_do_not_hinder_a_new_round():
    wg = WaitGroup()
    wg.add()
    end(blocked(wg.wait))
    with pytest.raises(TimeoutError, match=r"<WaitGroup with 1 not done at .* was not done within 0\.001 s"):
        wg.wait(timeout=0.001)
    wg.done()
    wg.add()
    assert wg.count == 1


def test_goroutines_of_several_threads_can_be_waited_for():
    wg, sums = WaitGroup(), []

    def work(i):
        grt.gosched()
        sums.append(i)

    def start(first):
        for i in range(100):
            wg.go(work, first + i)
        wg.done()
        wg.wait()

    wg.add(3)
    threads = [threading.Thread(target=start, args=(100 * k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wg.wait()
    assert sorted(sums) == list(range(300))
