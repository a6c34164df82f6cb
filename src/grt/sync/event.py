"""Event: a flag that goroutines wait for.

Invariants: nobody waits while the flag is set. `set` never waits for the guard, so that a signal's handler may call
it in the midst of anything: whoever holds the guard then does the waking, on letting go.
Threads: any; the queue under the guard's lock.
"""

import threading

from grt._core.semaphore import WaitQueue, pace
from grt._core.timers import deadline_of

__all__ = ["Event"]


class Event:
    """A flag: goroutines wait until it is set, and go on waiting for nothing while it stays so.

    As threading.Event, except that a `wait` that takes too long raises TimeoutError, like all of grt.

    >>> import grt
    >>> ready = grt.sync.Event()
    >>> _ = grt.go(ready.set)
    >>> ready.wait(timeout=5)
    True
    """

    __slots__ = ("__weakref__", "_flag", "_guard", "_queue")

    def __init__(self) -> None:
        self._flag = False
        self._queue = WaitQueue()  # who waits for the flag
        self._guard = Guard(self._queue)

    def __repr__(self) -> str:
        return f"<Event {'set' if self._flag else 'not set'} at {id(self):#x}>"

    def is_set(self) -> bool:
        """Whether it is set now."""
        return self._flag

    def set(self) -> None:
        """Sets the flag and wakes all who wait. Never waits; see grt.sync for calling it in a signal's handler."""
        self._flag = True
        self._guard.tell()

    def clear(self) -> None:
        """Takes the flag down again: who comes now waits."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the flag is set; returns True. Raises TimeoutError after timeout seconds."""
        pace()
        deadline = deadline_of(timeout)
        self._guard.acquire()
        if self._flag:
            self._guard.release()
        elif not self._queue.wait(self._guard, self, deadline):
            raise TimeoutError(f"{self!r} was not set within {timeout} s")
        return True


class Guard:
    """The lock of an event's queue, for which the one who sets the event need not wait."""

    __slots__ = ("_lock", "_news", "_queue")

    def __init__(self, queue: WaitQueue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._news = False  # whether the event was set and the waking is still to be done

    def acquire(self) -> None:
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()
        if self._news:
            self.tell()

    def tell(self) -> None:
        """Wakes all who wait, now or, if somebody holds the lock, when that one lets go."""
        self._news = True
        while self._news and self._lock.acquire(blocking=False):
            self._news = False
            self._queue.wake_all()
            self._lock.release()
