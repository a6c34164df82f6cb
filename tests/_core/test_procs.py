"""How goroutines that have not started move between Procs: which, how many, in what order, and who is woken."""

import threading
from typing import Any

import pytest

import grt
from grt import parallel
from grt._core.procs import Fleet, procs
from tests.goroutines import end

PATIENCE = 60  # seconds for a thread to get its turn


@pytest.fixture
def kept():
    """Two threads share this one's goroutines; the other is kept by a goroutine until the event is set."""
    proc: Any = grt.current().proc
    grt.procs(2)
    begun, gate = threading.Event(), threading.Event()

    def keep():
        begun.set()
        gate.wait(PATIENCE)

    keeper = grt.go(keep)
    assert begun.wait(PATIENCE)
    yield gate
    gate.set()
    keeper.join()
    parallel.settle_down(proc, 1, True)


def where(goroutines):
    return [g.proc for g in goroutines]


def test_every_thread_that_uses_grt_has_a_proc_while_it_lives():
    found: list[Any] = []

    def look():
        found.append(grt.current().proc)
        assert found[0] in procs()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found and found[0] not in procs()
    assert grt.current().proc in procs()


def test_the_idle_steal_half_the_oldest_first(kept):
    me: Any = grt.current().proc
    ran, begun, gate = [], threading.Event(), threading.Event()

    def run(i):
        ran.append(i)
        begun.set()
        gate.wait(PATIENCE)

    gs = [grt.go(run, i) for i in range(10)]
    assert where(gs) == [me] * 10  # nobody has time
    kept.set()
    assert begun.wait(PATIENCE)  # the other thread has stolen, and runs the first
    other = gs[0].proc
    assert where(gs) == [other] * 5 + [me] * 5 and other is not me
    gate.set()
    for g in gs:
        g.join()
    assert sorted(ran) == list(range(10)) and ran[0] == 0


def test_the_last_one_is_stolen_too(kept):
    kept.set()
    done = threading.Event()
    g = grt.go(done.set)
    assert done.wait(PATIENCE)
    assert g.proc is not grt.current().proc
    g.join()


def test_what_moves_is_always_among_the_living_of_one(kept):
    me: Any = grt.current().proc
    gate = grt.chan()
    gs = [grt.go(gate.recv) for _ in range(100)]
    kept.set()
    grt.sleep(0.01)
    fleet = me.others
    assert isinstance(fleet, Fleet)
    living = [g for member in fleet.members for g in member.living()]
    assert len(living) == len(set(living)) and set(gs) <= set(living)
    homes: list[Any] = where(gs)
    assert all(g in home.living() for g, home in zip(gs, homes, strict=True))
    end(*gs)
    assert not set(gs) & {g for member in fleet.members for g in member.living()}


def test_a_fleet_that_is_not_open_moves_nothing(kept):
    me: Any = grt.current().proc
    me.others.open = False
    kept.set()
    gs = [grt.go(grt.chan().recv) for _ in range(20)]
    grt.sleep(0.01)
    assert where(gs) == [me] * 20
    me.others.open = True
    end(*gs)


def test_the_numbers_of_those_that_have_begun_and_not_are_right(kept):
    me: Any = grt.current().proc
    assert (me.begun, me.fresh) == (1, 0)
    gate = grt.chan()
    gs = [grt.go(gate.recv) for _ in range(6)]
    assert (me.begun, me.fresh) == (1, 6)
    grt.gosched()
    other = next(member for member in me.others.members if member is not me)
    assert me.fresh + other.fresh + me.begun + other.begun == 6 + 3  # two threads' own, and the keeper
    assert me.fresh == 0
    kept.set()
    end(*gs)
    assert (me.begun, me.fresh) == (1, 0)
