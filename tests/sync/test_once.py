"""Once. (What all waits promise: tests/test_sync.py.)"""

import threading
from functools import partial

import pytest

import grt
from grt.sync import Once
from tests.goroutines import blocked, end


def test_it_calls_once_whoever_asks():
    once, calls = Once(), []
    for name in "abc":
        once.do(partial(calls.append, name))
    assert calls == ["a"] and once.done


def test_others_wait_until_the_call_has_ended():
    once, gate, note = Once(), grt.chan(), []

    def ask(fn, name):
        once.do(fn)
        note.append(name)

    first = blocked(ask, gate.recv, "first")
    others = [blocked(ask, bool, name) for name in "ab"]
    assert note == [] and not once.done
    gate.send(None)
    for g in (first, *others):
        g.result()
    assert note == ["first", "a", "b"]


def test_one_that_raises_is_done_all_the_same():
    once, calls = Once(), []
    with pytest.raises(ZeroDivisionError):
        once.do(lambda: 1 / 0)
    once.do(lambda: calls.append(1))
    assert once.done and calls == []


def test_one_that_is_cancelled_is_done_all_the_same():
    once = Once()
    first, other = blocked(once.do, lambda: grt.sleep(60)), blocked(once.do, bool)
    end(first)
    other.result()
    assert once.done


def test_one_who_gives_up_waiting_leaves_the_others():
    once, gate = Once(), grt.chan()
    first = blocked(once.do, gate.recv)
    late, other = blocked(once.do, bool, 0.001), blocked(once.do, bool)
    with pytest.raises(TimeoutError):
        late.result()
    gate.send(None)
    first.result()
    other.result()
    once.do(bool, timeout=0)


def test_a_function_that_asks_for_itself_is_told():
    once = Once()
    with pytest.raises(RuntimeError, match="asked for by the very function that it calls"):
        once.do(lambda: once.do(bool))


def test_what_cannot_be_called_is_refused_and_the_call_is_still_to_come():
    once, found = grt.sync.Once(), []
    with pytest.raises(TypeError, match=r"once.do\(fn\), but got None"):
        once.do(found.append(1))  # type: ignore[func-returns-value, arg-type]
    once.do(lambda: found.append(2))
    assert found == [1, 2]


def test_threads_share_the_one_call():
    once, calls, seen = Once(), [], []

    def call():
        grt.sleep(0.001)
        calls.append(1)

    def work():
        once.do(call)
        seen.append(len(calls))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8


async def some_coroutine():
    pass


def test_a_coroutine_function_is_refused():
    once = Once()
    with pytest.raises(TypeError, match="async"):
        once.do(some_coroutine)
    assert not once.done
