"""A connection in memory: for tests, and to put between two goroutines what wants a connection.

It waits as goroutines do that wait for each other, not for a descriptor: in a grt.testing.bubble its time is virtual,
and a deadlock on it is found.
Threads: any; a Flow's guard protects it, and nothing blocks under that.
"""

import errno
import os
import threading
from collections import deque
from typing import Any

from grt._core.stream import Layered
from grt.net.conn import Conn
from grt.poll import READ, WRITE

__all__ = ["PipeConn", "pipe"]

ROOM = 65536  # bytes under way in one direction, about what a socket's buffer holds


class Flow:
    """One direction: what has been written and not read yet."""

    __slots__ = ("chunks", "ended", "error", "guard", "size")

    def __init__(self) -> None:
        self.guard = threading.Lock()  # guards all below
        self.chunks: deque[bytes] = deque()
        self.size = 0  # bytes in them
        self.ended = False  # whether nothing more will be written
        self.error = 0  # what the writer gets: the reader has gone

    def take(self, size: int) -> bytes | None:
        """At most size bytes; b"" at the end, None while there is nothing."""
        with self.guard:
            if not self.chunks:
                return b"" if self.ended else None
            data = self.chunks.popleft()
            if len(data) > size:
                self.chunks.appendleft(data[size:])
                data = data[:size]
            self.size -= len(data)
            return data

    def put(self, data: Any) -> int:
        """Takes some of data; returns how many bytes, 0 while it is full."""
        with self.guard:
            if self.error or self.ended:
                raise OSError(self.error or errno.EPIPE, os.strerror(self.error or errno.EPIPE))
            count = min(len(data), ROOM - self.size)
            if count > 0:
                self.chunks.append(bytes(data[:count]))
                self.size += count
            return count

    def end(self, error: int = 0) -> None:
        with self.guard:
            self.ended = True
            self.error = self.error or error


class PipeConn(Layered, Conn):
    """One end of a pipe."""

    __slots__ = ("inward", "name", "outward", "peer")

    network = "pipe"

    def __init__(self, name: str, inward: Flow, outward: Flow) -> None:
        super().__init__(-1, "")
        self.name = name
        self.inward = inward
        self.outward = outward
        self.peer: PipeConn = self

    def pull(self, size: int) -> bytes | None:
        data = self.inward.take(size)
        if data:
            self.peer.news.on_event(WRITE)
        return data

    def push(self, data: Any) -> int:
        count = self.outward.put(data)
        if count:
            self.peer.news.on_event(READ)
        return count

    def end_writing(self) -> bool:
        self.outward.end()
        self.peer.news.on_event(READ)
        return True

    def close(self) -> None:
        super().close()
        self.outward.end()
        self.inward.end(errno.EPIPE)
        self.peer.news.on_event(READ | WRITE)

    def abort(self) -> None:
        """As close; what the other end has not read yet is dropped."""
        with self.outward.guard:
            self.outward.chunks.clear()
            self.outward.size = 0
        self.close()

    @property
    def local_addr(self) -> str:
        """What this end is called."""
        return self.name

    @property
    def remote_addr(self) -> str:
        """What the other end is called."""
        return self.peer.name

    def describe(self) -> str:
        return f"pipe {self.name}->{self.peer.name}"


def pipe() -> tuple[Conn, Conn]:
    """A connection in memory: its two ends. What is written to one is read from the other.

    >>> import grt
    >>> near, far = grt.pipe()
    >>> with near, far:
    ...     near.write(b"hello")
    ...     far.read()
    b'hello'

    It is like one over the network in everything, deadlines and half-closes included, but has no descriptor.
    """
    there, back = Flow(), Flow()
    near, far = PipeConn("near", back, there), PipeConn("far", there, back)
    near.peer, far.peer = far, near
    return near, far
