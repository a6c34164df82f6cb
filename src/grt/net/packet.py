"""Datagrams: UDP, connected or not, multicast and broadcast, and Unix datagrams.

Threads: any; sends and receives each wait in their own order.
"""

import contextlib
import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

from grt._core.errors import Closed
from grt._core.go import sleep
from grt.address import Address, show, split
from grt.net.endpoint import Endpoint
from grt.net.resolver import numeric_host, resolve
from grt.net.unix import BUSY, Made, bind_alone, packed_path, path_of, remove, shown_path

__all__ = ["PacketConn", "UDPConn", "UnixPacketConn", "dial_packet", "listen_packet"]

FAMILIES = {"udp": socket.AF_UNSPEC, "udp4": socket.AF_INET, "udp6": socket.AF_INET6, "unixgram": socket.AF_UNIX}
LARGEST = 65536  # bytes: no datagram of UDP is longer


class PacketConn(Endpoint):
    """A socket for datagrams: each send is one, and so is each receive.

    >>> import grt
    >>> with grt.listen_packet("udp", "127.0.0.1:0") as far, grt.dial_packet("udp", far.addr) as near:
    ...     near.send(b"ping")
    ...     data, peer = far.recv_from()
    ...     far.send_to(b"pong", peer)
    ...     near.recv()
    b'pong'

    UDP addresses are (host, port), those of Unix sockets paths. As an iterator it yields (datagram, sender) until it
    is closed.
    """

    __slots__ = ("addr", "peer")

    kind = "PacketConn"

    def __init__(self, made: socket.socket, peer: Any) -> None:
        self.addr = plain(made.getsockname())  # that it is bound to; the port is real even if 0 was asked for
        super().__init__(made.detach())
        self.peer = peer  # whom it is connected to, None for nobody

    def recv(self, size: int | None = None) -> bytes:
        """Waits for a datagram; what is longer than size bytes is cut, and nothing by default. Raises
        ConnectionRefusedError if a connected peer has let us know that nobody listens there."""
        raw = self.raw
        data: bytes = self.read_by(lambda: raw.recv(self.room() if size is None else size))
        return data

    def recv_from(self, size: int | None = None) -> tuple[bytes, Any]:
        """As recv, with the sender's address."""
        raw = self.raw
        data, sender = self.read_by(lambda: raw.recvfrom(self.room() if size is None else size))
        return data, plain(sender)

    def room(self) -> int:
        """How many bytes the next datagram may have."""
        return LARGEST

    def send(self, data: Any) -> None:
        """Sends a datagram to the peer that it is connected to; waits while the kernel takes no more."""
        raw = self.raw
        if self.peer is None:
            raise ValueError(f"{self.describe()} is connected to nobody: use send_to(data, address)")
        self.write_by(lambda: raw.send(data))

    def send_to(self, data: Any, address: Any) -> None:
        """Sends a datagram to address: (host, port) or "host:port", a path for a Unix socket."""
        if self.peer is not None:
            raise ValueError(f"{self.describe()} is connected: use send(data)")
        where = self.target(address)
        try:
            self.write_by(lambda: self.hand_over(data, where))
        except OSError as error:
            if error.errno is not None:
                error.filename = f"{self.network} {show(address)}"
            raise

    def hand_over(self, data: Any, where: Any) -> int:
        return self.raw.sendto(data, where)

    def target(self, address: Any) -> Any:
        """address as the kernel takes it."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[bytes, Any]]:
        return self

    def __next__(self) -> tuple[bytes, Any]:
        try:
            return self.recv_from()
        except Closed:
            raise StopIteration from None

    def describe(self) -> str:
        peer = f"->{show(self.peer)}" if self.peer is not None else ""
        return f"{self.network} {show(self.addr)}{peer}"


class UDPConn(PacketConn):
    """A socket for UDP."""

    __slots__ = ("family",)

    network = "udp"

    def __init__(self, made: socket.socket, peer: Any) -> None:
        self.family = made.family
        super().__init__(made, peer)

    def target(self, address: Any) -> Any:
        return socket_address(numeric(split(address, "udp"), self.family))

    def set_broadcast(self, on: bool) -> None:
        """Whether it may send to a broadcast address (no, at first)."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, on)

    def join_group(self, group: str, interface: str | None = None) -> None:
        """Receives what is sent to a multicast group, too: its numeric address, on an interface named as "eth0".

        That may be in the address, too: "ff02::1%eth0".
        """
        self.change_membership(group, interface, socket.IP_ADD_MEMBERSHIP, socket.IPV6_JOIN_GROUP)

    def leave_group(self, group: str, interface: str | None = None) -> None:
        """Takes a join_group back."""
        self.change_membership(group, interface, socket.IP_DROP_MEMBERSHIP, socket.IPV6_LEAVE_GROUP)

    def change_membership(self, group: str, interface: str | None, four: int, six: int) -> None:
        address: Any = ipaddress.ip_address(group)
        if not address.is_multicast:
            raise ValueError(f"{group!r} is not a multicast address (224.0.0.0/4 or ff00::/8)")
        index = interface_index(interface or getattr(address, "scope_id", None))
        if address.version == 4:  # struct ip_mreqn
            self.raw.setsockopt(socket.IPPROTO_IP, four, address.packed + struct.pack("=4si", bytes(4), index))
        else:
            self.raw.setsockopt(socket.IPPROTO_IPV6, six, address.packed + struct.pack("@I", index))

    def set_multicast(self, interface: str | None = None, hops: int = 1, loop: bool = True) -> None:
        """How it sends to groups: from which interface, over how many routers, and whether this machine hears it."""
        index = interface_index(interface)
        raw = self.raw
        if self.family == socket.AF_INET or not raw.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loop)
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index))
        if self.family == socket.AF_INET6:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, loop)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)


