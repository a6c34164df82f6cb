"""WaitGroup: waits until everything that was counted is done.

Invariants: nobody waits while the count is zero; it leaves zero only when all who waited for that have returned.
Threads: any, under `_guard`.
Rejected: a goroutine around fn that calls done at its end (one cancelled before its start never would).
"""

import operator
import sys
import threading
from collections.abc import Callable
from typing import Any

from grt._core.go import go_for
from grt._core.goroutine import Goroutine
from grt._core.semaphore import WaitQueue, pace
from grt._core.timers import deadline_of

__all__ = ["WaitGroup"]


class WaitGroup:
    """Waits until all that was added is done, goroutines as a rule.

    >>> import grt
    >>> wg, found = grt.sync.WaitGroup(), []
    >>> for word in "spam", "eggs":
    ...     _ = wg.go(found.append, word)
    >>> wg.wait()
    >>> found
    ['spam', 'eggs']
    """

    __slots__ = ("__weakref__", "_count", "_guard", "_queue", "_returning")

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards all below
        self._count = 0  # how many are not done
        self._queue = WaitQueue()  # who waits for that to be zero
        self._returning = 0  # how many of those were woken and have not returned yet

    def __repr__(self) -> str:
        return f"<WaitGroup with {self._count} not done at {id(self):#x}>"

    @property
    def count(self) -> int:
        """How many are not done."""
        return self._count

    def add(self, n: int = 1) -> None:
        """Counts n more that are to be done; a negative n says that so many are done. Never waits.

        Raises RuntimeError, and counts nothing, if more would be done than were added, or if those who waited for
        the last round have not all returned yet: a new round begins after their `wait`.
        """
        n = operator.index(n)
        with self._guard:
            count = self._count + n
            if count < 0:
                raise RuntimeError(f"more was done than added to {self!r}: add({n})")
            if n > 0 and self._count == 0 and self._returning:
                raise RuntimeError(
                    f"{self!r} is used again before the {self._returning} that waited for it have returned from wait"
                )
            self._count = count
            if count == 0:
                self._returning += self._queue.wake_all()

    def done(self) -> None:
        """Says that one is done. Never waits. Raises RuntimeError if all were."""
        self.add(-1)

    def go(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Goroutine:
        """Starts fn(*args, **kwargs) as grt.go does, added now and done when it has ended, however it ends."""
        caller = sys._getframe(1)
        self.add(1)
        try:
            return go_for(self._ended, caller.f_code, caller.f_lasti, fn, args, kwargs)
        except BaseException:
            self.done()
            raise

    def wait(self, timeout: float | None = None) -> None:
        """Waits until all is done. Raises TimeoutError after timeout seconds."""
        pace()
        deadline = deadline_of(timeout)
        self._guard.acquire()
        if self._count == 0:
            self._guard.release()
            return
        if not self._queue.wait(self._guard, self, deadline, self._left):
            raise TimeoutError(f"{self!r} was not done within {timeout} s")
        with self._guard:
            self._returning -= 1

    def _ended(self, g: Goroutine, failure: object) -> None:
        self.done()

    def _left(self, woken: bool) -> None:
        if woken:
            self._returning -= 1
