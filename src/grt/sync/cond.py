"""Cond: waits for news about what a mutex guards.

Invariants: who waits is in the queue before its mutex is unlocked, so no news is missed; however `wait` ends, the
mutex is locked again.
Threads: any; the queue under `_guard`, inside which the mutex's own lock may be taken.
"""

import operator
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from grt._core.errors import refuse_async
from grt._core.go import current
from grt._core.semaphore import Mutex, WaitQueue, pace
from grt._core.timers import deadline_of

__all__ = ["Cond"]

T = TypeVar("T")


class Cond:
    """Waits, with a Mutex locked, until another says that what the mutex guards has changed.

    As a context manager it is its mutex. Other goroutines may change things between the news and the end of `wait`,
    so look again, or let `wait_for` do that:

    >>> import grt
    >>> cond, jobs = grt.sync.Cond(), []
    >>> def give(job):
    ...     with cond:
    ...         jobs.append(job)
    ...         cond.notify()
    >>> _ = grt.go(give, "spam")
    >>> with cond:
    ...     _ = cond.wait_for(lambda: jobs)
    ...     jobs.pop()
    'spam'
    """

    __slots__ = ("__weakref__", "_guard", "_queue", "mutex")

    def __init__(self, mutex: Mutex | None = None) -> None:
        if mutex is not None and not isinstance(mutex, Mutex):
            raise TypeError(f"a Cond is about what a grt.sync.Mutex guards, not {mutex!r}")
        self.mutex = Mutex() if mutex is None else mutex  # guards what the news is about
        self._guard = threading.Lock()  # guards the queue
        self._queue = WaitQueue()

    def __repr__(self) -> str:
        return f"<Cond of {self.mutex!r} at {id(self):#x}>"

    def __enter__(self) -> "Cond":
        self.mutex.lock()
        return self

    def __exit__(self, *exc: object) -> None:
        self.mutex.unlock()

    def wait(self, timeout: float | None = None) -> None:
        """Unlocks the mutex, waits for `notify`, and locks the mutex again, also when it raises.

        Raises RuntimeError if the mutex is not locked, and TimeoutError after timeout seconds. Locking it again may
        take longer, and is never cut short: a cancellation or deadline that comes then ends the next blocking call.
        """
        if not self._wait(deadline_of(timeout)):
            raise TimeoutError(f"nobody notified {self!r} within {timeout} s")

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Waits until predicate(), which is called with the mutex locked, is true; returns what it gave.

        Raises as `wait` does.
        """
        refuse_async(predicate)
        deadline = deadline_of(timeout)
        while not (found := predicate()):
            if not self._wait(deadline):
                found = predicate()
                if found:
                    break
                raise TimeoutError(f"what was waited for by {self!r} did not come about within {timeout} s")
        return found

    def notify(self, n: int = 1) -> None:
        """Wakes the first n who wait, or fewer. Never waits; the mutex need not be locked, but mostly should be."""
        n = operator.index(n)
        with self._guard:
            self._queue.wake(n)

    def notify_all(self) -> None:
        """Wakes all who wait. Never waits."""
        with self._guard:
            self._queue.wake_all()

    def _wait(self, deadline: float) -> bool:
        pace()
        self._guard.acquire()
        try:
            self.mutex.unlock()
        except RuntimeError:
            self._guard.release()
            raise RuntimeError(f"{self!r} can only be waited for with its mutex locked") from None
        try:
            return self._queue.wait(self._guard, self, deadline, self._left)
        finally:
            lock_again(self.mutex)

    def _left(self, woken: bool) -> None:
        if woken:
            self._queue.wake()


def lock_again(mutex: Mutex) -> None:
    """Locks mutex whatever comes; what is thrown meanwhile is raised in the next blocking call."""
    if mutex.try_lock():
        return
    g = current()
    proc: Any = g.proc
    outer = g.deadline, g.scope
    g.set_deadline(deadline_of(None), None)
    late: BaseException | None = None
    try:
        while proc.interruptible:
            try:
                return mutex.lock()
            except BaseException as error:
                if not proc.interruptible:
                    mutex.lock_anyway()
                    raise
                late = late or error
        mutex.lock_anyway()  # its thread ends: nothing can wait there any more
    finally:
        g.set_deadline(*outer)
        if late is not None:
            g.throw(late)
