"""Go's channel programs again, with the goroutines of each spread over several OS threads."""

import itertools
import random
import threading
from typing import Any

import pytest

import grt

THREADS = 3
LIMIT = 60  # seconds; nothing waits it out unless a test fails


@pytest.fixture
def go(monkeypatch):
    """Starts a goroutine in the next of several threads. What has not ended with the test ends with its thread."""
    doors: list[Any] = [grt.chan() for _ in range(THREADS)]
    raised: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", raised.append)

    def serve(door):
        for fn, args in door:
            grt.go(fn, *args)

    threads = [threading.Thread(target=serve, args=[door]) for door in doors]
    for thread in threads:
        thread.start()
    turn = itertools.cycle(doors)
    yield lambda fn, *args: next(turn).send((fn, args), timeout=LIMIT)
    for door in doors:
        door.close()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert raised == []


@pytest.mark.parametrize("capacity", [0, 3])
def test_sieve(go, capacity):
    def generate(out):
        for number in itertools.count(2):
            out.send(number)

    def strike(prime, numbers, out):
        for number in numbers:
            if number % prime:
                out.send(number)

    numbers = grt.chan(capacity)
    go(generate, numbers)
    primes = []
    for _ in range(10):
        primes.append(numbers.recv(LIMIT))
        left = grt.chan(capacity)
        go(strike, primes[-1], numbers, left)
        numbers = left
    assert primes == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


def test_fifo(go):
    """Receivers that queued one after the other are served in that order, in whatever threads they are."""
    c, served = grt.chan(), grt.chan(10)
    for number in range(10):
        go(lambda number: served.send((number, c.recv())), number)
        while sum(stack.waits_for == f"in recv from {c!r}" for stack in grt.debug.stacks()) <= number:
            grt.sleep(0.001)
    for value in range(10):
        c.send(value, timeout=LIMIT)
    assert sorted(served.recv(LIMIT) for _ in range(10)) == [(number, number) for number in range(10)]


def test_double_select(go):
    """Of two clauses of one select never both happen: numbers sent by select to several channels arrive once each."""
    rounds = 200
    channels = [grt.chan() for _ in range(4)]
    merged = grt.chan()

    def send():
        for number in range(rounds):
            grt.select(*((c.send, number) for c in channels))
        for c in channels:
            c.close()

    def forward(c):
        for number in c:
            merged.send(number)
        merged.send(None)

    go(send)
    for c in channels:
        go(forward, c)
    got: list[Any] = []
    while got.count(None) < 4:
        got.append(merged.recv(LIMIT))
    assert sorted(number for number in got if number is not None) == list(range(rounds))


def test_selects_that_send_to_and_receive_from_one_channel(go):
    """Go's self-select, in two threads: every value is received by the other, once."""
    c, done, rounds = grt.chan(), grt.chan(2), 100
    received: list[list[Any]] = [[], []]

    def work(me):
        number = 0
        while number < rounds:
            index, value = grt.select((c.send, (me, number)), c.recv)
            if index == 0:
                number += 1
            else:
                received[me].append(value)
        done.send(None)

    for me in (0, 1):
        go(work, me)
    ended = 0
    while ended < 2:
        index, value = grt.select(done.recv, c.recv, timeout=LIMIT)
        if index == 0:
            ended += 1
        else:
            received.append([value])
    assert all(value[0] != me for me in (0, 1) for value in received[me])
    assert sorted(itertools.chain(*received)) == [(me, number) for me in (0, 1) for number in range(rounds)]


@pytest.mark.parametrize("seed", range(3))
def test_programs_at_random_lose_no_value_and_receive_none_twice(go, seed):
    """Sends, receives, selects, timeouts and cancellations in all threads; what one sends keeps its order."""
    channels = [grt.chan(capacity) for capacity in (0, 1, 3)]
    sent: list[list[Any]] = []
    received: list[list[Any]] = []
    ended = grt.sync.WaitGroup()
    running: list[grt.Goroutine] = []

    def work(me):
        dice = random.Random(seed * 100 + me)
        mine, theirs = [], []
        sent.append(mine)
        received.append(theirs)
        running.append(grt.current())
        for number in range(150):
            at = dice.randrange(3)
            c, other = channels[at], channels[at - 1]
            value = (me, number)
            way = dice.randrange(5)
            try:
                if way == 0:
                    c.send(value, timeout=0.002)
                    mine.append((at, value))
                elif way == 1:
                    theirs.append((at, c.recv(timeout=0.002)))
                elif way == 2:
                    index, got = grt.select((c.send, value), other.recv, timeout=0.002)
                    if index == 0:
                        mine.append((at, value))
                    else:
                        theirs.append(((at - 1) % 3, got))
                elif way == 3:
                    index, got = grt.select(
                        c.recv, c.recv, (other.send, value), default=dice.random() < 0.5, timeout=0.01
                    )
                    if index == 2:
                        mine.append(((at - 1) % 3, value))
                    elif index >= 0:
                        theirs.append((at, got))
                else:
                    dice.choice(running).cancel()
                    grt.gosched()
            except (TimeoutError, grt.Cancelled):
                pass
        ended.done()

    ended.add(12)
    for me in range(12):
        go(work, me)
    ended.wait(LIMIT)
    left: list[Any] = []
    for at, c in enumerate(channels):
        c.close()
        left.extend((at, value) for value in c)
    received.append(left)
    assert sorted(itertools.chain(*received)) == sorted(itertools.chain(*sent))
    for theirs in received:
        for at, me in itertools.product(range(3), range(12)):
            came = [value for place, value in theirs if place == at and value[0] == me]
            assert came == sorted(came)
