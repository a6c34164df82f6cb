"""One descriptor that goroutines read, write, accept and connect on: try first, then wait.

A side's `ready` is cleared before each attempt and set again by the loop's event, or by an attempt that did not drain
it, so that an edge is never lost.

Invariants: at most one call at a time is inside a side, the others queue in order, so two writes never interleave.
After a short read the next one waits without trying; not so once a hang-up was seen, whose edge comes only once.
`close` ends the calls of everyone parked or queued with Closed; the number goes back to the kernel at once when
nobody is between the two ends of a system call, otherwise by the last one to leave.
A side whose deadline has passed fails at once; moving it concerns calls that wait already.
Threads: any, under its readiness's mutex; the registration follows the Proc of the goroutine that waits.
"""

import os
import warnings
from collections import deque
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import Goroutine, enter, fire, here, peek
from grt._core.readiness import Readiness, Side
from grt._core.timers import now

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import DEADLINE, NEWS, THROWN
    from grt._core.pysys import (
        NEVER,
        WOULD_BLOCK,
        accept,
        close,
        connect,
        linger_zero,
        mutex_lock,
        mutex_unlock,
        socket_error,
    )

    SHUT, LATE = 3, 4  # beside NEWS, DEADLINE and THROWN: the descriptor was closed, its side's deadline has passed

__all__ = ["BLOCKED", "NetFD"]

BLOCKED: Any = object()  # what a call of read_by or write_by may return: it would block
BACKOFF = 0.005, 1.0  # seconds that accept waits, doubling, when descriptors run out; as Go's http.Server
EXHAUSTED = frozenset({12, 23, 24, 105})  # ENOMEM, ENFILE, EMFILE, ENOBUFS


