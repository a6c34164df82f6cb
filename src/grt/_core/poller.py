"""Waits for descriptors to become ready, and returns what happened as events.

Invariants: registrations[fd] is the registration of every registered fd, None for every other; each has a generation
of its own, which the kernel (or its twin) hands back with each event, so an event for a descriptor that was
unregistered, or closed and used anew, after the wait that collected it finds another generation and is stale.
Threads: the owner only. With epoll and kqueue other threads too may register, modify and unregister, also while the
owner waits: `table` guards the table where no GIL does, and what is registered stands there before the kernel can
report it. The lock is the compiled build's alone: a finalizer that unregisters can there not run in the midst of it,
and in plain Python a list's single operations are whole.
Rejected: callbacks (the loop's business); asking the kernel whether a descriptor is registered (poll and select have
no kernel table to ask).
"""

import os
from itertools import count
from types import TracebackType
from typing import Any, Protocol

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pypoll import (
        EDGE,
        ERROR,
        HANGUP,
        READ,
        WRITE,
        poller_add,
        poller_backends,
        poller_close,
        poller_fd,
        poller_fileno,
        poller_flags,
        poller_generation,
        poller_handle,
        poller_modify,
        poller_needs_rearm,
        poller_open,
        poller_rearm,
        poller_remove,
        poller_wait,
    )
    from grt._core.pysys import mutex_lock, mutex_new, mutex_unlock

__all__ = ["Event", "Poller", "Registration"]

# Generations are 32 bits wide, because epoll hands back 64 and the descriptor needs the other half.
_GENERATIONS = 0xFFFFFFFF

_KEEP: Any = object()  # modify's "leave the data as it is": None is data


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Registration:
    """What is known of one registered descriptor."""

    __slots__ = ("data", "events", "fd", "generation")

    def __init__(self, fd: int, events: int, data: object, generation: int) -> None:
        self.fd = fd
        self.events = events  # READ, WRITE and EDGE bits
        self.data = data  # the caller's own
        self.generation = generation  # tells it from earlier and later ones of the same number


class Event:
    """What happened on one descriptor.

    hangup: the peer closed its sending side, or both; what it sent before can still be read. error: an error is
    pending, which the next call on the descriptor raises. Either is news for reading and for writing alike, also
    where the kernel does not set readable or writable with it. The select back-end tells neither: there, both are
    seen as readable or writable.
    """

    __slots__ = ("data", "error", "fd", "hangup", "readable", "writable")

    def __init__(self, fd: int, data: Any, flags: int) -> None:
        self.fd = fd
        self.data = data  # as given to register or modify
        self.readable = flags & READ != 0
        self.writable = flags & WRITE != 0
        self.hangup = flags & HANGUP != 0
        self.error = flags & ERROR != 0

    def __repr__(self) -> str:
        said = [name for name in ("readable", "writable", "hangup", "error") if getattr(self, name)]
        return f"<Event fd={self.fd} {' '.join(said)} data={self.data!r}>"


