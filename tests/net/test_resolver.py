"""Names are asked for without blocking anyone else."""

import socket
import threading

import pytest

import grt
from grt.net import resolver
from tests.goroutines import all_idle


@pytest.fixture
def slow(monkeypatch):
    """Names wait for an event; numbers are known at once."""
    answer = threading.Event()
    ask = socket.getaddrinfo

    def getaddrinfo(host, port, family, kind, protocol, flags):
        if not flags & socket.AI_NUMERICHOST:
            answer.wait()
            return ask("127.0.0.1", port, family, kind, protocol, flags)
        return ask(host, port, family, kind, protocol, flags)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield answer
    answer.set()
    all_idle()


def test_questions_that_nobody_waits_for_any_more_leave_half_of_the_pool_to_others(slow):
    for number in range(80):
        with pytest.raises(TimeoutError):
            grt.lookup(f"name{number}.invalid", timeout=0.005)
    with grt.timeout(60):
        assert grt.blocking(int, "5") == 5
    slow.set()
    with grt.timeout(60):
        assert grt.lookup("name80.invalid") == ["127.0.0.1"]


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_number_is_its_own_address_and_asks_nobody(slow, host, family):
    assert resolver.resolve(host, socket.AF_UNSPEC) == [(family, host)]


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "x" * 300])
def test_what_can_be_no_name_is_told_as_an_unknown_one(host):
    with pytest.raises(socket.gaierror, match=f"not the name of a host.*'{host}'"):
        grt.lookup(host)


def test_a_name_gives_all_its_addresses_once():
    found = resolver.resolve("localhost", socket.AF_UNSPEC)
    assert (socket.AF_INET, "127.0.0.1") in found and len(set(found)) == len(found)
    assert resolver.resolve("localhost", socket.AF_INET) == [(socket.AF_INET, "127.0.0.1")]


def test_an_unknown_name_is_in_the_message():
    with pytest.raises(socket.gaierror, match=r"'no-such-host\.invalid'"):
        resolver.resolve("no-such-host.invalid", socket.AF_UNSPEC)


def test_a_name_that_cannot_be_one_is_refused():
    with pytest.raises((UnicodeError, socket.gaierror)):
        resolver.resolve("a" * 300 + ".invalid", socket.AF_UNSPEC)


def test_others_run_while_a_name_is_asked_for(slow):
    g = grt.go(resolver.resolve, "slow.example", socket.AF_INET)
    for _ in range(3):
        grt.sleep(0.001)
    assert not g.done
    slow.set()
    assert g.result() == [(socket.AF_INET, "127.0.0.1")]


def test_many_ask_at_once(slow):
    goroutines = [grt.go(resolver.resolve, f"{number}.example", socket.AF_INET) for number in range(100)]
    grt.sleep(0.001)
    slow.set()
    assert [g.result() for g in goroutines] == [[(socket.AF_INET, "127.0.0.1")]] * 100


def test_a_deadline_ends_the_wait_for_an_answer(slow):
    with pytest.raises(TimeoutError, match=r"dial tcp slow\.example:80: no answer within 0\.01 s"):
        grt.dial("tcp", "slow.example:80", timeout=0.01)


def test_a_cancellation_ends_the_wait_for_an_answer_which_is_then_dropped(slow):
    g = grt.go(resolver.resolve, "slow.example", socket.AF_INET)
    grt.sleep(0.001)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()
    slow.set()
    grt.sleep(0.001)
