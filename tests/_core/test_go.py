"""Starting goroutines, giving way, sleeping, and the context that a goroutine gets."""

import contextvars
import sys
import threading
from typing import Any

import pytest

import grt
from grt._core.go import go_for

who = contextvars.ContextVar("who", default="nobody")


def test_goroutines_start_in_the_order_of_go():
    started = []
    for number in range(100):
        last = grt.go(started.append, number)
    assert started == []
    last.join()
    assert started == list(range(100))


def test_go_passes_arguments_and_gives_back_the_result():
    assert grt.go(lambda *args, **kwargs: (args, kwargs), 1, 2, x=3).result() == ((1, 2), {"x": 3})


@pytest.mark.parametrize("wrong", [None, 3, (x for x in ())])
def test_go_wants_something_callable(wrong):
    with pytest.raises(TypeError, match=r"grt\.go needs a function"):
        grt.go(wrong)


def test_an_async_function_is_refused():
    async def fetch():
        raise AssertionError("must not run")

    with pytest.raises(TypeError, match="async function, which grt does not run"):
        grt.go(fetch).result()


def test_a_goroutine_knows_its_name_number_and_place():
    g = grt.go(sorted, [2, 1])
    assert g.name == "sorted" and g.id > grt.current().id
    file, line = g.started_at or ("", 0)
    assert file == __file__ and line == test_a_goroutine_knows_its_name_number_and_place.__code__.co_firstlineno + 1
    assert repr(g) == f"<Goroutine {g.id} sorted new>"
    assert g.result() == [1, 2]
    assert repr(g) == f"<Goroutine {g.id} sorted done>"


def test_current_is_the_one_that_runs():
    g = grt.go(grt.current)
    assert g.result() is g
    assert grt.current().name == threading.current_thread().name
    assert grt.current().started_at is None


def test_a_callback_starts_a_goroutine():
    started = []

    def callback():
        started.append(grt.go(grt.current))

    grt.current_loop().call_soon(callback)
    grt.sleep(0.001)
    assert started[0].result() is started[0]


def test_each_thread_has_its_own_goroutines():
    results = []

    def program():
        g = grt.go(threading.get_ident)
        results.append((g.result() == threading.get_ident(), g.id, grt.current().id))

    threads = [threading.Thread(target=program) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same for same, _, _ in results)
    assert len({id for _, *ids in results for id in ids} | {grt.current().id}) == 9


def test_gosched_lets_every_other_runnable_goroutine_run_first():
    turns = []

    def take_turns(name):
        for _ in range(3):
            turns.append(name)
            grt.gosched()

    for g in [grt.go(take_turns, name) for name in "abc"]:
        g.join()
    assert "".join(turns) == "abcabcabc"


def test_sleepers_wake_in_the_order_of_their_moments():
    woken = []

    def sleep(seconds):
        grt.sleep(seconds)
        woken.append(seconds)

    times = [0.03, 0.01, 0.02, 0.0, -1.0, 0.015]
    for g in [grt.go(sleep, seconds) for seconds in times]:
        g.join()
    assert woken == [0.0, -1.0, 0.01, 0.015, 0.02, 0.03]


def test_sleeping_a_time_that_is_none_is_refused():
    with pytest.raises(ValueError, match="sleep takes a number of seconds, not nan"):
        grt.sleep(float("nan"))
    with pytest.raises(TypeError, match="sleep takes a number of seconds, not '1'"):
        grt.sleep("1")  # type: ignore[arg-type]


def test_sleeping_for_ever_ends_by_cancellation():
    g = grt.go(grt.sleep, float("inf"))
    grt.gosched()
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()


def test_a_goroutine_gets_a_copy_of_its_creators_context():
    def look():
        seen = who.get()
        who.set("me")
        grt.gosched()
        return seen, who.get()

    token = who.set("creator")
    g = grt.go(look)
    who.set("creator, later")
    assert g.result() == ("creator", "me")
    assert who.get() == "creator, later"
    who.reset(token)


def test_a_context_token_can_be_reset_after_others_have_run():
    def change():
        token = who.set("changed")
        grt.sleep(0.001)
        changed = who.get()
        who.reset(token)
        return changed, who.get()

    assert [g.result() for g in [grt.go(change) for _ in range(10)]] == [("changed", "nobody")] * 10


def test_no_context_leaks_to_the_next_goroutine_of_the_same_greenlet():
    def look_and_set():
        seen = who.get()
        who.set("left behind")
        return seen

    seen = [grt.go(look_and_set).result() for _ in range(20)]
    ran = contextvars.Context().run(lambda: [grt.go(look_and_set).result() for _ in range(20)])
    assert set(seen + ran) == {"nobody"}
    assert who.get() == "nobody"


# -- go_for


@pytest.mark.parametrize("how", ["returns", "raises", "cancelled", "cancelled before its start"])
def test_who_watches_a_goroutine_is_called_once_when_it_has_ended(how):
    ends: list[Any] = []
    fn: Any
    code = sys._getframe().f_code
    fn, *args = {"returns": (max, 1, 2), "raises": (int, "x")}.get(how, (grt.sleep, 60))
    g = go_for(lambda *end: ends.append((*end, end[0].done)), code, 0, fn, tuple(args), {})
    if how == "cancelled":
        grt.gosched()
    assert ends == []
    if how.startswith("cancelled"):
        g.cancel()
    g.join()
    ended, failure, done = ends.pop()
    assert ends == []
    assert ended is g and done and g.started_at and g.started_at[0] == __file__
    assert (failure is None) == (how == "returns")
    if how == "raises":
        with pytest.raises(ValueError, match="invalid literal"):
            g.result()


def test_who_watches_must_not_block_and_its_errors_are_printed(capsys):
    go_for(lambda *end: grt.sleep(1), sys._getframe().f_code, 0, bool, (), {}).join()
    assert "cannot block here: this goroutine has ended" in capsys.readouterr().err
    assert grt.go(max, 1, 2).result() == 2
