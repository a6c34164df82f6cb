"""The wire between a VM and the main program: messages in both directions, in order, over a Unix socket.

What is sent meanwhile goes in one frame. A frame: how long it is, how many descriptors come with it (over a second
socket, so that only those who have any pay for them), and a list of messages: marshalled, which takes half the time, or
pickled, if something in it had to be packed.
Threads: any may send; any may write and take in what came, one at a time, but one goroutine waits for it.
"""

import contextlib
import copyreg
import marshal
import os
import pickle
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from grt._core.chan import Chan
from grt._core.errors import Closed
from grt._core.netfd import BLOCKED
from grt._core.semaphore import Mutex
from grt.net.unix import MOST, UnixConn
from grt.vm.crossing import Station
from grt.vm.parcel import Parcel

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pysys import WOULD_BLOCK, recv, send

__all__ = ["Wire"]

HEADER = struct.Struct("<II")
CALLS = frozenset({"go", "cancel", "exit", "done", "failed"})  # messages about calls; all others are about channels
PICKLED = 0x80  # what a pickle begins with, and nothing that is marshalled
AT_ONCE = 1 << 16  # bytes that are read at most at a time; more would be mapped and unmapped for each message

_local = threading.local()  # frame: the one that is written or read in this thread


class Frame:
    """What pickle does not carry of the messages that are written, or read."""

    __slots__ = ("fds", "wire")

    def __init__(self, wire: "Wire", fds: list[int]) -> None:
        self.wire = wire
        self.fds = fds


