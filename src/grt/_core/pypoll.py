"""The poller's back-ends in plain Python, on the stdlib's select: the twin of cpoll.pxd.

What the calls promise is written at the top of csys/poller.h; here is only what differs.

Invariants: `watches` holds exactly what the kernel object watches (a descriptor closed while watched excepted);
`events` holds the last wait's events, one for each descriptor.
Threads: as in csys/poller.h. The kernel hands back no generation here: it is looked up when the wait returns, so a
descriptor removed and added again by another thread in that moment can get one event too many, never one too few.
Rejected: the stdlib's selectors, which know no edges. A signal whose handler raises nothing does not end a wait, for
the stdlib's calls go on waiting.
"""

import math
import os
import select
import threading
from contextlib import suppress
from errno import EBADF, EEXIST, ENOENT
from functools import cache
from typing import Any

__all__ = [
    "EDGE",
    "ERROR",
    "HANGUP",
    "READ",
    "WRITE",
    "poller_add",
    "poller_backends",
    "poller_close",
    "poller_fd",
    "poller_fileno",
    "poller_flags",
    "poller_generation",
    "poller_handle",
    "poller_modify",
    "poller_needs_rearm",
    "poller_open",
    "poller_rearm",
    "poller_remove",
    "poller_wait",
]

READ = 1
WRITE = 2
EDGE = 4
HANGUP = 8
ERROR = 16

# What the calls take at most: an int of milliseconds; 10^8 seconds on BSD kernels.
_LONGEST_MILLISECONDS = 2**31 - 1
_LONGEST_SECONDS = 1e8

# Not every system has every name, and a type checker knows only its own system's.
_select: Any = select
_POLLRDHUP: int = getattr(select, "POLLRDHUP", 0)


class Watch:
    """What is asked for one descriptor."""

    __slots__ = ("generation", "mask", "quiet")

    def __init__(self, mask: int, generation: int) -> None:
        self.mask = mask
        self.generation = generation
        self.quiet = 0  # of mask, the edge directions reported and not rearmed; HANGUP and ERROR: see Poll.ask


