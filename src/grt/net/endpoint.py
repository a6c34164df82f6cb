"""What every socket of this layer is: an owned descriptor that can be looked at as a socket.socket."""

import io
import socket
from typing import Any, TypeVar

from grt._core.netfd import NetFD

__all__ = ["Endpoint"]

E = TypeVar("E", bound="Endpoint")


class View(socket.socket):
    """A socket.socket of a number that is somebody else's to close."""

    __slots__ = ()

    def close(self) -> None:
        self.detach()

    def __del__(self) -> None:
        self.detach()


class Endpoint(NetFD):
    """An owned descriptor, with the socket module's view of it."""

    __slots__ = ()

    kind = "Endpoint"  # its public name
    network = "?"  # what carries it, as messages call that

    def number(self) -> int:
        """The descriptor, for a system call; grt.Closed when it has been given back."""
        if self.closed:
            raise self.closed_error()
        return self.fileno()

    @property
    def raw(self) -> socket.socket:
        """The descriptor as a socket.socket, for options and calls that grt has no name for.

        It stays this object's: do not close it or make it blocking. What would block raises BlockingIOError.
        """
        view: Any = self.view
        if view is None or self.closed:
            if self.number() < 0:
                raise io.UnsupportedOperation(f"{self.describe()} has no descriptor")
            view = View(fileno=self.fileno())
            view.settimeout(0)
            self.view = view
        return view  # type: ignore[no-any-return]

    def set_read_buffer(self, size: int) -> None:
        """How many bytes the kernel keeps that have come and have not been read (SO_RCVBUF)."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def set_write_buffer(self, size: int) -> None:
        """How many bytes the kernel takes of what is written before a write has to wait (SO_SNDBUF)."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def __repr__(self) -> str:
        return f"<grt.{self.kind} {self.describe()}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled; TCP and Unix connections and listeners can be sent to a VM")

    def __enter__(self: E) -> E:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
