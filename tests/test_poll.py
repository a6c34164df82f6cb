"""Layer 1's readiness as its users meet it; the table, closing and bad input over every back-end of this system."""

import doctest
import fcntl
import gc
import math
import os
import re
import resource
import socket
import tempfile
from collections import Counter
from pathlib import Path

import pytest

import grt.poll
from grt._core import pypoll
from grt.poll import EDGE, ERROR, HANGUP, READ, WRITE, Poller
from tests._core.test_poller import libkqueue_cannot

SOON = 10.0  # more than any event takes, even on a busy machine; nothing waits it out unless a test fails


@pytest.fixture(params=Poller.backends())
def poller(request):
    with Poller(request.param) as made:
        yield made


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        yield here, there


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"only {hard} descriptors allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def only(events):
    assert len(events) == 1, events
    return events[0]


def test_the_example_runs():
    tried = doctest.testmod(grt.poll)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_the_bits_are_those_of_the_compiled_build():
    header = (Path(pypoll.__file__).parent / "csys" / "poller.h").read_text()
    values = {name: int(value) for name, value in re.findall(r"GRT_(READ|WRITE|EDGE|HANGUP|ERROR) = (\d+)", header)}
    assert values == {"READ": READ, "WRITE": WRITE, "EDGE": EDGE, "HANGUP": HANGUP, "ERROR": ERROR}


def test_the_face_names_what_it_has():
    assert sorted(grt.poll.__all__) == sorted(["EDGE", "ERROR", "HANGUP", "READ", "WRITE", "Event", "Poller"])
    assert all(hasattr(grt.poll, name) for name in grt.poll.__all__)


def test_an_event_shows_what_happened():
    here, there = socket.socketpair()
    with here, there, Poller() as poller:
        poller.register(here, READ | WRITE, "the near end")
        there.send(b"x")
        (event,) = poller.wait(10)
        assert repr(event) == f"<Event fd={here.fileno()} readable writable data='the near end'>"
        assert repr(poller) == f"<Poller {poller.backend} watching 1>"


def test_an_echo_in_twelve_lines():
    with socket.create_server(("127.0.0.1", 0)) as listener, Poller() as poller:
        client = socket.create_connection(listener.getsockname())
        poller.register(listener, READ)
        client.sendall(b"echo")
        client.shutdown(socket.SHUT_WR)
        served = False
        while not served:
            for event in poller.wait(10):
                if event.fd == listener.fileno():
                    conn, _ = listener.accept()
                    poller.register(conn, READ, conn)
                elif data := event.data.recv(100):
                    event.data.sendall(data)
                else:
                    poller.unregister(event.data)
                    event.data.close()
                    served = True
        assert client.recv(100) == b"echo"
        client.close()


# ---- the table


def test_modify_changes_events_and_keeps_the_data_unless_given(poller, pair):
    here, there = pair
    there.send(b"x")
    poller.register(here, READ, "first")
    poller.modify(here, WRITE)
    event = only(poller.wait(SOON))
    assert event.writable and not event.readable and event.data == "first"
    poller.modify(here, READ, None)
    event = only(poller.wait(SOON))
    assert event.readable and not event.writable and event.data is None


def test_modify_turns_level_into_edge_and_back(poller, pair):
    here, there = pair
    there.send(b"x")
    poller.register(here, READ)
    assert only(poller.wait(SOON))
    poller.modify(here, READ | EDGE)
    assert only(poller.wait(SOON))
    assert poller.wait(0) == []
    poller.modify(here, READ)
    assert only(poller.wait(SOON))
    assert only(poller.wait(SOON))


def test_len_counts_the_registered(poller, pair):
    assert len(poller) == 0
    poller.register(pair[0], READ)
    poller.register(pair[1], READ)
    assert len(poller) == 2
    poller.unregister(pair[0])
    assert len(poller) == 1


@pytest.mark.parametrize("trigger", [READ, READ | EDGE])
def test_a_thousand_descriptors_are_all_reported(poller, many_descriptors, trigger):
    pairs = [socket.socketpair() for _ in range(400 if poller.backend == "select" else 1000)]
    for here, there in pairs:
        poller.register(here, trigger, here.fileno())
        there.send(b"x")
    seen = Counter()
    for _ in range(20):
        seen.update(event.data for event in poller.wait(0))
    assert set(seen) == {here.fileno() for here, _ in pairs}
    if trigger & EDGE:
        assert set(seen.values()) == {1}
    for here, there in pairs:
        poller.unregister(here)
        here.close()
        there.close()
    assert len(poller) == 0
    assert poller.wait(0) == []


def test_a_high_descriptor_works_or_is_refused_clearly_by_select(poller, pair, many_descriptors):
    here, there = pair
    high = fcntl.fcntl(here, fcntl.F_DUPFD, 2000)
    there.send(b"x")
    try:
        if poller.backend == "select":
            with pytest.raises(ValueError, match="too high for the select back-end"):
                poller.register(high, READ)
            assert len(poller) == 0
        else:
            poller.register(high, READ)
            assert only(poller.wait(SOON)).fd == high
            poller.unregister(high)
    finally:
        os.close(high)


