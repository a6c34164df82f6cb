"""select: exactly one case happens."""

import gc
import os
import tracemalloc

import pytest

import grt
from tests.goroutines import blocked


def test_the_case_that_is_ready_happens():
    a, b = grt.chan(1), grt.chan(1)
    a.send("spam")
    assert grt.select(a.recv, b.recv) == (0, "spam")
    assert grt.select(a.recv, (b.send, "eggs")) == (1, None)
    assert grt.select(a.recv, b.recv_ok) == (1, ("eggs", True))


def test_the_default_is_taken_when_none_is_ready():
    assert grt.select(grt.chan().recv, default=True) == (-1, None)


def test_a_loser_gets_nothing_later():
    a, b = grt.chan(), grt.chan()
    g = grt.go(grt.select, a.recv, b.recv)
    grt.gosched()
    assert b.try_send(1) and not a.try_send(2)
    assert g.result() == (1, 1)


def test_a_case_that_is_none_is_named():
    with pytest.raises(TypeError, match=r"case 1 of grt\.select"):
        grt.select(grt.chan().recv, grt.chan().send)


# -- Go's rules


def test_of_several_ready_cases_each_is_chosen_as_often():
    ready = [grt.chan(1) for _ in range(4)]
    for c in ready:
        c.send(None)
    counts = [0] * 4
    for _ in range(4000):
        index, _ = grt.select(*(c.recv for c in ready))
        counts[index] += 1
        ready[index].send(None)
    assert all(800 < count < 1200 for count in counts), counts  # 1 000 each; 7 standard deviations


def test_sends_and_receives_are_chosen_alike():
    counts = [0, 0]
    for _ in range(2000):
        full, room = grt.chan(1), grt.chan(1)
        full.send(1)
        counts[grt.select(full.recv, (room.send, 1))[0]] += 1
    assert all(800 < count < 1200 for count in counts), counts


def test_one_channel_may_be_in_several_cases():
    c = grt.chan(1)
    chosen = set()
    for _ in range(200):
        c.send(1)
        chosen.add(grt.select(c.recv, c.recv, c.recv_ok)[0])
    assert chosen == {0, 1, 2}


def test_a_select_that_waits_on_one_channel_twice_is_served_once():
    c = grt.chan()
    g = blocked(grt.select, c.recv, c.recv)
    c.send("spam")
    assert g.result()[1] == "spam"
    assert not c.try_send("again")


def test_a_select_that_sends_and_receives_on_one_channel_does_not_meet_itself():
    c = grt.chan()
    g = blocked(grt.select, c.recv, (c.send, "own"))
    assert not g.done
    assert c.recv() == "own"
    assert g.result() == (1, None)


def test_two_such_selects_meet_each_other():
    c = grt.chan()
    one = blocked(grt.select, c.recv, (c.send, "of one"))
    other = grt.go(grt.select, c.recv, (c.send, "of the other"))
    got = {one.result(), other.result()}
    assert got in ({(0, "of the other"), (1, None)}, {(0, "of one"), (1, None)})


def test_none_is_never_ready():
    c = grt.chan(1)
    c.send(1)
    nothing = None
    assert grt.select(None, nothing and nothing.recv, c.recv, (None, "x")) == (2, 1)
    assert grt.select(None, default=True) == (-1, None)


def test_a_select_without_cases_waits_until_it_is_ended():
    for cases in ((), (None, None)):
        with pytest.raises(TimeoutError):
            grt.select(*cases, timeout=0.001)
        g = blocked(grt.select, *cases)
        g.cancel()
        with pytest.raises(grt.Cancelled):
            g.result()


def test_a_closed_channel_is_ready():
    c = grt.chan()
    c.close()
    assert grt.select(c.recv_ok) == (0, (None, False))
    with pytest.raises(grt.Closed, match="receive from"):
        grt.select(c.recv)
    with pytest.raises(grt.Closed, match="send on"):
        grt.select((c.send, 1))
    with pytest.raises(grt.Closed):
        grt.select((c.send, 1), default=True)


@pytest.mark.parametrize("case", ["recv", "recv_ok", "send"])
def test_close_ends_a_select_that_waits(case):
    c, quiet = grt.chan(), grt.chan()
    g = blocked(grt.select, quiet.recv, (c.send, 1) if case == "send" else getattr(c, case))
    c.close()
    if case == "recv_ok":
        assert g.result() == (1, (None, False))
    else:
        with pytest.raises(grt.Closed):
            g.result()
    assert not quiet.try_send(1)


def test_a_select_that_times_out_or_is_cancelled_leaves_nothing_behind():
    channels = [grt.chan() for _ in range(3)]
    cases = [channels[0].recv, (channels[1].send, "lost"), channels[2].recv_ok]
    with pytest.raises(TimeoutError, match=r"within 0\.001 s"):
        grt.select(*cases, timeout=0.001)
    with pytest.raises(TimeoutError), grt.timeout(0.001):
        grt.select(*cases)
    g = blocked(grt.select, *cases)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()
    assert not channels[0].try_send(1)
    assert grt.select(channels[1].recv, default=True) == (-1, None)
    assert not channels[2].try_send(1)


def test_default_comes_before_a_timeout():
    assert grt.select(grt.chan().recv, default=True, timeout=60) == (-1, None)


def test_selects_wait_in_the_queue_of_each_channel():
    a, b = grt.chan(), grt.chan()
    first = blocked(grt.select, a.recv, b.recv)
    second = blocked(a.recv)
    a.send(1)
    a.send(2)
    assert first.result() == (0, 1) and second.result() == 2


def test_views_are_cases_too():
    c = grt.chan(1)
    assert grt.select((c.send_only().send, 5)) == (0, None)
    assert grt.select(c.recv_only().recv) == (0, 5)


@pytest.mark.parametrize("wrong", [5, "recv", print, (1, 2, 3), (print, 1), [].append])
def test_what_is_no_case_is_named_with_its_place(wrong):
    with pytest.raises(TypeError, match=r"case 1 of grt\.select"):
        grt.select(grt.chan().recv, wrong)


def test_many_cases_are_allowed():
    channels = [grt.chan() for _ in range(500)]
    g = blocked(grt.select, *(c.recv for c in channels))
    channels[321].send("found")
    assert g.result() == (321, "found")
    assert not any(c.try_send(None) for c in channels)


def test_a_million_selects_on_a_quiet_channel_take_no_memory():
    """50 000 unless GRT_LEAKS says how many."""
    quiet, busy = grt.chan(), grt.chan(1)
    count = int(os.environ.get("GRT_LEAKS", "50000"))

    def some(count):
        for number in range(count):
            if number % 4 == 0:
                with pytest.raises(TimeoutError):
                    grt.select(quiet.recv, timeout=0)
            elif number % 4 == 1:
                grt.select(quiet.recv, default=True)
            else:
                busy.send(number)
                grt.select(quiet.recv, busy.recv, grt.after(60).recv)

    some(2000)
    gc.collect()
    tracemalloc.start()
    try:
        some(2000)
        before = tracemalloc.get_traced_memory()[0]
        some(count)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000, f"{grown} bytes after {count} selects"
    assert not quiet.try_send(None)


def test_cancelled_selects_take_no_memory():
    quiet = grt.chan()

    def some(count):
        for _ in range(count):
            g = grt.go(grt.select, quiet.recv, (quiet.send, 1))
            grt.gosched()
            g.cancel()
            g.join()

    some(1000)
    gc.collect()
    tracemalloc.start()
    try:
        some(500)
        before = tracemalloc.get_traced_memory()[0]
        some(3000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000, f"{grown} bytes"
    assert not quiet.try_send(None)
