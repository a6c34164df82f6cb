"""What the loop tells of a descriptor: for each direction whether there is news, and who waits for it.

Edge-triggered and registered once, at the first wait; again at the first wait for writing, for most never have one: to
be told of room to write, each time that the peer has read, would wake a thread for nothing.

Invariants: at most one call at a time is inside a side, the others queue in order.
Threads: any, under `mutex`.
Rejected: one-shot registration (a system call for each wait); a registration per direction (two for each connection).
"""

from collections import deque

from grt._core.goroutine import Goroutine, fire, here, peek
from grt._core.loop import EventLoop, Handler
from grt._core.timers import Timer, now

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pypoll import EDGE, ERROR, HANGUP, READ, WRITE
    from grt._core.pysys import NEVER, mutex_lock, mutex_new, mutex_unlock

__all__ = ["Readiness", "Side"]


class Side:
    """One direction of a descriptor."""

    __slots__ = ("deadline", "limit", "queue", "ready", "user", "waiter")

    def __init__(self) -> None:
        self.ready = True  # whether an attempt is worth it
        self.user: Goroutine | None = None  # whose call is inside
        self.waiter: Goroutine | None = None  # the user, while it is parked for readiness
        self.queue: deque[Goroutine] | None = None  # those parked until the side is free, in order
        self.deadline = NEVER  # moment at which its calls end
        self.limit: Limit | None = None  # sees to that while one waits

    def unused(self) -> bool:
        """No call is inside, or the one inside is parked and will look again when it wakes."""
        return self.user is None or self.waiter is not None


class Limit(Timer):
    """Ends the wait on a side at its deadline.

    Armed at the deadline or before, and left there when that is moved away: a server that sets a deadline for every
    read does not touch the heap for it, but once in a timeout.
    """

    __slots__ = ("loop", "news", "side")

    def __init__(self, news: "Readiness", side: Side, loop: EventLoop) -> None:
        super().__init__()
        self.news = news
        self.side = side
        self.loop = loop  # in whose heap it is

    def drop(self) -> None:
        self.loop.timers.cancel(self)

    def expire(self) -> None:
        side = self.side
        mutex_lock(self.news.mutex)
        if side.limit is self and side.waiter is not None:
            if now() < side.deadline:
                self.news.limit(side, self.loop)
            else:
                fire(side.waiter)
        mutex_unlock(self.news.mutex)


class Readiness(Handler):
    """What the loop holds of a NetFD: not the owner, so that one that nobody refers to any more can go."""

    __slots__ = ("both", "hangup", "loop", "loops", "mutex", "rd", "wr")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.mutex = mutex_new()  # guards all of the NetFD; no system call that blocks under it
        self.rd = Side()
        self.wr = Side()
        self.loop: EventLoop | None = None  # where it was registered last
        self.loops: list[EventLoop] | None = None  # all, while goroutines of several threads wait here
        self.both = False  # whether that is for writing, too
        self.hangup = False  # the peer's end was seen: readiness is final

    def on_event(self, flags: int) -> None:
        """The loop's callback: marks the sides that have news and fires who waits there."""
        mutex_lock(self.mutex)
        if flags & (HANGUP | ERROR):
            self.hangup = True
            flags |= READ | WRITE
        if flags & READ:
            self.rd.ready = True
            if self.rd.waiter is not None:
                fire(self.rd.waiter)
        if flags & WRITE:
            self.wr.ready = True
            if self.wr.waiter is not None:
                fire(self.wr.waiter)
        mutex_unlock(self.mutex)

    def follow(self, loop: EventLoop, side: Side) -> BaseException | None:
        """Registers with loop for side, under the mutex; returns why that cannot be.

        A registration elsewhere stays while a goroutine waits here: it may be of that thread, which must not depend
        on this one's loop being turned.
        """
        try:
            if self.loop is not loop and self.rd.waiter is None and self.wr.waiter is None:
                self.discard()
            known = self.loops or [self.loop]
            both = side is self.wr
            if loop not in known:
                loop.add(self, READ | WRITE | EDGE if both else READ | EDGE)
                if self.loop is not None:
                    self.loops = [*known, loop]
            elif both:
                loop.modify(self, READ | WRITE | EDGE)
            self.loop, self.both = loop, both
        except BaseException as error:
            return error
        return None

    def discard(self) -> None:
        """Takes it out of every loop, under the mutex."""
        if self.loop is not None:
            for loop in self.loops or [self.loop]:
                loop.discard(self)
        self.loop = None
        self.loops = None

    def limit(self, side: Side, loop: EventLoop) -> None:
        """Sees to it, under the mutex and in loop's thread, that who waits on side is woken at its deadline."""
        limit = side.limit
        if limit is None or limit.loop is not loop:
            limit = side.limit = Limit(self, side, loop)
        if side.deadline != NEVER and (limit.place < 0 or limit.when > side.deadline):
            loop.timers.arm(limit, side.deadline)

    def limit_waiters(self) -> None:
        """`limit`, for those who wait in this thread; another one asks for it."""
        self.limit_own()

    def limit_own(self) -> None:
        proc = here()
        mutex_lock(self.mutex)
        for side in (self.rd, self.wr):
            if side.waiter is not None and side.waiter.proc is proc:
                self.limit(side, proc.loop)
        mutex_unlock(self.mutex)

    def unlimit(self) -> None:
        """Takes the deadlines' timers back, under the mutex."""
        proc = peek()
        for side in (self.rd, self.wr):
            limit = side.limit
            side.limit = None
            if limit is not None:
                if proc is not None and limit.loop is proc.loop:
                    limit.drop()
                else:
                    limit.loop.call_soon(limit.drop)

    def free(self) -> None:
        """In the child of a fork: nobody is inside, and no loop knows it."""
        self.mutex = mutex_new()
        for side in (self.rd, self.wr):
            side.user = side.waiter = side.queue = side.limit = None
            side.ready = True
        self.loop = None
        self.loops = None

    def rearm(self, side: Side) -> None:
        """Some pollers have to be told that an edge is wanted again."""
        if self.loop is not None and self.loop.poller.needs_rearm:
            self.loop.poller.rearm(self.fd, READ if side is self.rd else WRITE)