class Poller:
    """Watches descriptors with the best back-end of the system, or with the one named.

    A descriptor must be unregistered before it is closed: kernels differ in what they make of it otherwise.

    >>> poller = Poller()
    >>> poller.backend in Poller.backends()
    True
    >>> poller.wait(0)
    []
    >>> poller.close()
    """

    __slots__ = ("backend", "generations", "handle", "needs_rearm", "owner", "registrations", "table")

    def __init__(self, backend: str | None = None) -> None:
        names = poller_backends()
        if backend is None:
            backend = names[0]
        elif backend not in names:
            raise ValueError(f"there is no back-end {backend!r} here: choose from {', '.join(names)}")
        self.backend = backend  # its name
        self.owner = poller_open(backend)  # owns the back-end's memory and descriptor, until close or collection
        self.handle = poller_handle(self.owner)  # the same, as the calls below take it
        # Whether an edge-triggered direction must be switched on again once drained; `close` sets it.
        self.needs_rearm = bool(poller_needs_rearm(self.handle))
        self.table = mutex_new()  # guards the next; nothing is dropped with it held
        self.registrations: list[Registration | None] = []  # by descriptor
        self.generations = count(1)  # the next registration's; counts on whatever thread asks

    @staticmethod
    def backends() -> tuple[str, ...]:
        """The names of the back-ends that can be used here, best first."""
        return poller_backends()

    def register(self, fd: int | HasFileno, events: int, data: object = None) -> None:
        """Watches fd, a number or an object with fileno(), for events: READ, WRITE or both.

        With EDGE added, a direction is reported only when there is news (see `rearm`); without, at every wait as long
        as it is ready. Each event carries data. Raises KeyError if fd is registered already, ValueError for events
        that make no sense or a descriptor too high for select, OSError if the kernel cannot watch it (a closed
        descriptor, or with epoll a regular file).
        """
        number = number_of(fd)
        mask = mask_of(events)
        self.reserve(number)
        if self.known(number) is not None:
            raise KeyError(f"descriptor {number} is already registered: modify it, or unregister it before closing it")
        registration = Registration(number, mask, data, next(self.generations) & _GENERATIONS)
        self.replace(number, registration)
        try:
            poller_add(self.handle, number, mask, registration.generation)
        except BaseException:
            self.replace(number, None)
            raise

    def modify(self, fd: int | HasFileno, events: int, data: object = _KEEP) -> None:
        """Watches fd for other events from now on, with other data if given. Raises KeyError if fd is unknown."""
        mask = mask_of(events)
        registration = self.registration_of(fd)
        poller_modify(self.handle, registration.fd, mask, registration.generation)
        registration.events = mask
        if data is not _KEEP:
            registration.data = data

    def unregister(self, fd: int | HasFileno) -> None:
        """Watches fd no longer; events collected but not yet looked at are stale. Raises KeyError if fd is unknown."""
        registration = self.registration_of(fd)
        self.replace(registration.fd, None)
        try:
            poller_remove(self.handle, registration.fd)
        except OSError:
            pass  # closed before it was unregistered: the kernel has forgotten it already

    def rearm(self, fd: int | HasFileno, events: int) -> None:
        """Says that an edge-triggered direction (READ, WRITE or both) has been drained and will be waited for.

        An edge-triggered direction is reported, then stays quiet until there is news. Call this between draining and
        waiting: with epoll and kqueue it does and checks nothing; with poll and select it is what switches the
        direction on again. Raises KeyError there if fd is unknown.
        """
        if not self.needs_rearm:
            return
        registration = self.registration_of(fd)
        poller_rearm(self.handle, registration.fd, mask_of(events))

    def wait(self, timeout: float | None = None) -> list[Event]:
        """Waits until something happens on a registered descriptor, and returns it, one event for each descriptor.

        Waits at most timeout seconds (None: for ever; 0 or less: only looks), never less. The list is empty when the
        time is up; it may be so earlier when a signal came. Raises what a signal's handler raises.
        """
        seconds = -1.0 if timeout is None else max(float(timeout), 0.0)
        if seconds != seconds:
            raise ValueError("timeout is not a number")
        events = []
        for index in range(self.collect(seconds)):
            registration = self.registration_at(index)
            if registration is not None:
                events.append(Event(registration.fd, registration.data, self.flags_at(index)))
        return events

    def collect(self, timeout: float) -> int:
        """wait without the list: returns how many events there are for `data_at` and `flags_at`, until the next call.

        Waits at most timeout seconds; for ever if that is negative.
        """
        return poller_wait(self.handle, timeout)

    def data_at(self, index: int) -> Any:
        """The data of the index-th event collected; None if it is stale."""
        registration = self.registration_at(index)
        return None if registration is None else registration.data

    def flags_at(self, index: int) -> int:
        """READ, WRITE, HANGUP and ERROR bits of the index-th event collected."""
        return poller_flags(self.handle, index)

    def data_of(self, fd: int) -> Any:
        """The data that fd is registered with; None if it is not."""
        registration = self.known(fd)
        return None if registration is None else registration.data

    def known(self, number: int) -> Registration | None:
        """The registration of a descriptor, None without one."""
        if cython.compiled:
            mutex_lock(self.table)
        registration = self.registrations[number] if 0 <= number < len(self.registrations) else None
        if cython.compiled:
            mutex_unlock(self.table)
        return registration

    def replace(self, number: int, registration: Registration | None) -> None:
        if cython.compiled:
            mutex_lock(self.table)
        former = self.registrations[number]  # dropped when the lock is free
        self.registrations[number] = registration
        if cython.compiled:
            mutex_unlock(self.table)
        del former

    def registration_at(self, index: int) -> Registration | None:
        registration = self.known(poller_fd(self.handle, index))  # -1 if it was closed while its batch was looked at
        if registration is None or registration.generation != poller_generation(self.handle, index):
            return None
        return registration

    def registration_of(self, fd: int | HasFileno) -> Registration:
        number = number_of(fd)
        registration = self.known(number)
        if registration is None:
            poller_fileno(self.handle)  # a closed poller knows no descriptor: it says so
            raise KeyError(f"descriptor {number} is not registered")
        return registration

    def reserve(self, number: int) -> int:
        """Makes the table reach to number. The number is asked about first: a wild one must not fill the memory."""
        if number >= len(self.registrations):
            poller_fileno(self.handle)
            os.fstat(number)
            more = [None] * (number + 64 - len(self.registrations))
            if cython.compiled:
                mutex_lock(self.table)
            self.registrations.extend(more)
            if cython.compiled:
                mutex_unlock(self.table)
        return 0

    def fileno(self) -> int:
        """The descriptor of the kernel's own object (for another poller to watch), -1 where it has none."""
        return poller_fileno(self.handle)

    def close(self) -> None:
        """Gives the kernel's object back; descriptors still registered stay open. Closing again does nothing.

        Any other call then raises ValueError, but len, which is 0. Raises RuntimeError while another thread waits.
        """
        poller_close(self.handle)
        former: list[Registration | None] = []
        if cython.compiled:
            mutex_lock(self.table)
        former, self.registrations = self.registrations, former
        if cython.compiled:
            mutex_unlock(self.table)
        self.needs_rearm = True  # so that rearm too goes where "closed" is said

    def __len__(self) -> int:
        return len(self.registrations) - self.registrations.count(None)

    def __enter__(self) -> "Poller":
        poller_fileno(self.handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Poller {self.backend} watching {len(self)}>"


def number_of(fd: int | HasFileno) -> int:
    """The descriptor's number, checked."""
    if not isinstance(fd, int):
        try:
            fileno = fd.fileno
        except AttributeError:
            raise TypeError(f"a descriptor is a number or has fileno(), unlike {fd!r}") from None
        fd = fileno()
    if fd < 0:
        raise ValueError(f"descriptor {fd} is negative: is it closed already?")
    return fd


def mask_of(events: int) -> int:
    """The events asked for, checked: at least a direction, and nothing unknown."""
    if not isinstance(events, int):
        raise TypeError(f"events are READ, WRITE and EDGE bits, not {events!r}")
    if events & ~(READ | WRITE | EDGE) or not events & (READ | WRITE):
        raise ValueError(f"events must be READ, WRITE or both, perhaps with EDGE, not {events}")
    return events
