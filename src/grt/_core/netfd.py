"""One descriptor that goroutines read, write, accept and connect on: try first, then wait.

Each direction is a Side: who uses it, who is parked on it, whether there is news since it was last found drained.
Readiness is edge-triggered and registered once, at the first wait: a side's `ready` is cleared before each attempt
and set again by the loop's event, or by an attempt that did not drain it, so that an edge is never lost.

Invariants: at most one call at a time is inside a side, the others queue in order, so two writes never interleave.
After a short read the next one waits without trying; not so once a hang-up was seen, whose edge comes only once.
`close` ends the calls of everyone parked or queued with Closed; the number goes back to the kernel at once when
nobody is between the two ends of a system call, otherwise by the last one to leave.
Threads: any, under `mutex`; the registration follows the Proc of the goroutine that waits.
Rejected: one-shot registration (a system call for each wait); a registration per direction (two for each connection).
"""

import os
import warnings
from collections import deque
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import Goroutine, enter, fire
from grt._core.loop import EventLoop, Handler

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pypoll import EDGE, ERROR, HANGUP, READ, WRITE
    from grt._core.pysys import (
        NEVER,
        WOULD_BLOCK,
        accept,
        close,
        connect,
        linger_zero,
        mutex_lock,
        mutex_new,
        mutex_unlock,
        now,
        recv,
        recv_into,
        send,
        shutdown_write,
        socket_error,
    )

__all__ = ["NetFD"]

CHUNK = 65536  # bytes asked for by a read without a size: what one loopback segment train holds
BACKOFF = 0.005, 1.0  # seconds that accept waits, doubling, when descriptors run out; as Go's http.Server
EXHAUSTED = frozenset({12, 23, 24, 105})  # ENOMEM, ENFILE, EMFILE, ENOBUFS


class Side:
    """One direction of a descriptor."""

    __slots__ = ("queue", "ready", "user", "waiter")

    def __init__(self) -> None:
        self.ready = True  # whether an attempt is worth it
        self.user: Goroutine | None = None  # whose call is inside
        self.waiter: Goroutine | None = None  # the user, while it is parked for readiness
        self.queue: deque[Goroutine] | None = None  # those parked until the side is free, in order

    def unused(self) -> bool:
        """No call is inside, or the one inside is parked and will look again when it wakes."""
        return self.user is None or self.waiter is not None


class Readiness(Handler):
    """What the loop holds of a NetFD: not the owner, so that one that nobody refers to any more can go."""

    __slots__ = ("hangup", "loop", "loops", "mutex", "rd", "wr")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.mutex = mutex_new()  # guards all of the NetFD; no system call that blocks under it
        self.rd = Side()
        self.wr = Side()
        self.loop: EventLoop | None = None  # where it was registered last
        self.loops: list[EventLoop] | None = None  # all, while goroutines of several threads wait here
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

    def follow(self, loop: EventLoop) -> None:
        """Registers with loop, under the mutex, which is given up when this raises.

        A registration elsewhere stays while a goroutine waits here: it may be of that thread, which must not depend
        on this one's loop being turned.
        """
        try:
            if self.rd.waiter is None and self.wr.waiter is None:
                self.discard()
            known = self.loops or [self.loop]
            if loop not in known:
                loop.add(self, READ | WRITE | EDGE)
                if self.loop is not None:
                    self.loops = [*known, loop]
            self.loop = loop
        except BaseException:
            mutex_unlock(self.mutex)
            raise

    def discard(self) -> None:
        """Takes it out of every loop, under the mutex."""
        if self.loop is not None:
            for loop in self.loops or [self.loop]:
                loop.discard(self)
        self.loop = None
        self.loops = None

    def rearm(self, side: Side) -> None:
        """Some pollers have to be told that an edge is wanted again."""
        if self.loop.poller.needs_rearm:
            self.loop.poller.rearm(self.fd, READ if side is self.rd else WRITE)


