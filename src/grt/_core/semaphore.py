"""Semaphore and Mutex, and the queue that every other wait for a state is made of.

Invariants: fair: who comes while others wait queues behind them, and a permit is handed to the first of them, so it
is never free while somebody waits. What was handed to a goroutine that can no longer take it, because its thread
ends, is handed on. Nothing is allocated between a look at the state and the queueing: that could run a finalizer, and
a finalizer anything.
Threads: any, under `mutex`; a WaitQueue under the lock of whoever it belongs to.
"""

import operator
from collections.abc import Callable
from typing import Any

from grt._core.goroutine import Clause, Goroutine, Waiters, enter, make_runnable
from grt._core.timers import deadline_of

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import PASSED
    from grt._core.pysys import NEVER, mutex_lock, mutex_new, mutex_unlock

__all__ = ["Mutex", "Semaphore", "WaitQueue", "pace"]


class Permits:
    """So many may be inside at once; the others wait in order."""

    __slots__ = ("__weakref__", "free", "mutex", "permits", "waiters")

    def __init__(self, permits: int) -> None:
        self.mutex = mutex_new()  # guards the two below
        self.permits = permits  # how many there are
        self.free = permits  # how many nobody holds; negative only by `lock_anyway`
        self.waiters = Waiters()

    def take(self, timeout: float | None) -> None:
        """Takes a permit; waits until there is one."""
        g = pace()
        deadline = NEVER if timeout is None else deadline_of(timeout)
        clause = g.own_clause()
        mutex_lock(self.mutex)
        if self.free > 0:
            self.free -= 1
            mutex_unlock(self.mutex)
            return
        self.waiters.hang(clause)
        g.arm(self)
        mutex_unlock(self.mutex)
        try:
            news = g.settle(deadline)
        except BaseException:  # its thread ends
            self.leave(clause)
            raise
        if not news:
            self.leave(clause)
            g.judge(deadline)
            raise TimeoutError(f"{self!r} was not free within {timeout} s")

    def leave(self, clause: Clause) -> None:
        """Takes clause back; a permit that it was handed all the same goes to the next."""
        mutex_lock(self.mutex)
        self.waiters.unhang(clause)
        handed = clause.news == PASSED
        mutex_unlock(self.mutex)
        if handed:
            self.give()

    def try_take(self) -> bool:
        """Takes a permit if there is one; returns whether it did. Never waits."""
        mutex_lock(self.mutex)
        won = self.free > 0
        if won:
            self.free -= 1
        mutex_unlock(self.mutex)
        return won

    def give(self) -> bool:
        """Gives a permit back, to the first who waits; returns False if all were there. Never waits."""
        mutex_lock(self.mutex)
        held = self.free < self.permits
        if held:
            clause = self.waiters.take() if self.free >= 0 else None
            if clause is None:
                self.free += 1
            else:
                clause.news = PASSED
                make_runnable(clause.g)
        mutex_unlock(self.mutex)
        return held


