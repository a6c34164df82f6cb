"""RWMutex: many readers or one writer.

Invariants: readers wait only while a writer is in or waits (or has not left yet after its deadline), writers only
while somebody is in; whoever leaves lets in those whose turn it is, who are in before they run.
Threads: any, under `_guard`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from grt._core.semaphore import WaitQueue, pace
from grt._core.timers import deadline_of

__all__ = ["RWMutex"]


class RWMutex:
    """A lock for many readers or one writer. As a context manager it is the writer's; `reading` is the readers'.

    A writer who waits keeps new readers out; when a writer unlocks, the readers who waited meanwhile go before the
    next writer. So neither side starves. Not reentrant, and not for a reader who becomes the writer: both wait for
    themselves. Any goroutine, of any thread, may unlock it.

    >>> import grt
    >>> prices, rw = {}, grt.sync.RWMutex()
    >>> with rw:
    ...     prices["spam"] = 3
    >>> with rw.reading():
    ...     prices["spam"]
    3
    """

    __slots__ = ("__weakref__", "_guard", "_readers", "_reading", "_writer", "_writing")

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards all below
        self._writer = False  # whether one is in
        self._readers = 0  # how many are in
        self._reading = WaitQueue()  # who waits to come in
        self._writing = WaitQueue()

    def __repr__(self) -> str:
        state = "locked" if self._writer else f"{self._readers} readers" if self._readers else "unlocked"
        return f"<RWMutex {state} at {id(self):#x}>"

    @property
    def locked(self) -> bool:
        """Whether a writer holds it."""
        return self._writer

    @property
    def readers(self) -> int:
        """How many readers hold it."""
        return self._readers

    def lock(self, timeout: float | None = None) -> None:
        """Takes it for writing; waits until nobody is in. Raises TimeoutError after timeout seconds."""
        pace()
        deadline = deadline_of(timeout)
        self._guard.acquire()
        if not self._writer and not self._readers:
            self._writer = True
            self._guard.release()
        elif not self._writing.wait(self._guard, self, deadline, self._writer_left):
            raise TimeoutError(f"{self!r} was not free for a writer within {timeout} s")

    def try_lock(self) -> bool:
        """Takes it for writing if nobody is in; returns whether it did. Never waits."""
        with self._guard:
            if self._writer or self._readers:
                return False
            self._writer = True
            return True

    def unlock(self) -> None:
        """Ends the writing: lets in the readers who waited, or else the next writer. Never waits.

        Raises RuntimeError if no writer is in.
        """
        with self._guard:
            if not self._writer:
                raise RuntimeError(f"unlock of {self!r}, which no writer holds")
            self._writer = False
            self._readers = self._reading.wake_all()
            self._admit()

    def rlock(self, timeout: float | None = None) -> None:
        """Takes it for reading; waits while a writer is in or waits. Raises TimeoutError after timeout seconds."""
        pace()
        deadline = deadline_of(timeout)
        self._guard.acquire()
        if not self._writer and not self._writing:
            self._readers += 1
            self._guard.release()
        elif not self._reading.wait(self._guard, self, deadline, self._reader_left):
            raise TimeoutError(f"{self!r} was not free for a reader within {timeout} s")

    def try_rlock(self) -> bool:
        """Takes it for reading if no writer is in or waits; returns whether it did. Never waits."""
        with self._guard:
            if self._writer or self._writing:
                return False
            self._readers += 1
            return True

    def runlock(self) -> None:
        """Ends one reader's reading; the last lets the next writer in. Raises RuntimeError if no reader is in."""
        with self._guard:
            if not self._readers:
                raise RuntimeError(f"runlock of {self!r}, which no reader holds")
            self._readers -= 1
            self._admit()

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[None]:
        """For `with`: takes it for reading as `rlock` does, and gives it back at the end."""
        self.rlock(timeout)
        try:
            yield
        finally:
            self.runlock()

    def __enter__(self) -> "RWMutex":
        self.lock()
        return self

    def __exit__(self, *exc: object) -> None:
        self.unlock()

    # -- with the guard held

    def _admit(self) -> None:
        """Lets in whoever may go in now."""
        if self._writer:
            return
        if not self._readers and self._writing.wake():
            self._writer = True
        elif not self._writing:
            self._readers += self._reading.wake_all()

    def _writer_left(self, woken: bool) -> None:
        if woken:
            self._writer = False
        self._admit()

    def _reader_left(self, woken: bool) -> None:
        if woken:
            self._readers -= 1
            self._admit()