class Wire:
    """One end. Before use are set: name_of and find, which give what stands for a channel, and the channel; handle,
    which is called with the messages about channels that come, in order; and handle_call, with each of the others. They
    are called by whoever takes the messages in, and must not block. And station, for `post`."""

    __slots__ = (
        "bell", "conn", "fd_conn", "fds", "find", "first", "framed", "handle", "handle_call", "name_of", "outbox",
        "pending", "station", "taking", "unsent", "writing",
    )  # fmt: skip

    def __init__(self, conn: int, fd_conn: int) -> None:
        self.conn = UnixConn(conn, "")
        self.fd_conn = UnixConn(fd_conn, "")
        self.name_of: Callable[[Chan[Any]], Any]
        self.find: Callable[[Any], Chan[Any]]
        self.handle: Callable[[list[Any]], object]
        self.handle_call: Callable[[Any], object]
        self.station: Station
        self.outbox: deque[Any] = deque()  # messages that nobody has written yet
        self.first: deque[Any] = deque()  # those that are written before them
        self.bell: Chan[None] = Chan(1)
        self.writing = (
            Mutex()
        )  # held from when messages are taken from the outbox until they are in a frame, which is next
        self.unsent = b""  # what is left of frames; this and the two below are with who holds `writing`
        self.fds: list[int] = []  # those that come with the last one, as long as they have to be sent
        self.framed: Any = None  # the messages in it, whose descriptors those are
        self.pending = bytearray()  # what has come of a frame
        self.taking = threading.RLock()  # guards it; held until what has come is handled

    def send(self, message: Any) -> None:
        """Has message written, unless the wire has ended. Never blocks."""
        self.outbox.append(message)
        self.ring()

    def post(self, message: Any) -> None:
        """send, for who holds the lock of crossing: while the station looks, it is the one who will `flush`."""
        self.outbox.append(message)
        due = self.station.due
        if due is None:
            self.ring()
        elif self not in due:
            due.append(self)

    def announce(self, message: Any) -> None:
        """Has message written in a frame before that of those that were sent: they refer to what it introduces."""
        self.first.append(message)
        self.ring()

    def ring(self) -> None:
        try:
            self.bell.try_send(None)
        except Closed:
            pass

    def write(self) -> None:
        """Writes what is sent, until `finish`, or until the other end has gone."""
        for _ in self.bell:
            if self.outbox or self.first or self.unsent:  # it has rung again for what was written meanwhile
                try:
                    self.write_frames()
                except (OSError, Closed):
                    return

    def finish(self) -> None:
        """Ends `write` when it has written what was sent."""
        self.bell.close()

    def write_frames(self) -> None:
        with self.writing:
            self.write_rest()
            self.fill()
            self.write_rest()

    def flush(self) -> None:
        """Writes what was posted, as much as the kernel takes at once; `write` does the rest. Never blocks."""
        if not self.writing.try_lock():
            self.ring()
            return
        try:
            if not self.unsent:
                self.fill()
            if self.unsent and not self.fds:
                self.conn.write_by(self.write_some)
        except (OSError, Closed):  # who reads will see
            pass
        finally:
            self.writing.unlock()
        if self.unsent:
            self.ring()

    def fill(self) -> None:
        """Makes frames of what was sent, to be written."""
        messages = drained(self.outbox)
        first = drained(self.first)  # after the others: what those refer to was announced before
        if first:
            self.frame(first)
        if messages:
            self.frame(messages)

    def frame(self, messages: list[Any]) -> None:
        try:
            data = marshal.dumps(messages, 2)
        except ValueError:  # there is a Parcel in it
            data = self.pickled(messages)
        self.unsent += HEADER.pack(len(data), len(self.fds)) + data
        self.framed = messages if self.fds else None

    def write_rest(self) -> None:
        """Writes what is left of frames. Only the last has descriptors: who announces sends none."""
        if self.unsent:
            self.conn.write(self.unsent)
            self.unsent = b""
        while self.fds:
            self.fd_conn.send_fds(self.fds[:MOST])
            del self.fds[:MOST]
        self.framed = None

    def write_some(self) -> int:
        """Writes what the kernel takes now; returns how much that is."""
        count = send(self.conn.number(), self.unsent, 0)
        if count == WOULD_BLOCK:
            return 0
        self.unsent = self.unsent[count:] if count < len(self.unsent) else b""
        return count

    def pickled(self, messages: list[Any]) -> bytes:
        _local.frame = Frame(self, self.fds)
        try:
            return pickle.dumps(messages, 5)
        finally:
            _local.frame = None

    def read(self) -> None:
        """Handles what comes, until the other end has gone."""
        with contextlib.suppress(OSError, Closed):
            self.conn.read_by(self.take_in)

    def take_in(self) -> Any:
        """Handles what has come; returns True when that was the end, and BLOCKED when there is no more."""
        with self.taking:
            data = recv(self.conn.number(), AT_ONCE)
            if data is None:
                return BLOCKED
            self.pending += data
            while (messages := self.next_frame()) is not None:  # one by one: they refer to what was in those before
                self.deal_out(messages)
        if 0 < len(data) < AT_ONCE and not self.conn.news.hangup:  # whose edge comes only once
            return BLOCKED  # it was all that there was: to be told that by the kernel takes longer
        return None if data else True

    def next_frame(self) -> Any:
        """The messages of a frame that has come, taken out of what is pending; None if there is none."""
        pending = self.pending
        if len(pending) < HEADER.size:
            return None
        size, fds = HEADER.unpack_from(pending)
        end = HEADER.size + size
        if len(pending) < end:
            return None
        body = pending[HEADER.size : end]
        del pending[:end]
        return self.unpickled(body, fds) if body[0] == PICKLED else marshal.loads(body)

    def deal_out(self, messages: list[Any]) -> None:
        """Passes messages on to who handles them; those about calls have their effect later in any case."""
        others = []
        for message in messages:
            if message[0] in CALLS:
                self.handle_call(message)
            else:
                others.append(message)
        if others:
            self.handle(others)

    def unpickled(self, body: bytearray, count: int) -> Any:
        fds: list[int] = []
        while len(fds) < count:
            found, data = self.fd_conn.recv_fds()
            if not data:
                raise ConnectionResetError("descriptors that were announced have not come")
            fds += found
        _local.frame = Frame(self, fds)
        try:
            return pickle.loads(body)
        finally:
            _local.frame = None
            for fd in fds:  # of what could not be opened
                os.close(fd)

    def abandon(self) -> None:
        """In the child of a fork, where a thread that took something in is gone: the wire is its parent's."""
        self.taking = threading.RLock()
        self.close()

    def close(self) -> None:
        with self.taking:  # nobody is left with the number of a descriptor that may be another's next
            self.conn.close()
            self.fd_conn.close()


def drained(box: deque[Any]) -> list[Any]:
    """What is in box, which others go on filling meanwhile."""
    return [box.popleft() for _ in range(len(box))]


def reduce_parcel(parcel: Parcel) -> Any:
    frame: Frame = _local.frame
    names = [frame.wire.name_of(channel) for channel in parcel.channels]
    frame.fds += parcel.fds
    return arrived, (parcel.data, names, len(parcel.fds), parcel.sizes)


def arrived(data: bytes, names: list[Any], count: int, sizes: list[int]) -> Parcel:
    frame: Frame = _local.frame
    parcel = Parcel()
    parcel.data = data
    parcel.sizes = sizes
    parcel.fds = frame.fds[:count]
    del frame.fds[:count]
    parcel.channels = [frame.wire.find(name) for name in names]
    return parcel


copyreg.pickle(Parcel, reduce_parcel)
