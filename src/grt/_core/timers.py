"""Deadlines of one loop, earliest first: a heap in which every timer knows its place.

Invariants: heap[0] is the earliest; heap[t.place] is t for every armed timer t, and t.place is -1 for every other;
a cancelled timer leaves at once, so a deadline that was not needed costs nothing later. Timers of the same moment
expire in the order in which they were armed.
Threads: the loop's owner only.
Rejected: a timer wheel (coarse ticks); heapq with dead entries (a server's deadlines are nearly all cancelled, and
the dead ones pile up); a sorted list (O(n) insert).
"""

import threading
from typing import Any

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pysys import NEVER
    from grt._core.pysys import now as clock

__all__ = ["Timer", "Timers", "deadline_of", "moment_in", "now", "set_clock", "virtual_now"]

virtual_clocks = 0  # how many threads have one
_virtual = threading.local()
_lock = threading.Lock()  # guards the count


class Timer:
    """Something that happens at a moment: whoever wants more than being in the heap overrides `expire`."""

    __slots__ = ("order", "place", "when")

    def __init__(self) -> None:
        self.when = 0.0  # monotonic seconds
        self.order = 0  # rank among timers of the same moment
        self.place = -1  # index in the heap, -1 while not armed

    def expire(self) -> Any:
        """Called once, in the loop's thread, when the moment has come; the timer is no longer armed."""
        raise NotImplementedError

    def before(self, other: "Timer") -> bool:
        return self.when < other.when or (self.when == other.when and self.order < other.order)


class Timers:
    """The heap. Arming, re-arming and cancelling are O(log n)."""

    __slots__ = ("armed", "heap")

    def __init__(self) -> None:
        self.heap: list[Timer] = []
        self.armed = 0  # how many were ever armed: gives each its order

    def __len__(self) -> int:
        return len(self.heap)

    def arm(self, timer: Timer, when: float) -> None:
        """Sets timer to expire at when, whether or not it was armed before."""
        if timer.place >= 0:
            self.cancel(timer)
        self.armed += 1
        timer.when = when
        timer.order = self.armed
        timer.place = len(self.heap)
        self.heap.append(timer)
        self.rise(timer)

    def cancel(self, timer: Timer) -> bool:
        """Takes timer out; returns whether it was armed."""
        place = timer.place
        if place < 0:
            return False
        timer.place = -1
        last: Timer = self.heap.pop()
        if last is not timer:
            self.heap[place] = last
            last.place = place
            self.rise(last)
            self.sink(last)
        return True

    def next_when(self) -> float:
        """The earliest moment, NEVER without any."""
        if not self.heap:
            return NEVER
        first: Timer = self.heap[0]
        return first.when

    def pop_due(self, now: float) -> Timer | None:
        """Takes out and returns the earliest timer if its moment has come."""
        if not self.heap or self.next_when() > now:
            return None
        first: Timer = self.heap[0]
        self.cancel(first)
        return first

    def rise(self, timer: Timer) -> None:
        """Moves timer up to where its parent is not later."""
        heap = self.heap
        place = timer.place
        while place > 0:
            above = (place - 1) >> 1
            parent: Timer = heap[above]
            if not timer.before(parent):
                break
            heap[place] = parent
            parent.place = place
            place = above
        heap[place] = timer
        timer.place = place

    def sink(self, timer: Timer) -> None:
        """Moves timer down to where its children are not earlier."""
        heap = self.heap
        place = timer.place
        size = len(heap)
        while True:
            below = 2 * place + 1
            if below >= size:
                break
            child: Timer = heap[below]
            if below + 1 < size:
                other: Timer = heap[below + 1]
                if other.before(child):
                    below += 1
                    child = other
            if not child.before(timer):
                break
            heap[place] = child
            child.place = place
            place = below
        heap[place] = timer
        timer.place = place


def now() -> float:
    """The moment, in seconds: of the monotonic clock, or of the virtual one if this thread has one."""
    if virtual_clocks:
        moment = virtual_now()
        if moment is not None:
            return moment
    return clock()


def virtual_now() -> float | None:
    """The moment of this thread's virtual clock, None if it has none."""
    moment: float | None = getattr(_virtual, "moment", None)
    return moment


def set_clock(moment: float | None) -> None:
    """Gives this thread a virtual clock, which shows moment until it is set again; None takes it away."""
    global virtual_clocks
    with _lock:
        virtual_clocks += (moment is not None) - (virtual_now() is not None)
    _virtual.moment = moment


def deadline_of(timeout: float | None) -> float:
    """The moment at which a timeout in seconds from now is over; NEVER for None."""
    if timeout is None:
        return NEVER
    return moment_in(timeout, "a timeout is a number of seconds or None")


def moment_in(seconds: float, what: str) -> float:
    """The moment so many seconds from now; what says, in an exception, which seconds these are."""
    try:
        moment = now() + seconds
    except TypeError:
        raise TypeError(f"{what}, not {seconds!r}") from None
    if moment != moment:
        raise ValueError(f"{what}, not {seconds!r}")
    return moment