class UnixPacketConn(PacketConn):
    """A socket for Unix datagrams; closing it removes the file that it has made."""

    __slots__ = ("file", "made")

    network = "unixgram"

    def __init__(self, made: socket.socket, peer: Any, file: str, bound: Made | None) -> None:
        self.file = file
        self.made = bound  # what tells its file, as for a UnixListener
        super().__init__(made, peer)

    def hand_over(self, data: Any, where: str) -> int:
        try:
            return super().hand_over(data, where)
        except BlockingIOError:  # the receiver is full, of whose end no event tells: this socket itself has room
            sleep(BUSY)
            raise

    def room(self) -> int:
        if sys.platform != "linux":
            return LARGEST
        return max(1, self.raw.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC))

    def target(self, address: Any) -> str:
        return packed_path(path_of(address))

    def close(self) -> None:
        """Closes it; who is blocked on it gets grt.Closed."""
        made, self.made = self.made, None
        remove(self.file, made)
        super().close()


def listen_packet(network: str, address: str | Address, *, reuse_port: bool = False) -> Any:
    """A socket that receives the datagrams sent to address, a PacketConn: listen_packet("udp", ":9000").

    network is "udp", "udp4", "udp6" or "unixgram"; with the last, address is a path. With reuse_port several sockets
    may be bound to one port. Raises OSError with the address in its message.
    """
    family = family_of(network)
    if family == socket.AF_UNIX:
        return unix_packets(address, None)
    host, port = split(address, "udp")
    if host:
        family, host = resolve(host, family)[0]
    elif family == socket.AF_UNSPEC:  # IPv6's wildcard takes IPv4 too, where there is IPv6
        try:
            return udp(network, socket.AF_INET6, ("::", port), None, reuse_port)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            family = socket.AF_INET
    return udp(network, family, (host, port), None, reuse_port)


def dial_packet(network: str, address: str | Address, local: Any = None) -> Any:
    """A socket that exchanges datagrams with one peer, a PacketConn: dial_packet("udp", "example.org:53").

    Nothing is sent by it. local is the address of this end, chosen by the system if there is none; a Unix socket has
    none then, and its peer cannot answer.
    """
    family = family_of(network)
    if family == socket.AF_UNIX:
        return unix_packets(local, address)
    host, port = split(address, "udp")
    family, host = resolve(host or "localhost", family)[0]
    return udp(network, family, None if local is None else own_end(split(local, "udp"), family), (host, port), False)


def udp(network: str, family: int, local: Address | None, peer: Address | None, reuse_port: bool) -> UDPConn:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.settimeout(0)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, network == "udp6")
        if peer is not None:  # whoever names a broadcast address means it
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        connect(made, local, peer)
        return UDPConn(made, peer)
    finally:
        made.close()


def unix_packets(local: Any, peer: Any) -> UnixPacketConn:
    file, there = (None if path is None else path_of(path) for path in (local, peer))
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    what = f"dial unixgram {there}" if file is None else f"listen unixgram {file}"
    try:
        made.settimeout(0)
        with contextlib.nullcontext() if file is None else bind_alone(made, file) as bound:
            if there is not None:
                what = f"dial unixgram {there}"
                made.connect(packed_path(there))
        return UnixPacketConn(made, there, file or "", bound)
    except OSError as error:
        if error.errno is not None:
            error.filename = what
        raise
    finally:
        made.close()


def connect(made: socket.socket, local: Address | None, peer: Address | None) -> None:
    """Gives a socket its own address, and its peer's, as far as there are any."""
    what = ""
    try:
        if local is not None:
            what = f"listen udp {show(local)}"
            made.bind(socket_address(local))
        if peer is not None:
            what = f"dial udp {show(peer)}"
            made.connect(socket_address(peer))
    except OSError as error:
        error.filename = what
        raise


def own_end(address: Address, family: int) -> Address:
    host, port = address
    return numeric(address, family) if host else ("0.0.0.0" if family == socket.AF_INET else "::", port)


def numeric(address: Address, family: int) -> Address:
    """address with a numeric host: a name is resolved, without blocking the thread."""
    host, port = address
    try:
        socket.inet_pton(family, host)
        return host, port
    except OSError:
        found, host = resolve(host or "localhost", socket.AF_UNSPEC if family == socket.AF_INET6 else family)[0]
    return (f"::ffff:{host}" if found != family else host), port


def socket_address(address: Address) -> Any:
    """address as the socket module takes it: there IPv6's scope is no part of the host."""
    host, _, scope = address[0].partition("%")
    return (host, address[1], 0, interface_index(scope)) if scope else address


def interface_index(name: str | None) -> int:
    """The number of an interface, which the system may write in the place of its name; 0 for any."""
    if name is None:
        return 0
    return int(name) if name.isdigit() else socket.if_nametoindex(name)


def plain(address: Any) -> Any:
    """An address as grt gives them: (host, port) without IPv6's flow and scope, which is in the host; a path."""
    if isinstance(address, tuple):
        host, port = numeric_host(address), address[1]
        return (host[7:] if host.startswith("::ffff:") and "." in host else host), port
    return shown_path(address or "")


def family_of(network: Any) -> int:
    try:
        return FAMILIES[network]
    except (KeyError, TypeError):
        raise ValueError(f"network {network!r} is not known: use 'udp', 'udp4', 'udp6' or 'unixgram'") from None