class Mutex(Permits):
    """A lock that one goroutine holds at a time: the others wait, in order, and no thread does.

    Not reentrant. Any goroutine, of any thread, may unlock it. Use it as a context manager:

    >>> import grt.sync
    >>> mutex = grt.sync.Mutex()
    >>> with mutex:
    ...     mutex.locked
    True
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    def __repr__(self) -> str:
        return f"<Mutex {'locked' if self.locked else 'unlocked'} at {id(self):#x}>"

    @property
    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self.free <= 0

    def lock(self, timeout: float | None = None) -> None:
        """Takes it; waits until it is free. Raises TimeoutError after timeout seconds."""
        self.take(timeout)

    def try_lock(self) -> bool:
        """Takes it if it is free; returns whether it did. Never waits."""
        return self.try_take()

    def unlock(self) -> None:
        """Gives it to the first who waits, or frees it. Raises RuntimeError if it is not locked."""
        if not self.give():
            raise RuntimeError("unlock of an unlocked Mutex")

    def lock_anyway(self) -> None:
        """Makes the caller a holder beside the one there is: the mutex is free when both have unlocked it.

        For a goroutine that owes its caller the lock, when its thread ends and it can no longer wait.
        """
        mutex_lock(self.mutex)
        self.free -= 1
        mutex_unlock(self.mutex)

    def __enter__(self) -> "Mutex":
        self.take(None)
        return self

    def __exit__(self, *exc: object) -> None:
        self.unlock()


class Semaphore(Permits):
    """Lets so many goroutines in at once: the others wait, in order.

    >>> import grt.sync
    >>> downloads = grt.sync.Semaphore(10)
    >>> with downloads:
    ...     downloads.free
    9
    """

    __slots__ = ()

    def __init__(self, permits: int = 1) -> None:
        if operator.index(permits) < 1:
            raise ValueError(f"a semaphore needs at least one permit, not {permits}")
        super().__init__(permits)

    def __repr__(self) -> str:
        return f"<Semaphore {self.free}/{self.permits} free at {id(self):#x}>"

    def acquire(self, timeout: float | None = None) -> None:
        """Takes a permit; waits until there is one. Raises TimeoutError after timeout seconds."""
        self.take(timeout)

    def try_acquire(self) -> bool:
        """Takes a permit if there is one; returns whether it did. Never waits."""
        return self.try_take()

    def release(self) -> None:
        """Gives a permit to the first who waits, or back. Raises RuntimeError if none is taken."""
        if not self.give():
            raise RuntimeError(f"release of a Semaphore of which all {self.permits} permits are free")

    def __enter__(self) -> "Semaphore":
        self.take(None)
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


class WaitQueue:
    """Goroutines that wait, in order, for a change of some state, which a lock of the state's owner guards."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        self.waiters = Waiters()

    def __len__(self) -> int:
        return len(self.waiters)

    def __bool__(self) -> bool:
        """Whether any wait, or have not yet left after a deadline or a cancellation."""
        return self.waiters.first is not None

    def wait(self, guard: Any, on: Any, deadline: float, left: Callable[[bool], object] | None = None) -> bool:
        """Queues the current goroutine, lets go of guard, which it holds, and waits until woken.

        Returns False if deadline came first. However it ends, guard is not held then. on is what the goroutine is
        said to wait for. left(woken) is called, with guard held, when it leaves by itself; woken means that it was
        woken all the same, but its thread ends: what it was woken for is to be given on.
        """
        try:
            g = enter()
            clause = g.own_clause()
        except BaseException:
            self.leave(guard, None, left)
            raise
        self.waiters.hang(clause)
        g.arm(on)
        guard.release()
        try:
            news = g.settle(deadline)
        except BaseException:  # its thread ends
            guard.acquire()
            self.leave(guard, clause, left)
            raise
        if news:
            return True
        guard.acquire()
        self.leave(guard, clause, left)
        return g.judge(deadline)

    def leave(self, guard: Any, clause: Clause | None, left: Callable[[bool], object] | None) -> None:
        """Takes clause back, with guard held, and lets go of that."""
        woken = False
        if clause is not None:
            self.waiters.unhang(clause)
            woken = clause.news == PASSED
        try:
            if left is not None:
                left(woken)
        finally:
            guard.release()

    def wake(self, count: int = 1) -> int:
        """Wakes the first count that wait, with guard held; returns how many there were."""
        woken = 0
        while woken < count and (clause := self.waiters.take()) is not None:
            clause.news = PASSED
            make_runnable(clause.g)
            woken += 1
        return woken

    def wake_all(self) -> int:
        """Wakes all that wait, with guard held; returns how many there were."""
        return self.waiters.take_all(PASSED)


def pace() -> Goroutine:
    """Begins a call that may not have to wait: raises as `enter` does; many in a row give way to others.

    It comes before anything is taken, because the goroutine's thread may end while others have their turn.
    """
    g = enter()
    g.proc.spend(g)
    return g
