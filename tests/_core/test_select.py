"""select: exactly one case happens."""

import pytest

import grt


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
