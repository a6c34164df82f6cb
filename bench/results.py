"""The figures of all rounds, and what is read from them.

Invariants: values[figure][contender] has one entry for each round, None where it was not measured.

A ratio is taken within each round, between two measurements a few seconds apart, and then the median over the rounds:
a machine that slows down for a minute slows both.
"""

import statistics

from bench.contenders import BASELINE

MORE_IS_BETTER = ("rate", "mb")  # of every other figure less is


class Results:
    __slots__ = ("notices", "rounds", "values")

    def __init__(self, rounds):
        self.rounds = rounds
        self.values = {}
        self.notices = []

    def add(self, figure, contender, number, value):
        self.values.setdefault(figure, {}).setdefault(contender, [None] * self.rounds)[number] = value

    def contenders(self, figure):
        return self.values.get(figure, {})

    def measured(self, figure, contender):
        return [value for value in self.contenders(figure).get(contender, ()) if value is not None]

    def median(self, figure, contender):
        values = self.measured(figure, contender)
        return statistics.median(values) if values else None

    def advantage(self, figure, peer, of=BASELINE):
        """How many times better `of` is than the peer: above 1 is better, for every figure."""
        ours, theirs = self.contenders(figure).get(of, ()), self.contenders(figure).get(peer, ())
        ratios = [our / their for our, their in zip(ours, theirs, strict=False) if our and their]
        if not ratios:
            return None
        middle = statistics.median(ratios)
        return middle if figure.rpartition("/")[2] in MORE_IS_BETTER else 1 / middle
