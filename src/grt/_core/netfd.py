"""One descriptor that goroutines read, write, accept and connect on: try first, then wait.

A side's `ready` is cleared before each attempt and set again by the loop's event, or by an attempt that did not drain
it, so that an edge is never lost.

Invariants: at most one call at a time is inside a side, the others queue in order, so two writes never interleave.
After a short read the next one waits without trying; not so once a hang-up was seen, whose edge comes only once.
`close` ends the calls of everyone parked or queued with Closed; the number goes back to the kernel at once when
nobody is between the two ends of a system call, otherwise by the last one to leave.
Threads: any, under its readiness's mutex; the registration follows the Proc of the goroutine that waits.
"""

import os
import warnings
from collections import deque
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import Goroutine, enter, fire, here
from grt._core.readiness import Readiness, Side
from grt._core.timers import now

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import NEWS, THROWN
    from grt._core.pysys import (
        FAILED,
        NEVER,
        WOULD_BLOCK,
        accept,
        caught,
        close,
        connect,
        linger_zero,
        mutex_lock,
        mutex_unlock,
        recv_into,
        recv_or_error,
        send_or_failed,
        shutdown_write,
        socket_error,
    )

    SHUT = 3  # beside NEWS, DEADLINE and THROWN: the descriptor was closed

__all__ = ["NetFD"]

CHUNK = 65536  # bytes asked for by a read without a size: what one loopback segment train holds
BACKOFF = 0.005, 1.0  # seconds that accept waits, doubling, when descriptors run out; as Go's http.Server
EXHAUSTED = frozenset({12, 23, 24, 105})  # ENOMEM, ENFILE, EMFILE, ENOBUFS


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

    def try_take(self, side: Side) -> Goroutine | None:
        """Enters side for the current goroutine, if nothing is in its way."""
        proc = here()
        g = proc.current
        if proc.busy or g.alert:
            return None
        news = self.news
        mutex_lock(news.mutex)
        free = side.user is None and not self.closed
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

    def wait_news(self, side: Side, g: Goroutine, deadline: float) -> int:
        """Parks g, which is inside side, until there is news; returns NEWS, or what else ended it, SHUT with it."""
        news = self.news
        proc = g.proc
        mutex_lock(news.mutex)
        if side.ready or self.closed:
            mutex_unlock(news.mutex)
            return SHUT if self.closed else NEWS
        if news.loop is not proc.loop:
            error = news.follow(proc.loop)
            if error is not None:
                mutex_unlock(news.mutex)
                g.interrupt(error)
                return THROWN
        news.rearm(side)
        side.waiter = g
        g.arm(self)
        mutex_unlock(news.mutex)
        won = g.settle(deadline)
        mutex_lock(news.mutex)
        side.waiter = None
        mutex_unlock(news.mutex)
        if not won and (g.winner == THROWN or not self.closed):
            return g.winner
        return SHUT if self.closed else NEWS

    def wait(self, side: Side, g: Goroutine, deadline: float) -> bool:
        """As wait_news, but raises what ended it; returns False at the deadline."""
        ended = self.wait_news(side, g, deadline)
        if ended == SHUT:
            raise self.closed_error()
        return ended == NEWS or g.judge(deadline)

    def give_up(self, side: Side, g: Goroutine, ended: int, error: Any) -> None:
        """Leaves side and raises what ended the wait there: error, if there is one."""
        side.ready = True  # what failed has not drained it
        self.leave(side)
        if error is not None:
            raise self.named(error)
        if ended == SHUT:
            raise self.closed_error()
        g.judge(NEVER)

    # -- the calls

    def read(self, size: int = CHUNK) -> bytes:
        """Reads what there is, at most size bytes; waits until there is something. b"" is the end of the stream.

        Raises OSError (ConnectionResetError, ...), grt.Closed when this side closes the connection, TimeoutError.
        """
        if size <= 0:
            return self.read_nothing(size)
        side = self.news.rd
        g = self.take(side)
        data: Any = self.read_rest(size) if self.rest else None
        while data is None:
            if side.ready:
                side.ready = False
                data = recv_or_error(self.fd, size)
                if data is None:
                    continue
                if type(data) is not bytes:
                    self.give_up(side, g, THROWN, data)
                if len(data) == size or self.news.hangup or not data:
                    side.ready = True
            else:
                ended = self.wait_news(side, g, NEVER)
                if ended != NEWS:
                    self.give_up(side, g, ended, None)
        self.leave(side)
        g.proc.spend(g)
        return data  # type: ignore[no-any-return]

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
        g = self.try_take(side)
        if g is None:
            g = self.take_to_write(side)
        while sent < size:
            if side.ready:
                side.ready = False
                count = send_or_failed(self.fd, data, sent)
                if count == FAILED:
                    self.give_up_writing(g, THROWN, caught(), sent)
                if count != WOULD_BLOCK:
                    sent += count
                    if sent == size or self.news.hangup:
                        side.ready = True
            else:
                ended = self.wait_news(side, g, NEVER)
                if ended != NEWS:
                    self.give_up_writing(g, ended, None, sent)
        self.leave(side)
        g.proc.spend(g)

    def take_to_write(self, side: Side) -> Goroutine:
        try:
            return self.take_in_turn(side)
        except BaseException as error:
            error.sent = 0  # type: ignore[attr-defined]
            raise

    def give_up_writing(self, g: Goroutine, ended: int, error: Any, sent: int) -> None:
        try:
            self.give_up(self.news.wr, g, ended, error)
        except BaseException as error:
            error.sent = sent  # type: ignore[attr-defined]
            raise

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
