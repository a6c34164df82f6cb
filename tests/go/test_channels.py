"""What Go's own channel tests check, as behaviours: a program each."""

from fractions import Fraction
from itertools import count, islice
from math import factorial
from typing import Any

import pytest

import grt
from tests.goroutines import blocked, living

PRIMES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97]


@pytest.fixture(autouse=True)
def all_end():
    """Goroutines of these programs wait for ever; they are ended with the test."""
    before = living()
    yield
    left = [g for g in living() if g not in before]
    for g in left:
        g.cancel()
    for g in left:
        g.join(60)


@pytest.mark.parametrize("capacity", [0, 1, 10])
def test_sieve(capacity):
    """Each prime's filter is a goroutine of its own between two channels."""

    def generate(out):
        for number in count(2):
            out.send(number)

    def strike(prime, numbers, out):
        for number in numbers:
            if number % prime:
                out.send(number)

    def primes():
        numbers = grt.chan(capacity)
        grt.go(generate, numbers)
        while True:
            prime = numbers.recv()
            yield prime
            left = grt.chan(capacity)
            grt.go(strike, prime, numbers, left)
            numbers = left

    assert list(islice(primes(), len(PRIMES))) == PRIMES


def test_fifo_with_a_buffer():
    c = grt.chan(10)
    for number in range(10):
        c.send(number)
    assert [c.recv() for _ in range(10)] == list(range(10))


def test_fifo_without_a_buffer():
    """Senders that started one after the other are received from in that order, each when its turn is."""
    c = grt.chan()
    first = turn = grt.chan()

    def send(number, mine, following):
        mine.recv()
        c.send(number)
        following.send(None)

    for number in range(10):
        following = grt.chan()
        grt.go(send, number, turn, following)
        turn = following
    grt.go(first.send, None)
    assert [c.recv() for _ in range(10)] == list(range(10))
    turn.recv()


@pytest.mark.parametrize("rounds", [2000])
def test_double_select(rounds):
    """Of two clauses of one select never both happen: numbers sent by select to several channels arrive once each."""
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

    grt.go(send)
    for c in channels:
        grt.go(forward, c)
    got, ends = [], 0
    while ends < 4:
        number = merged.recv()
        if number is None:
            ends += 1
        else:
            got.append(number)
    assert sorted(got) == list(range(rounds))


@pytest.mark.parametrize("capacity", [0, 1])
def test_nonblocking_operations_tell_whether_they_happened(capacity):
    c = grt.chan(capacity)
    assert grt.select(c.recv, default=True) == (-1, None)
    assert grt.select((c.send, 1), default=True) == ((0, None) if capacity else (-1, None))
    if capacity:
        assert grt.select((c.send, 2), default=True) == (-1, None)
        assert grt.select(c.recv, default=True) == (0, 1)
    receiver = blocked(c.recv)
    assert grt.select((c.send, 3), default=True) == (0, None)
    assert receiver.result() == 3
    for _ in range(capacity):
        c.send(0)
    sender = blocked(c.send, 4)
    assert [grt.select(c.recv, default=True)[1] for _ in range(capacity + 1)] == [0] * capacity + [4]
    sender.result()


def closed(capacity=0):
    c = grt.chan(capacity)
    c.close()
    return c


def full():
    c = grt.chan(10)
    for number in range(10):
        c.send(number)
    return c


BLOCKS, PASSES, RAISES = "blocks", "passes", "raises"
MATRIX = {  # Go's select3: which operation blocks on which channel
    "receive from an empty one without buffer": (grt.chan, lambda c: c.recv(), BLOCKS),
    "send to one without buffer": (grt.chan, lambda c: c.send(7), BLOCKS),
    "receive from an empty one with buffer": (lambda: grt.chan(10), lambda c: c.recv(), BLOCKS),
    "send to one with room": (lambda: grt.chan(10), lambda c: c.send(7), PASSES),
    "receive from a full one": (full, lambda c: c.recv(), PASSES),
    "send to a full one": (full, lambda c: c.send(7), BLOCKS),
    "receive from a closed one": (closed, lambda c: c.recv_ok(), PASSES),
    "send to a closed one": (closed, lambda c: c.send(7), RAISES),
    "select nothing": (grt.chan, lambda c: grt.select(), BLOCKS),
    "select a receive from no channel": (grt.chan, lambda c: grt.select(None), BLOCKS),
    "select a send to no channel": (grt.chan, lambda c: grt.select((None, 7)), BLOCKS),
    "select none of two": (grt.chan, lambda c: grt.select(c.recv, None), BLOCKS),
    "select an empty one": (grt.chan, lambda c: grt.select(c.recv), BLOCKS),
    "select the one that is ready": (full, lambda c: grt.select(None, c.recv), PASSES),
    "select a send with room": (lambda: grt.chan(10), lambda c: grt.select((c.send, 7)), PASSES),
    "select a send to a full one": (full, lambda c: grt.select((c.send, 7)), BLOCKS),
    "select a closed one": (closed, lambda c: grt.select(c.recv_ok), PASSES),
    "select a send to a closed one": (closed, lambda c: grt.select((c.send, 7)), RAISES),
}


@pytest.mark.parametrize("what", MATRIX)
def test_what_blocks_and_what_does_not(what):
    make, operation, expected = MATRIX[what]
    g = grt.go(operation, make())
    for _ in range(10):
        grt.gosched()
    assert g.done == (expected != BLOCKS)
    if expected == RAISES:
        with pytest.raises(grt.Closed):
            g.result()
    elif expected == PASSES:
        g.result()