class NetFD:
    """A non-blocking descriptor, owned: closing it is this object's business from now on."""

    __slots__ = ("__weakref__", "closed", "fd", "news", "rest")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.news = Readiness(fd)
        self.rest = b""  # read from the kernel and not yet asked for
        self.closed = False

    def fileno(self) -> int:
        """The descriptor's number, -1 once it is closed."""
        return self.fd

    # -- entering and leaving a side

    def take(self, side: Side) -> Goroutine:
        """Enters side for the current goroutine, behind whoever is inside."""
        g = enter()
        news = self.news
        mutex_lock(news.mutex)
        if self.closed:
            mutex_unlock(news.mutex)
            raise self.closed_error()
        if side.user is None:
            side.user = g
            mutex_unlock(news.mutex)
            return g
        if side.queue is None:
            side.queue = deque()
        side.queue.append(g)
        g.arm(self)
        mutex_unlock(news.mutex)
        self.queue_up(side, g)
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

    def wait(self, side: Side, g: Goroutine, deadline: float) -> bool:
        """Parks g, which is inside side, until there is news or deadline; returns False at the deadline."""
        news = self.news
        proc = g.proc
        mutex_lock(news.mutex)
        if side.ready or self.closed:
            mutex_unlock(news.mutex)
        else:
            if news.loop is not proc.loop:
                news.follow(proc.loop)
            news.rearm(side)
            side.waiter = g
            g.arm(self)
            mutex_unlock(news.mutex)
            won = g.settle(deadline)
            mutex_lock(news.mutex)
            side.waiter = None
            mutex_unlock(news.mutex)
            if not won and not g.judge(deadline) and not self.closed:
                return False
        if self.closed:
            raise self.closed_error()
        return True

    # -- the calls

    def read(self, size: int = CHUNK) -> bytes:
        """Reads what there is, at most size bytes; waits until there is something. b"" is the end of the stream.

        Raises OSError (ConnectionResetError, ...), grt.Closed when this side closes the connection, TimeoutError.
        """
        if size <= 0:
            return self.read_nothing(size)
        side = self.news.rd
        g = self.take(side)
        data = None
        try:
            if self.rest:
                data = self.read_rest(size)
            while data is None:
                if side.ready:
                    side.ready = False
                    data = recv(self.fd, size)
                    if data is None:
                        continue
                    if len(data) == size or self.news.hangup or not data:
                        side.ready = True
                else:
                    self.wait(side, g, NEVER)
        except BaseException as error:
            side.ready = True  # what failed has not drained it
            self.leave(side)
            raise self.named(error)
        self.leave(side)
        g.proc.spend(g)
        return data

    def read_nothing(self, size: int) -> bytes:
        """A read of no bytes: never waits."""
        if size < 0:
            raise ValueError(f"cannot read {size} bytes: the size must not be negative")
        if self.closed:
            raise self.closed_error()
        return b""

    def __iter__(self) -> "Chunks":
        """What arrives, until the end of the stream."""
        return Chunks(self)

    def read_rest(self, size: int) -> bytes:
        data = self.rest
        self.rest = data[size:]
        return data[:size]

    def read_into(self, buffer: Any) -> int:
        """Reads into buffer what there is, and returns how many bytes; 0 is the end of the stream."""
        view = memoryview(buffer).cast("B")
        size = len(view)
        if size == 0:
            return len(self.read_nothing(0))
        side = self.news.rd
        g = self.take(side)
        count = WOULD_BLOCK
        try:
            if self.rest:
                data = self.read_rest(size)
                count = len(data)
                view[:count] = data
            while count == WOULD_BLOCK:
                if side.ready:
                    side.ready = False
                    count = recv_into(self.fd, view)
                    if count == size or count == 0 or (count > 0 and self.news.hangup):
                        side.ready = True
                else:
                    self.wait(side, g, NEVER)
        except BaseException as error:
            side.ready = True  # what failed has not drained it
            self.leave(side)
            raise self.named(error)
        self.leave(side)
        g.proc.spend(g)
        return count

    def write(self, data: Any) -> None:
        """Writes all of data (bytes or any buffer); returns when every byte is with the kernel, or raises.

        After an error, a timeout or a cancellation part of data may have been sent; the exception's `sent` tells
        how many bytes.
        """
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        size = len(data)
        sent = 0
        side = self.news.wr
        g = None
        try:
            g = self.take(side)
            while sent < size:
                if side.ready:
                    side.ready = False
                    count = send(self.fd, data, sent)
                    if count != WOULD_BLOCK:
                        sent += count
                        if sent == size or self.news.hangup:
                            side.ready = True
                else:
                    self.wait(side, g, NEVER)
        except BaseException as error:
            if g is not None:
                side.ready = True
                self.leave(side)
            error.sent = sent  # type: ignore[attr-defined]
            raise self.named(error)
        self.leave(side)
        g.proc.spend(g)

    def accept_fd(self) -> "tuple[int, Any]":
        """Waits for a connection; returns its descriptor and the peer's address.

        When descriptors or memory run out it backs off and goes on, for the connections that are being served will
        give theirs back.
        """
        side = self.news.rd
        g = self.take(side)
        pause = BACKOFF[0]
        try:
            while True:
                if side.ready:
                    side.ready = False
                    try:
                        found = accept(self.fd)
                    except OSError as error:
                        if error.errno not in EXHAUSTED:
                            raise
                        if not self.wait(side, g, now() + pause):
                            side.ready = True
                        pause = min(pause * 2, BACKOFF[1])
                        continue
                    if found is not None:
                        side.ready = True
                        g.proc.spend(g)
                        return found
                self.wait(side, g, NEVER)
        except BaseException as error:
            side.ready = True  # connections may wait
            raise self.named(error)
        finally:
            self.leave(side)

    def connect(self, address: Any) -> None:
        """Connects to a numeric (host, port); waits until the peer has answered."""
        side = self.news.wr
        g = self.take(side)
        try:
            if connect(self.fd, address) == WOULD_BLOCK:
                side.ready = False
                self.wait(side, g, NEVER)
                error = socket_error(self.fd)
                if error:
                    raise OSError(error, os.strerror(error))
        except OSError as error:
            raise self.named(error)
        finally:
            self.leave(side)

    def close_write(self) -> None:
        """Tells the peer that no more will be written; reading goes on (half-close)."""
        side = self.news.wr
        self.take(side)
        try:
            shutdown_write(self.fd)
        except OSError as error:
            raise self.named(error)
        finally:
            self.leave(side)

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
        if not self.closed:
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
        if self.fd >= 0 and news.rd.unused() and news.wr.unused():
            news.discard()
            fd = self.fd
            self.fd = news.fd = -1
        mutex_unlock(news.mutex)
        if fd >= 0:
            close(fd)

    def __del__(self) -> None:
        if not self.closed:
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

    def named(self, error: BaseException) -> BaseException:
        """error, if it is the kernel's, with what it was about in its message."""
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = self.describe()
        return error


class Chunks:
    """Iterates over what arrives on a NetFD. Not the NetFD itself: a subclass would look `__next__` up at each step."""

    __slots__ = ("source",)

    def __init__(self, source: NetFD) -> None:
        self.source = source

    def __iter__(self) -> "Chunks":
        return self

    def __next__(self) -> bytes:
        data = self.source.read(CHUNK)
        if not data:
            raise StopIteration
        return data


def warn_unclosed(what: NetFD) -> None:
    warnings.warn(f"unclosed {what!r}", ResourceWarning, stacklevel=2, source=what)