class NetFD:
    """A non-blocking descriptor, owned: closing it is this object's business from now on.

    With -1 for the number it is something else that is waited for in the same way, and `news.on_event` tells of.
    """

    __slots__ = ("__weakref__", "closed", "fd", "news", "view")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.news = Readiness(fd)
        self.closed = False
        self.view: Any = None  # a socket.socket of the same number, which must not outlive it

    def fileno(self) -> int:
        """The descriptor's number, -1 once it is closed."""
        return self.fd

    # -- entering and leaving a side

    def try_take(self, side: Side) -> Goroutine | None:
        """Enters side for the current goroutine, if nothing is in its way."""
        proc = here()
        g = proc.current
        if proc.busy or g.alert:
            return None
        news = self.news
        mutex_lock(news.mutex)
        free = side.user is None and not self.closed and side.deadline == NEVER
        if free:
            side.user = g
        mutex_unlock(news.mutex)
        return g if free else None

    def take(self, side: Side) -> Goroutine:
        """Enters side for the current goroutine, behind whoever is inside."""
        g = self.try_take(side)
        return self.take_in_turn(side) if g is None else g

    def take_in_turn(self, side: Side) -> Goroutine:
        g = enter()
        news = self.news
        mutex_lock(news.mutex)
        if self.closed:
            mutex_unlock(news.mutex)
            raise self.closed_error()
        if side.user is None:
            side.user = g
            mutex_unlock(news.mutex)
        else:
            if side.queue is None:
                side.queue = deque()
            side.queue.append(g)
            g.arm(self)
            mutex_unlock(news.mutex)
            self.queue_up(side, g)
        if self.is_late(side):
            self.give_up(side, g, LATE)
        return g

    def queue_up(self, side: Side, g: Goroutine) -> None:
        """Parks g in side's queue until whoever leaves hands it the side."""
        try:
            g.park(NEVER)
        except BaseException:
            mutex_lock(self.news.mutex)
            mine = side.user is g
            if not mine and g in side.queue:
                side.queue.remove(g)
            mutex_unlock(self.news.mutex)
            if mine:
                self.leave(side)
            raise
        if self.closed:
            if side.user is g:
                self.leave(side)
            raise self.closed_error()

    def leave(self, side: Side) -> None:
        """Hands side to the next in its queue, or frees it; the last to leave a closed descriptor closes its number."""
        news = self.news
        mutex_lock(news.mutex)
        side.waiter = None
        if side.queue is not None and side.queue and not self.closed:
            side.user = side.queue.popleft()
            fire(side.user)
        else:
            side.user = None
        mutex_unlock(news.mutex)
        if self.closed:
            self.release()

    def wait_news(self, side: Side, g: Goroutine, deadline: float) -> int:
        """Parks g, which is inside side, until there is news; returns NEWS, or what else ended it, SHUT with it."""
        news = self.news
        proc = g.proc
        mutex_lock(news.mutex)
        if side.ready or self.closed:
            mutex_unlock(news.mutex)
            return SHUT if self.closed else NEWS
        if (news.loop is not proc.loop or (side is news.wr and not news.both)) and self.fd >= 0:
            error = news.follow(proc.loop, side)
            if error is not None:
                mutex_unlock(news.mutex)
                g.interrupt(error)
                return THROWN
        news.rearm(side)
        if side.deadline != NEVER:
            news.limit(side, proc.loop)
        side.waiter = g
        g.arm(self)
        mutex_unlock(news.mutex)
        won = g.settle(deadline)
        mutex_lock(news.mutex)
        side.waiter = None
        mutex_unlock(news.mutex)
        if not won and (g.winner == THROWN or not self.closed):
            return g.winner
        if self.closed:
            return SHUT
        return LATE if not side.ready and self.is_late(side) else NEWS

    def is_late(self, side: Side) -> bool:
        return side.deadline != NEVER and now() >= side.deadline

    def give_up(self, side: Side, g: Goroutine, why: Any) -> None:
        """Leaves side and raises what ended the call there: why is an exception, or what wait_news returned."""
        side.ready = True  # what failed has not drained it
        self.leave(side)
        if isinstance(why, BaseException):
            raise self.named(why)
        if why == SHUT:
            raise self.closed_error()
        if why == LATE:
            raise self.late_error(side)
        g.judge(NEVER)

    # -- the calls

    def read_by(self, call: Any) -> Any:
        """Calls call() until it does not raise BlockingIOError, inside the reading side, and returns what it returns.

        Between two attempts it waits for news, unless call returned None: then it is made again at once. To return
        BLOCKED does what that exception does, in less time. How whatever is not in this file reads a descriptor.
        """
        return self.attempt(self.news.rd, call)

    def write_by(self, call: Any) -> Any:
        """As read_by, inside the writing side. A call that is made again goes on where it was."""
        return self.attempt(self.news.wr, call)

    def try_write_by(self, call: Any) -> Any:
        """Calls call() once, inside the writing side; 0 if somebody else is there, or it would block. Never waits."""
        news = self.news
        side = news.wr
        g = here().current  # whoever that is: an event's callback has none of its own
        mutex_lock(news.mutex)
        closed, free = self.closed, side.user is None
        if free and not closed:
            side.user = g
        mutex_unlock(news.mutex)
        if closed:
            raise self.closed_error()
        if not free:
            return 0
        try:
            count = call()
        except BlockingIOError:
            count = 0
        except BaseException as error:
            self.give_up(side, g, error)
        side.ready = True  # nobody has said that it is drained
        self.leave(side)
        return count

    def attempt(self, side: Side, call: Any) -> Any:
        g = self.take(side)
        found = None
        waited = False
        while found is None:
            side.ready = False
            try:
                found = call()
            except BlockingIOError:
                found = BLOCKED
            except BaseException as error:
                self.give_up(side, g, error)
            if found is BLOCKED:
                found = None
                ended = self.wait_news(side, g, NEVER)
                if ended == NEWS and waited:  # the news before was false, or not enough: such must not go on for ever
                    ended = LATE if self.is_late(side) else DEADLINE if now() >= g.deadline else NEWS
                if ended != NEWS:
                    self.give_up(side, g, ended)
                waited = True
            else:
                g.proc.spend(g)
        side.ready = True  # nobody has said that it is drained
        self.leave(side)
        return found

    def accept_fd(self) -> "tuple[int, Any]":
        """Waits for a connection; returns its descriptor and the peer's address.

        When descriptors or memory run out it backs off and goes on, for the connections that are being served will
        give theirs back.
        """
        side = self.news.rd
        g = self.take(side)
        pause = BACKOFF[0]
        found = None
        while found is None:
            side.ready = False
            try:
                found = accept(self.fd)
                deadline = NEVER
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    self.give_up(side, g, error)
                deadline = now() + pause
                pause = min(pause * 2, BACKOFF[1])
            if found is None:
                ended = self.wait_news(side, g, deadline)
                if ended != NEWS and (ended != DEADLINE or g.deadline < deadline):
                    self.give_up(side, g, ended)
        side.ready = True  # others may wait
        self.leave(side)
        g.proc.spend(g)
        return found

    def connect(self, address: Any) -> None:
        """Connects to a numeric (host, port); waits until the peer has answered."""
        side = self.news.wr
        g = self.take(side)
        ended: Any = NEWS
        try:
            if connect(self.fd, address) == WOULD_BLOCK:
                side.ready = False
                ended = self.wait_news(side, g, NEVER)
                error = socket_error(self.fd) if ended == NEWS else 0
                if error:
                    raise OSError(error, os.strerror(error))
        except OSError as failed:
            ended = failed
        if ended != NEWS:
            self.give_up(side, g, ended)
        self.leave(side)

    # -- deadlines

    def set_deadline(self, moment: float | None) -> None:
        """Ends every read and write at moment, in seconds of time.monotonic, with TimeoutError; None ends none.

        It applies to those that wait already, too. One that has passed can be moved: nothing is lost by it.
        """
        self.set_read_deadline(moment)
        self.set_write_deadline(moment)

    def set_read_deadline(self, moment: float | None) -> None:
        """As set_deadline, for reads (and accept) only."""
        self.move_deadline(self.news.rd, moment)

    def set_write_deadline(self, moment: float | None) -> None:
        """As set_deadline, for writes only."""
        self.move_deadline(self.news.wr, moment)

    def move_deadline(self, side: Side, moment: Any) -> None:
        try:
            when = NEVER if moment is None else moment + 0.0
        except TypeError:
            raise TypeError(f"a deadline is a moment of time.monotonic or None, not {moment!r}") from None
        if when != when:
            raise ValueError(f"a deadline is a moment of time.monotonic or None, not {moment!r}")
        news = self.news
        mutex_lock(news.mutex)
        open = not self.closed
        if open:
            side.deadline = when
            waiter = side.waiter
            if waiter is not None:
                if waiter.proc is peek():
                    news.limit(side, waiter.proc.loop)
                else:
                    waiter.proc.loop.call_soon(news.limit_waiters)
        mutex_unlock(news.mutex)
        if not open:
            raise self.closed_error()

    # -- the end

    def close(self) -> None:
        """Closes it; who is blocked on it gets grt.Closed. Never blocks; closing again does nothing.

        What was written is still delivered by the kernel.
        """
        news = self.news
        mutex_lock(news.mutex)
        if self.closed:
            mutex_unlock(news.mutex)
            return
        self.closed = True
        self.wake(news.rd)
        self.wake(news.wr)
        mutex_unlock(news.mutex)
        self.release()

    def abort(self) -> None:
        """Closes it with a reset: the peer's calls fail, and what the kernel had not sent yet is dropped."""
        if self.fd >= 0 and not self.closed:
            linger_zero(self.fd)
        self.close()

    def wake(self, side: Side) -> None:
        """Fires everyone on side, under the mutex: the one who waits for readiness, and the queue."""
        if side.waiter is not None:
            fire(side.waiter)
        if side.queue:
            for g in side.queue:
                fire(g)
            side.queue.clear()

    def release(self) -> None:
        """Gives the number back, once, unless a call may be using it now: the last one to leave comes here."""
        news = self.news
        fd = -1
        mutex_lock(news.mutex)
        news.unlimit()
        if self.fd >= 0 and news.rd.unused() and news.wr.unused():
            news.discard()
            fd = self.fd
            self.fd = news.fd = -1
        mutex_unlock(news.mutex)
        if fd >= 0:
            if self.view is not None:
                self.view.detach()
            close(fd)

    def __del__(self) -> None:
        if warnings is None:  # at the interpreter's end, when this module has gone
            return
        if is_made(self) and not self.closed:
            try:
                warn_unclosed(self)
            finally:  # the warning may be an exception
                self.close()

    # -- errors

    def describe(self) -> str:
        """What error messages call it."""
        return f"descriptor {self.fd}"

    def closed_error(self) -> Closed:
        return Closed(f"{self.describe()} is closed")

    def late_error(self, side: Side) -> TimeoutError:
        what = "read" if side is self.news.rd else "write"
        return TimeoutError(f"{self.describe()}: the {what} deadline has passed")

    def named(self, error: BaseException) -> BaseException:
        """error, if it is the kernel's, with what it was about in its message."""
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = self.describe()
        return error


def is_made(what: NetFD) -> bool:
    """Whether what has got its descriptor: not if its __init__ was called wrongly, or not at all."""
    try:
        return what.news is not None
    except AttributeError:
        return False  # in the pure build


def warn_unclosed(what: NetFD) -> None:
    warnings.warn(f"unclosed {what!r}", ResourceWarning, stacklevel=2, source=what)