def test_a_busy_case_does_not_starve_another():
    """Go's select fairness: with both always ready, each has its share."""
    ones, others, end = grt.chan(), grt.chan(), grt.chan()

    def send(c):
        while grt.select((c.send, None), end.recv_ok)[0] == 0:
            pass

    grt.go(send, ones)
    grt.go(send, others)
    counts = [0, 0]
    for _ in range(2000):
        counts[grt.select(ones.recv, others.recv)[0]] += 1
    end.close()
    assert min(counts) > 700, counts


@pytest.mark.parametrize("capacity", [0, 1])
def test_selects_that_send_to_and_receive_from_one_channel(capacity):
    """Go's self-select: two goroutines that each do both at once pass every value, and never meet themselves."""
    c, rounds = grt.chan(capacity), 500
    sent: list[list[int]] = [[], []]
    received: list[list[Any]] = [[], []]

    def work(me):
        number = 0
        while number < rounds:
            index, value = grt.select((c.send, (me, number)), c.recv)
            if index == 0:
                sent[me].append(number)
                number += 1
            else:
                if capacity == 0:
                    assert value[0] != me
                received[me].append(value)
        done.send(None)

    done = grt.chan(2)
    for me in (0, 1):
        grt.go(work, me)
    ended = 0
    while ended < 2:
        index, value = grt.select(done.recv, c.recv)
        if index == 0:
            ended += 1
        else:
            received[0].append(value)
    while (left := grt.select(c.recv, default=True))[0] == 0:
        received[0].append(left[1])
    assert sent == [list(range(rounds))] * 2
    assert sorted(received[0] + received[1]) == [(me, number) for me in (0, 1) for number in range(rounds)]


def test_a_chain_of_ten_thousand_goroutines():
    def pass_on(left, right):
        left.send(1 + right.recv())

    first = left = grt.chan()
    for _ in range(10_000):
        right = grt.chan()
        grt.go(pass_on, left, right)
        left = right
    grt.go(left.send, 0)
    assert first.recv() == 10_000


# -- power series: streams of coefficients, each computed by goroutines when it is asked for


class Series:
    """The coefficients of a power series over a channel."""

    def __init__(self, coefficients):
        self.c = grt.chan()
        grt.go(self.send, coefficients)

    def send(self, coefficients):
        for coefficient in coefficients():
            self.c.send(Fraction(coefficient))

    def take(self, n):
        return [self.c.recv() for _ in range(n)]

    def split(self):
        one, other = grt.chan(100), grt.chan(100)

        def copy():
            for value in self.c:
                one.send(value)
                other.send(value)

        grt.go(copy)
        return Series(lambda: one), Series(lambda: other)


def constant(value):
    def coefficients():
        yield value
        while True:
            yield 0

    return Series(coefficients)


def ones():
    def coefficients():
        while True:
            yield 1

    return Series(coefficients)


def add(a, b):
    return Series(lambda: (x + y for x, y in zip(a.c, b.c, strict=False)))


def multiply(a, b):
    def coefficients():
        seen_a, seen_b = [], []
        for x, y in zip(a.c, b.c, strict=False):
            seen_a.append(x)
            seen_b.append(y)
            yield sum(p * q for p, q in zip(seen_a, reversed(seen_b), strict=True))

    return Series(coefficients)


def integrate(constant, a):
    def coefficients():
        yield constant
        for n, x in enumerate(a.c, 1):
            yield x / n

    return Series(coefficients)


def differentiate(a):
    def coefficients():
        a.c.recv()
        for n, x in enumerate(a.c, 1):
            yield n * x

    return Series(coefficients)


def exponential(a):
    """The series x with x' = x * a' and x(0) = 1, defined by itself."""
    feed = grt.chan(100)

    def coefficients():
        x = integrate(1, multiply(Series(lambda: feed), differentiate(a)))
        for value in x.c:
            feed.send(value)
            yield value

    return Series(coefficients)


def tangent():
    """The series t with t' = 1 + t * t and t(0) = 0, defined by itself."""
    feeds = [grt.chan(100), grt.chan(100)]

    def coefficients():
        square = multiply(Series(lambda: feeds[0]), Series(lambda: feeds[1]))
        for value in integrate(0, add(constant(1), square)).c:
            for feed in feeds:
                feed.send(value)
            yield value

    return Series(coefficients)


def test_power_series():
    assert add(ones(), ones()).take(10) == [2] * 10
    assert multiply(ones(), ones()).take(10) == list(range(1, 11))
    assert integrate(0, ones()).take(5) == [0, 1, Fraction(1, 2), Fraction(1, 3), Fraction(1, 4)]
    assert differentiate(ones()).take(5) == [1, 2, 3, 4, 5]
    one, other = ones().split()
    assert add(one, other).take(5) == [2] * 5


def test_the_exponential_of_x_is_the_series_of_e():
    x = Series(lambda: iter([0, 1, *[0] * 20]))
    assert exponential(x).take(7) == [Fraction(1, factorial(n)) for n in range(7)]


def test_the_tangent():
    assert tangent().take(10) == [
        *(0, 1, 0, Fraction(1, 3), 0, Fraction(2, 15), 0, Fraction(17, 315), 0, Fraction(62, 2835))
    ]
