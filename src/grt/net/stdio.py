"""The ends of the system's pipes, terminals and the like as connections: no sockets, but can be waited for."""

import io
import os
from typing import Any

from grt._core.stream import Layered
from grt.net.conn import Conn

__all__ = ["FDConn", "os_pipe"]


class FDConn(Layered, Conn):
    """A descriptor that is read, or written, as a connection. It belongs to the connection from then on.

    It is made non-blocking, which whoever else has the same pipe end open would see: not for a shared stdin.
    """

    __slots__ = ()

    network = "fd"

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        super().__init__(fd, "")

    def pull(self, size: int) -> bytes | None:
        try:
            return os.read(self.fileno(), size)
        except BlockingIOError:
            return None

    def push(self, data: Any) -> int:
        try:
            return os.write(self.fileno(), data) if data else 0
        except BlockingIOError:
            return 0

    def writev(self, buffers: Any) -> None:
        self.write(b"".join(memoryview(buffer).cast("B") for buffer in buffers))

    def close_write(self) -> None:
        """There is no half of it to close."""
        raise io.UnsupportedOperation(f"{self.describe()} has one direction: use close()")

    def abort(self) -> None:
        """Closes it: there is nothing that a reset would be."""
        self.close()

    @property
    def raw(self) -> Any:
        """There is no socket."""
        raise io.UnsupportedOperation(f"{self.describe()} is no socket")

    def find_local(self) -> str:
        return f"{self.fileno()}"

    def describe(self) -> str:
        return "fd" if self.closed else f"fd {self.fileno()}"


def os_pipe() -> tuple[FDConn, FDConn]:
    """A pipe of the system's, as os.pipe makes one: (the end to read from, the end to write to).

    >>> import grt
    >>> reader, writer = grt.os_pipe()
    >>> with reader, writer:
    ...     writer.write(b"hello")
    ...     reader.read()
    b'hello'
    """
    reader, writer = os.pipe()
    return FDConn(reader), FDConn(writer)