class Backend:
    """What the back-ends share: the table, the events, and the state that the calls below check."""

    __slots__ = ("closed", "events", "waiting", "watches")

    name = ""  # what Poller(backend=...) calls it
    needs_rearm = False

    def __init__(self) -> None:
        self.watches: dict[int, Watch] = {}  # by descriptor
        self.events: list[tuple[int, int, int]] = []  # of the last wait: fd, flags, generation
        self.closed = False
        self.waiting = threading.Lock()  # a thread is in the wait: no second one, and no close

    def fileno(self) -> int:
        return -1

    def add(self, fd: int, mask: int, generation: int) -> None:
        if fd in self.watches:
            raise OSError(EEXIST, os.strerror(EEXIST))
        watch = Watch(mask, generation)
        self.watches[fd] = watch  # first: another thread's wait may report it at once
        try:
            self.start(fd, watch)
        except BaseException:
            del self.watches[fd]
            raise

    def modify(self, fd: int, mask: int, generation: int) -> None:
        former = self.watch_of(fd)
        watch = Watch(mask, generation)
        self.watches[fd] = watch
        try:
            self.change(fd, former, watch)
        except BaseException:
            self.watches[fd] = former
            raise

    def remove(self, fd: int) -> None:
        watch = self.watch_of(fd)
        del self.watches[fd]
        self.stop(fd, watch)

    def watch_of(self, fd: int) -> Watch:
        watch = self.watches.get(fd)
        if watch is None:
            raise OSError(ENOENT, os.strerror(ENOENT))
        return watch

    def report(self, fd: int, flags: int) -> None:
        watch = self.watches.get(fd)
        if watch is not None:
            self.events.append((fd, flags, watch.generation))

    def start(self, fd: int, watch: Watch) -> None:
        raise NotImplementedError

    def change(self, fd: int, former: Watch, watch: Watch) -> None:
        raise NotImplementedError

    def stop(self, fd: int, watch: Watch) -> None:
        raise NotImplementedError

    def rearm(self, fd: int, mask: int) -> None:
        """Nothing to do where the kernel keeps the edges."""

    def wait(self, timeout: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to give back where there is no kernel object."""


@cache  # there are some ten values
def flags_of_epoll(told: int) -> int:
    return (
        (READ if told & _select.EPOLLIN else 0)
        | (WRITE if told & _select.EPOLLOUT else 0)
        | (HANGUP if told & (_select.EPOLLRDHUP | _select.EPOLLHUP) else 0)
        | (ERROR if told & _select.EPOLLERR else 0)
    )


class Epoll(Backend):
    __slots__ = ("epoll",)

    name = "epoll"

    def __init__(self) -> None:
        super().__init__()
        self.epoll = _select.epoll()  # the kernel's table

    def fileno(self) -> int:
        number: int = self.epoll.fileno()
        return number

    def bits(self, mask: int) -> int:
        # Half a close is news for whoever reads; level-triggered, it would never let a mere writer's wait be quiet.
        asked: int = _select.EPOLLRDHUP if mask & (READ | EDGE) else 0
        if mask & READ:
            asked |= _select.EPOLLIN
        if mask & WRITE:
            asked |= _select.EPOLLOUT
        if mask & EDGE:
            asked |= _select.EPOLLET
        return asked

    def start(self, fd: int, watch: Watch) -> None:
        self.epoll.register(fd, self.bits(watch.mask))

    def change(self, fd: int, former: Watch, watch: Watch) -> None:
        self.epoll.modify(fd, self.bits(watch.mask))

    def stop(self, fd: int, watch: Watch) -> None:
        self.epoll.unregister(fd)

    def wait(self, timeout: float) -> None:
        limit = None if timeout < 0 else min(timeout, _LONGEST_MILLISECONDS / 1000)
        for fd, told in self.epoll.poll(limit):
            self.report(fd, flags_of_epoll(told))

    def close(self) -> None:
        self.epoll.close()


class Kqueue(Backend):
    __slots__ = ("kqueue",)

    name = "kqueue"

    def __init__(self) -> None:
        super().__init__()
        self.kqueue = _select.kqueue()  # the kernel's table

    def fileno(self) -> int:
        number: int = self.kqueue.fileno()
        return number

    def control(self, fd: int, direction: int, action: int) -> None:
        """One direction: one change, one call, so that an error is that change's own."""
        kind = _select.KQ_FILTER_READ if direction == READ else _select.KQ_FILTER_WRITE
        self.kqueue.control([_select.kevent(fd, kind, action)], 0, 0)

    def start(self, fd: int, watch: Watch) -> None:
        action = _select.KQ_EV_ADD | (_select.KQ_EV_CLEAR if watch.mask & EDGE else 0)
        if watch.mask & READ:
            self.control(fd, READ, action)
        if not watch.mask & WRITE:
            return
        try:
            self.control(fd, WRITE, action)
        except OSError:
            if watch.mask & READ:
                self.control(fd, READ, _select.KQ_EV_DELETE)
            raise

    def change(self, fd: int, former: Watch, watch: Watch) -> None:
        """Deletes and adds: adding again does not turn level into edge. It looks at the present, so nothing is lost."""
        with suppress(OSError):
            self.stop(fd, former)
        try:
            self.start(fd, watch)
        except OSError:
            with suppress(OSError):
                self.start(fd, former)
            raise

    def stop(self, fd: int, watch: Watch) -> None:
        try:
            if watch.mask & READ:
                self.control(fd, READ, _select.KQ_EV_DELETE)
        finally:
            if watch.mask & WRITE:
                self.control(fd, WRITE, _select.KQ_EV_DELETE)

    def wait(self, timeout: float) -> None:
        limit = None if timeout < 0 else min(timeout, _LONGEST_SECONDS)
        merged: dict[int, int] = {}
        for told in self.kqueue.control(None, 1024, limit):
            flags = READ if told.filter == _select.KQ_FILTER_READ else WRITE
            if told.flags & _select.KQ_EV_EOF:
                flags |= HANGUP | (ERROR if told.fflags else 0)
            merged[told.ident] = merged.get(told.ident, 0) | flags
        for fd, flags in merged.items():
            self.report(fd, flags)

    def close(self) -> None:
        self.kqueue.close()


class Poll(Backend):
    __slots__ = ("poll",)

    name = "poll"
    needs_rearm = True

    def __init__(self) -> None:
        super().__init__()
        self.poll = _select.poll()  # the array to hand over: `ask` keeps it in step with `watches`

    def ask(self, fd: int, watch: Watch) -> None:
        """quiet's HANGUP: half a close was reported. Its ERROR: so was what poll cannot mask, so fd is left out."""
        with suppress(KeyError):
            self.poll.unregister(fd)
        if watch.quiet & ERROR:
            return
        wanted = watch.mask & ~watch.quiet
        asked = 0 if watch.quiet & HANGUP or not watch.mask & (READ | EDGE) else _POLLRDHUP
        if wanted & READ:
            asked |= _select.POLLIN
        if wanted & WRITE:
            asked |= _select.POLLOUT
        self.poll.register(fd, asked)

    def start(self, fd: int, watch: Watch) -> None:
        os.fstat(fd)  # poll's own table takes any number
        self.ask(fd, watch)

    def change(self, fd: int, former: Watch, watch: Watch) -> None:
        self.ask(fd, watch)

    def stop(self, fd: int, watch: Watch) -> None:
        with suppress(KeyError):
            self.poll.unregister(fd)

    def rearm(self, fd: int, mask: int) -> None:
        watch = self.watch_of(fd)
        watch.quiet &= ~(mask | ERROR | (HANGUP if mask & READ else 0))
        self.ask(fd, watch)

    def wait(self, timeout: float) -> None:
        limit = None if timeout < 0 else math.ceil(min(timeout * 1000, _LONGEST_MILLISECONDS))
        for fd, told in self.poll.poll(limit):
            watch = self.watches[fd]
            if told & _select.POLLNVAL:  # closed while watched: falls silent, as with epoll
                watch.quiet |= ERROR
                self.ask(fd, watch)
                continue
            directions = (READ if told & _select.POLLIN else 0) | (WRITE if told & _select.POLLOUT else 0)
            hangup = HANGUP if told & (_POLLRDHUP | _select.POLLHUP) else 0
            error = ERROR if told & _select.POLLERR else 0
            self.report(fd, directions | hangup | error)
            if watch.mask & EDGE:
                watch.quiet |= directions | (HANGUP if told & _POLLRDHUP else 0)
                watch.quiet |= ERROR if told & (_select.POLLHUP | _select.POLLERR) else 0
                self.ask(fd, watch)


class Select(Backend):
    __slots__ = ("readable", "writable")

    name = "select"
    needs_rearm = True

    def __init__(self) -> None:
        super().__init__()
        self.readable: set[int] = set()  # what is asked for: the mask less what is quiet
        self.writable: set[int] = set()

    def ask(self, fd: int, mask: int) -> None:
        if mask & READ:
            self.readable.add(fd)
        if mask & WRITE:
            self.writable.add(fd)

    def start(self, fd: int, watch: Watch) -> None:
        try:
            select.select([fd], [], [], 0)  # FD_SETSIZE is not told: only a try knows
        except ValueError:
            raise ValueError(f"descriptor {fd} is too high for the select back-end: choose another") from None
        self.ask(fd, watch.mask)

    def change(self, fd: int, former: Watch, watch: Watch) -> None:
        self.stop(fd, former)
        self.ask(fd, watch.mask)

    def stop(self, fd: int, watch: Watch) -> None:
        self.readable.discard(fd)
        self.writable.discard(fd)

    def rearm(self, fd: int, mask: int) -> None:
        self.ask(fd, mask & self.watch_of(fd).mask)

    def wait(self, timeout: float) -> None:
        limit = None if timeout < 0 else min(timeout, _LONGEST_SECONDS)
        try:
            readable, writable, _ = select.select(self.readable, self.writable, (), limit)
        except OSError as error:
            if error.errno != EBADF:
                raise
            self.drop_closed()
            return
        merged = dict.fromkeys(readable, READ)
        for fd in writable:
            merged[fd] = merged.get(fd, 0) | WRITE
        for fd, flags in merged.items():
            self.report(fd, flags)
            if self.watches[fd].mask & EDGE:
                if flags & READ:
                    self.readable.discard(fd)
                if flags & WRITE:
                    self.writable.discard(fd)

    def drop_closed(self) -> None:
        """One closed descriptor spoils the whole call: silence every such one, as epoll does."""
        for fd, watch in self.watches.items():
            try:
                os.fstat(fd)
            except OSError:
                self.stop(fd, watch)


_BACKENDS: dict[str, type[Backend]] = {
    backend.name: backend for backend in (Epoll, Kqueue, Poll, Select) if hasattr(select, backend.name)
}


def poller_backends() -> tuple[str, ...]:
    return tuple(_BACKENDS)


def poller_open(name: str) -> Backend:
    return _BACKENDS[name]()


def poller_handle(owner: Backend) -> Backend:
    return owner


def poller_close(handle: Backend) -> None:
    if handle.closed:
        return
    if not handle.waiting.acquire(blocking=False):
        raise RuntimeError("a poller cannot be closed while another thread waits in it: wake that first")
    try:
        handle.closed = True
        handle.events = []
        handle.watches = {}
        handle.close()
    finally:
        handle.waiting.release()


def _open(handle: Backend) -> Backend:
    if handle.closed:
        raise ValueError("this poller is closed")
    return handle


def poller_fileno(handle: Backend) -> int:
    return _open(handle).fileno()


def poller_needs_rearm(handle: Backend) -> bool:
    return _open(handle).needs_rearm


def poller_add(handle: Backend, fd: int, mask: int, generation: int) -> None:
    _open(handle).add(fd, mask, generation)


def poller_modify(handle: Backend, fd: int, mask: int, generation: int) -> None:
    _open(handle).modify(fd, mask, generation)


def poller_remove(handle: Backend, fd: int) -> None:
    _open(handle).remove(fd)


def poller_rearm(handle: Backend, fd: int, mask: int) -> None:
    _open(handle).rearm(fd, mask)


def poller_wait(handle: Backend, timeout: float) -> int:
    if not handle.waiting.acquire(blocking=False):
        raise RuntimeError("another thread waits in this poller: one at a time")
    try:
        _open(handle).events = []
        handle.wait(timeout)
        return len(handle.events)
    finally:
        handle.waiting.release()


def poller_fd(handle: Backend, index: int) -> int:
    return handle.events[index][0] if index < len(handle.events) else -1


def poller_flags(handle: Backend, index: int) -> int:
    return handle.events[index][1] if index < len(handle.events) else 0


def poller_generation(handle: Backend, index: int) -> int:
    return handle.events[index][2] if index < len(handle.events) else 0
