"""Listeners: what accepts connections, whatever they are carried by.

Threads: any; several goroutines may accept from one listener, each in its turn.
"""

from collections.abc import Iterator
from typing import Any

from grt._core.errors import Closed
from grt.address import show
from grt.net.conn import Conn
from grt.net.endpoint import Endpoint

__all__ = ["BACKLOG", "Listener"]

BACKLOG = 4096  # what Linux allows by default; the kernel lowers it to its own limit


class Listener(Endpoint):
    """Accepts connections; iterating over it accepts until it is closed.

    `set_deadline` ends an accept that waits, and those to come, with TimeoutError.
    """

    __slots__ = ("addr", "wrap")

    kind = "Listener"

    def __init__(self, fd: int, addr: Any) -> None:
        super().__init__(fd)
        self.addr = addr  # what it listens on: (host, port), the port real even if 0 was asked for; a path
        self.wrap: Any = None  # makes of each connection what `accept` returns

    def accept(self) -> Conn:
        """Waits for the next connection. Raises grt.Closed when the listener is closed.

        When descriptors run out it waits and goes on: connections that end give theirs back.
        """
        conn = self.adopt(*self.accept_fd())
        if self.wrap is None:
            return conn
        try:
            wrapped: Conn = self.wrap(conn)
        except BaseException:
            conn.close()
            raise
        return wrapped

    def adopt(self, fd: int, peer: Any) -> Conn:
        """The connection with an accepted descriptor."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Conn]:
        return self

    def __next__(self) -> Conn:
        try:
            return self.accept()
        except Closed:
            raise StopIteration from None

    def describe(self) -> str:
        return f"{self.network} {show(self.addr)}"