def test_a_descriptor_closed_too_early_falls_silent_and_can_be_unregistered(poller, pair):
    here, there = pair
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as doomed:
        number = doomed.fileno()
        poller.register(doomed, READ)
    poller.register(here, READ)
    assert poller.wait(0) == []
    there.send(b"x")
    assert only(poller.wait(SOON)).fd == here.fileno()
    poller.unregister(number)
    assert len(poller) == 1


# ---- closing


def test_a_closed_poller_says_so(poller, pair):
    here, _ = pair
    poller.register(here, READ)
    poller.close()
    poller.close()
    calls = [
        lambda: poller.register(here, READ),
        lambda: poller.modify(here, READ),
        lambda: poller.unregister(here),
        lambda: poller.rearm(here, READ),
        lambda: poller.wait(0),
        lambda: poller.collect(0),
        lambda: poller.fileno(),
        lambda: poller.__enter__(),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="this poller is closed"):
            call()
    assert len(poller) == 0
    assert here.fileno() >= 0


@pytest.mark.parametrize("backend", Poller.backends())
def test_no_descriptor_is_left_behind(backend):
    def opened():
        return len(os.listdir("/dev/fd"))

    Poller(backend).close()
    gc.collect()
    before = opened()
    for _ in range(10):
        Poller(backend).close()
        Poller(backend)
    gc.collect()
    # libkqueue keeps descriptors of its own for each kqueue, so on Linux its count proves nothing
    assert opened() == before or (backend == "kqueue" and os.uname().sysname == "Linux")


def test_a_poller_can_be_watched_by_another(poller, pair):
    if poller.fileno() < 0:
        pytest.skip("this back-end has no descriptor")
    libkqueue_cannot(poller, "be watched by another poller")
    here, there = pair
    poller.register(here, READ)
    with Poller("poll") as outer:
        outer.register(poller, READ)
        assert outer.wait(0) == []
        there.send(b"x")
        assert only(outer.wait(SOON)).fd == poller.fileno()


# ---- bad input


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'quux'.*select"):
        Poller("quux")


def test_the_best_backend_is_the_default():
    best_first = [name for name in ("epoll", "kqueue", "poll", "select") if name in Poller.backends()]
    assert list(Poller.backends()) == best_first
    with Poller() as poller:
        assert poller.backend == best_first[0]


@pytest.mark.parametrize("events", [0, EDGE, 8, 16, READ | 32, -1])
def test_events_that_make_no_sense_are_refused(poller, pair, events):
    with pytest.raises(ValueError, match="events must be READ, WRITE or both"):
        poller.register(pair[0], events)
    poller.register(pair[0], READ)
    with pytest.raises(ValueError, match="events must be"):
        poller.modify(pair[0], events)


def test_wrong_types_are_refused(poller, pair):
    with pytest.raises(TypeError, match="has fileno"):
        poller.register("stdin", READ)
    with pytest.raises(TypeError, match="events are"):
        poller.register(pair[0], "r")
    with pytest.raises(ValueError, match="not a number"):
        poller.wait(math.nan)
    with pytest.raises((TypeError, ValueError)):
        poller.wait("soon")


def test_a_negative_descriptor_is_refused(poller):
    with pytest.raises(ValueError, match="negative"):
        poller.register(-1, READ)
    with socket.socket() as closed:
        pass
    with pytest.raises(ValueError, match="closed already"):
        poller.register(closed, READ)


@pytest.mark.parametrize("number", [999, 2**31 - 1])
def test_a_descriptor_that_is_not_open_is_refused_by_the_kernel(poller, number):
    with pytest.raises(OSError, match="Bad file descriptor"):
        poller.register(number, READ)
    assert len(poller) == 0


def test_registering_twice_is_refused_and_changes_nothing(poller, pair):
    poller.register(pair[0], READ, "first")
    with pytest.raises(KeyError, match="already registered"):
        poller.register(pair[0], WRITE, "second")
    pair[1].send(b"x")
    event = only(poller.wait(SOON))
    assert event.data == "first" and not event.writable


def test_an_unknown_descriptor_is_a_key_error(poller, pair):
    for call in (
        lambda: poller.unregister(pair[0]),
        lambda: poller.modify(pair[0], READ),
        lambda: poller.unregister(4000),
    ):
        with pytest.raises(KeyError, match="not registered"):
            call()
    if poller.needs_rearm:
        with pytest.raises(KeyError, match="not registered"):
            poller.rearm(pair[0], READ)


def test_a_regular_file_is_the_kernels_to_judge(poller):
    if poller.backend == "kqueue":
        pytest.skip("kqueue watches files, libkqueue with limits of its own")
    with tempfile.TemporaryFile() as file:
        if poller.backend == "epoll":
            with pytest.raises(PermissionError):
                poller.register(file, READ)
            assert len(poller) == 0
        else:
            poller.register(file, READ)
            assert only(poller.wait(SOON)).readable


def test_a_misspelt_attribute_is_refused_by_both_builds(poller, pair):
    poller.register(pair[0], WRITE)
    for thing in (poller, only(poller.wait(SOON))):
        with pytest.raises(AttributeError):
            thing.colour = "red"
