"""What crosses: values as they are packed by their sender, opened by their receiver, and left alone on the way.

Invariants: a value is packed when it is sent, so an error is its sender's, and later changes of it are not seen. A
parcel owns its descriptors until it is opened; each is opened once, or closed.
Large buffers are written to memory that both processes map: they are copied once, and do not go through a socket.
Threads: any.
"""

import copyreg
import mmap
import os
import pickle
import tempfile
import threading
from collections.abc import Iterable
from typing import Any

from grt._core.chan import Chan
from grt._core.goroutine import Goroutine
from grt.net.tcp import TCPConn, TCPListener
from grt.net.unix import UnixConn, UnixListener

__all__ = ["LARGE", "Parcel", "current", "open_parcel", "pack", "whole"]

LARGE = 1 << 17  # bytes from which a buffer travels in shared memory: below that, making it costs more than copying
PLAIN = frozenset({int, float, bool, type(None)})  # cannot change, and pickle without fail: packed on the way
SIZED = frozenset({bytes, str})
BY_NAME = " (functions and classes are sent by name: define it at the top of a module)"

_local = threading.local()  # parcel: the one that is being packed or opened in this thread


class Parcel:
    """A pickled value, with what pickle cannot carry."""

    __slots__ = ("channels", "data", "fds", "moved", "sizes")

    def __init__(self) -> None:
        self.data = b""
        self.channels: list[Chan[Any]] = []  # those it refers to
        self.fds: list[int] = []  # of connections and listeners; the last of the large buffers, if it has sizes
        self.sizes: list[int] = []  # of the large buffers, bytes
        self.moved: list[Any] = []  # connections that are given away when it is packed

    def __del__(self) -> None:
        for fd in self.fds:
            if fd >= 0:
                os.close(fd)

    def take_fd(self, index: int) -> int:
        fd, self.fds[index] = self.fds[index], -1
        if fd < 0:
            raise ValueError("this message was opened before")
        return fd


class Whole:
    """Bytes, packed as a buffer of their own."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return type(self.value), (pickle.PickleBuffer(self.value),)


def whole(value: Any) -> Any:
    """value so that pickle takes it as a buffer, if it is one that is worth it."""
    kind = type(value)
    return Whole(value) if kind is memoryview or (kind in (bytes, bytearray) and len(value) >= LARGE) else value


def pack(value: Any) -> Any:
    """value in the form in which it crosses: itself, if it is small and cannot change, or a Parcel.

    Raises TypeError if it cannot be pickled.
    """
    kind = type(value)
    if kind in PLAIN or (kind in SIZED and len(value) < LARGE) or kind is Parcel:
        return value
    parcel = Parcel()
    outer = getattr(_local, "parcel", None)
    _local.parcel = parcel
    try:
        pickled(parcel, value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        nameless = isinstance(error, pickle.PicklingError) or "local object" in str(error)  # by version
        advice = BY_NAME if nameless else ""
        raise TypeError(f"{value!r:.200} cannot be sent to another VM: {error}{advice}") from error
    finally:
        _local.parcel = outer
    for conn in parcel.moved:
        conn.close()
    parcel.moved.clear()
    return parcel


def pickled(parcel: Parcel, value: Any) -> None:
    """Fills parcel with value."""
    blocks: list[memoryview] = []
    parcel.data = pickle.dumps(whole(value), 5, buffer_callback=Aside(blocks))
    if blocks:
        parcel.sizes = [block.nbytes for block in blocks]
        parcel.fds.append(shared_memory(blocks))


class Aside:
    """Tells pickle which buffers to leave to us."""

    __slots__ = ("blocks",)

    def __init__(self, blocks: list[memoryview]) -> None:
        self.blocks = blocks

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes >= LARGE:
            self.blocks.append(raw)
        return raw.nbytes < LARGE


def open_parcel(value: Any) -> Any:
    """The value that was packed."""
    if type(value) is not Parcel:
        return value
    outer = getattr(_local, "parcel", None)
    _local.parcel = value
    try:
        return pickle.loads(value.data, buffers=mapped(value) if value.sizes else ())
    finally:
        _local.parcel = outer


def shared_memory(blocks: Iterable[memoryview]) -> int:
    """A descriptor of memory that holds blocks, one behind the other."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("grt", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        for block in blocks:
            view = block
            while view:
                view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


def mapped(parcel: Parcel) -> list[memoryview]:
    """The large buffers, the receiver's own to change: the memory is copied where that is done, and nowhere else."""
    fd = parcel.take_fd(len(parcel.fds) - 1)
    try:
        whole = memoryview(mmap.mmap(fd, sum(parcel.sizes), mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE))
    finally:
        os.close(fd)
    found, at = [], 0
    for size in parcel.sizes:
        found.append(whole[at : at + size])
        at += size
    return found


# -- what pickle is told


def current(what: object) -> Parcel:
    parcel: Parcel | None = getattr(_local, "parcel", None)
    if parcel is None:
        raise TypeError(f"{what!r} cannot be pickled: it is sent to a VM, by grt.vm, and nowhere else")
    return parcel


def reduce_conn(conn: Any) -> Any:
    """A connection moves: its sender's is closed when the whole value is packed."""
    parcel = current(conn)
    parcel.fds.append(os.dup(conn.number()))
    parcel.moved.append(conn)
    return opened_conn, (type(conn), len(parcel.fds) - 1, conn.remote, conn.unread())


def opened_conn(kind: Any, index: int, remote: Any, unread: bytes) -> Any:
    conn = kind(current("a connection").take_fd(index), remote)
    if unread:
        conn.preload(unread)
    return conn


def reduce_listener(listener: Any) -> Any:
    """A listener is shared: both accept from it."""
    parcel = current(listener)
    if listener.wrap is not None:
        hint = "what it does with TLS is this process's own; a grt.Server has tls= for that"
        raise TypeError(f"{listener!r} cannot be sent to a VM: {hint}")
    parcel.fds.append(os.dup(listener.number()))
    return opened_listener, (type(listener), len(parcel.fds) - 1, listener.addr)


def opened_listener(kind: Any, index: int, addr: Any) -> Any:
    fd = current("a listener").take_fd(index)
    return kind(fd, addr, None) if kind is UnixListener else kind(fd, addr)


def reduce_goroutine(g: Goroutine) -> Any:
    raise TypeError(f"{g!r} cannot be sent to a VM: send what its result gives, or a channel that it will send to")


copyreg.pickle(Goroutine, reduce_goroutine)
for _kind in (TCPConn, UnixConn):
    copyreg.pickle(_kind, reduce_conn)
for _listener in (TCPListener, UnixListener):
    copyreg.pickle(_listener, reduce_listener)
