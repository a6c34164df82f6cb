"""Barrier: so many wait for each other.

Invariants: a round is open or broken while it is the barrier's own, and complete or broken once it is not; whoever
waits for a round that gets broken is told.
Threads: any, under `_guard`.
"""

import operator
import threading

from grt._core.semaphore import WaitQueue, pace
from grt._core.timers import deadline_of

__all__ = ["Barrier"]


class Barrier:
    """A place where so many goroutines wait until all of them have come; again and again.

    As threading.Barrier: one that leaves before (its deadline came, it was cancelled) breaks it for the others, who
    get threading.BrokenBarrierError; that one gets its TimeoutError or grt.Cancelled.

    >>> import grt
    >>> barrier = grt.sync.Barrier(2)
    >>> g = grt.go(barrier.wait)
    >>> sorted([barrier.wait(), g.result()])
    [0, 1]
    """

    __slots__ = ("__weakref__", "_guard", "_round", "parties")

    def __init__(self, parties: int) -> None:
        if operator.index(parties) < 1:
            raise ValueError(f"a barrier is for at least one party, not {parties}")
        self.parties = parties  # how many have to come
        self._guard = threading.Lock()  # guards the rounds
        self._round = Round()

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.n_waiting}/{self.parties}"
        return f"<Barrier {state} at {id(self):#x}>"

    @property
    def n_waiting(self) -> int:
        """How many have come and wait for the others."""
        return self._round.arrived

    @property
    def broken(self) -> bool:
        """Whether it is broken: until `reset`, whoever comes gets BrokenBarrierError."""
        return self._round.broken

    def wait(self, timeout: float | None = None) -> int:
        """Waits until all have come; returns how many had come before: 0 for the first, parties - 1 for the last.

        Raises threading.BrokenBarrierError if it is broken, now or meanwhile, and TimeoutError, having broken it,
        after timeout seconds.
        """
        pace()
        deadline = deadline_of(timeout)
        self._guard.acquire()
        mine = self._round
        index = mine.arrived
        if mine.broken:
            self._guard.release()
        elif index == self.parties - 1:
            self._round = Round()
            mine.queue.wake_all()
            self._guard.release()
        else:
            mine.arrived += 1
            woken = mine.queue.wait(self._guard, self, deadline, lambda woken: self._break(mine))
            if not woken and mine.broken:
                raise TimeoutError(f"not all {self.parties} parties came to {self!r} within {timeout} s")
        if mine.broken:
            raise threading.BrokenBarrierError(f"{self!r} was broken by abort, reset, or one that left before all came")
        return index

    def abort(self) -> None:
        """Breaks it: those who wait, and those who come before a `reset`, get BrokenBarrierError. Never waits."""
        with self._guard:
            self._break(self._round)

    def reset(self) -> None:
        """Makes it as new: those who wait get BrokenBarrierError, those who come now begin a round. Never waits."""
        with self._guard:
            broken = self._round
            self._break(broken)
            self._round = Round()

    def _break(self, which: "Round") -> None:
        """Breaks a round, with the guard held, unless it is over."""
        if which is self._round:
            which.broken = True
            which.arrived = 0
            which.queue.wake_all()


class Round:
    """Those who wait for each other."""

    __slots__ = ("arrived", "broken", "queue")

    def __init__(self) -> None:
        self.arrived = 0  # how many have come and not left
        self.broken = False
        self.queue = WaitQueue()
