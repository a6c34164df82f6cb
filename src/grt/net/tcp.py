"""TCP for goroutines: `listen` and `dial`, the Listener and the Conn that they return.

Reading and writing are the core's (NetFD); here is what needs addresses, options and names.
Threads: any; a connection may be read in one thread, written in another and closed from a third.
"""

import errno
import socket
from collections.abc import Iterator
from typing import Any

from grt import sock
from grt._core.errors import Closed
from grt._core.netfd import NetFD
from grt.address import Address, join, split
from grt.net.resolver import resolve
from grt.scope import timeout as time_limit

__all__ = ["Conn", "Listener", "dial", "listen"]

NETWORKS = {"tcp": socket.AF_UNSPEC, "tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}
BACKLOG = 4096  # what Linux allows by default; the kernel lowers it to its own limit
KEEPALIVE = 15  # seconds of silence before and between probes, as Go has it


class Conn(NetFD):
    """A TCP connection, read and written in blocking style; only the calling goroutine waits.

    >>> import grt
    >>> with grt.listen("tcp", "127.0.0.1:0") as listener, grt.dial("tcp", listener.addr) as near:
    ...     with listener.accept() as far:
    ...         near.write(b"hello")
    ...         far.read()
    b'hello'

    As an iterator it yields what arrives until the end of the stream.
    """

    __slots__ = ("_local", "_remote")

    def __init__(self, fd: int, remote: Address) -> None:
        super().__init__(fd)
        self._remote = remote
        self._local: Address | None = None

    @property
    def remote_addr(self) -> Address:
        """(host, port) of the peer."""
        return self._remote

    @property
    def local_addr(self) -> Address:
        """(host, port) of this end."""
        if self._local is None:
            if self.closed:
                raise self.closed_error()
            self._local = sock.local_address(self.fileno())
        return self._local

    def read_exactly(self, size: int) -> bytes:
        """Reads size bytes, waiting for all of them. EOFError if the stream ends first, with what came in `partial`."""
        if size <= 0:
            return self.read(size)
        parts: list[bytes] = []
        missing = size
        while missing > 0:
            data = self.read(missing)
            if not data:
                error = EOFError(f"{self.describe()} ended after {size - missing} of {size} bytes")
                error.partial = b"".join(parts)  # type: ignore[attr-defined]
                raise error
            parts.append(data)
            missing -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def describe(self) -> str:
        if self._local is None and not self.closed:
            self._local = sock.local_address(self.fileno())
        remote = join(self._remote)
        return f"tcp {join(self._local)}->{remote}" if self._local else f"tcp {remote}"

    def __repr__(self) -> str:
        return f"<grt.Conn {self.describe()}{' closed' if self.closed else ''}>"

    def __enter__(self) -> "Conn":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Listener(NetFD):
    """Accepts TCP connections; iterating over it accepts until it is closed."""

    __slots__ = ("addr",)

    def __init__(self, fd: int, addr: Address) -> None:
        super().__init__(fd)
        self.addr = addr  # (host, port) that it listens on; the port is real even if 0 was asked for

    def accept(self) -> Conn:
        """Waits for the next connection. Raises grt.Closed when the listener is closed.

        When descriptors run out it waits and goes on: connections that end give theirs back.
        """
        return Conn(*self.accept_fd())

    def __iter__(self) -> Iterator[Conn]:  # type: ignore[override]
        return self

    def __next__(self) -> Conn:
        try:
            return self.accept()
        except Closed:
            raise StopIteration from None

    def describe(self) -> str:
        return f"tcp {join(self.addr)}"

    def __repr__(self) -> str:
        return f"<grt.Listener {self.describe()}{' closed' if self.closed else ''}>"

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def listen(network: str, address: str | Address, backlog: int = BACKLOG) -> Listener:
    """Listens for TCP connections: listen("tcp", ":8888"), on every host of this machine, IPv4 and IPv6.

    network is "tcp", "tcp4" or "tcp6"; port 0 lets the system choose (`listener.addr` tells). Raises OSError with
    the address in its message.
    """
    family = family_of(network)
    host, port = split(address)
    if not host:
        return listen_everywhere(family, port, backlog)
    family, host = resolve(host, family)[0]
    return listen_on(family, (host, port), backlog)


def listen_everywhere(family: int, port: int, backlog: int) -> Listener:
    """On all hosts: IPv6's wildcard takes IPv4 too, where there is IPv6."""
    if family == socket.AF_INET:
        return listen_on(family, ("0.0.0.0", port), backlog)
    try:
        return listen_on(socket.AF_INET6, ("::", port), backlog, dual=family == socket.AF_UNSPEC)
    except OSError as error:
        if family == socket.AF_INET6 or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return listen_on(socket.AF_INET, ("0.0.0.0", port), backlog)


def listen_on(family: int, address: Address, backlog: int, dual: bool = False) -> Listener:
    fd = -1
    try:
        fd = sock.open(family)
        sock.set_option(fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.set_option(fd, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        set_stream_options(fd)  # accepted connections inherit them: no system call each
        sock.bind(fd, address)
        sock.listen(fd, backlog)
        return Listener(fd, sock.local_address(fd))
    except BaseException as error:
        if fd >= 0:
            sock.close(fd)
        if isinstance(error, OSError):
            error.filename = f"listen tcp {join(address)}"
        raise


def dial(network: str, address: str | Address, timeout: float | None = None) -> Conn:
    """Connects: dial("tcp", "example.org:80", timeout=3). The addresses of a name are tried in turn.

    Raises OSError (ConnectionRefusedError, ...) with the address in its message, socket.gaierror for an unknown
    name, TimeoutError after timeout seconds.
    """
    family = family_of(network)
    host, port = split(address)
    with time_limit(timeout) as limit:
        try:
            return dial_any(resolve(host or "localhost", family), port)
        except TimeoutError:
            if not limit.expired:
                raise
            raise TimeoutError(f"dial tcp {join((host, port))}: no answer within {timeout} s") from None


def dial_any(hosts: list[tuple[int, str]], port: int) -> Conn:
    """Connects to the first of hosts, (address family, numeric host), that answers; raises what the last one gave."""
    for family, host in hosts[:-1]:
        try:
            return dial_one(family, (host, port))
        except OSError as error:
            if error.errno is None:  # the caller's time is up, not this address's
                raise
    family, host = hosts[-1]
    return dial_one(family, (host, port))


def dial_one(family: int, address: Address) -> Conn:
    conn = None
    try:
        fd = sock.open(family)
        conn = Conn(fd, address)
        set_stream_options(fd)
        conn.connect(address)
        return conn
    except BaseException as error:
        if conn is not None:
            conn.close()
        if isinstance(error, OSError):
            error.filename = f"dial tcp {join(address)}"
        raise


def set_stream_options(fd: int) -> None:
    """No delay for small writes, and probes that find out about a peer that has vanished."""
    sock.set_option(fd, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.set_option(fd, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):
            sock.set_option(fd, socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE)


def family_of(network: Any) -> int:
    try:
        return NETWORKS[network]
    except (KeyError, TypeError):
        raise ValueError(f"network {network!r} is not known: use 'tcp', 'tcp4' or 'tcp6'") from None
