"""What systemd has opened for this process: its sockets come as open descriptors, with LISTEN_FDS for their number."""

import errno
import os
import socket
from typing import Any

from grt import sock
from grt.net.packet import UDPConn, UnixPacketConn, plain
from grt.net.tcp import TCPConn, TCPListener
from grt.net.unix import UnixConn, UnixListener, shown_path

__all__ = ["inherited_listeners"]

FIRST = 3  # SD_LISTEN_FDS_START
TCP = socket.AF_INET, socket.AF_INET6


def inherited_listeners() -> list[Any]:
    """The sockets that systemd has opened for this process (LISTEN_FDS), in its order; [] if it was started otherwise.

    Listeners, for the most part; a PacketConn for datagrams, a Conn where there is a process for each connection. To be
    asked once: the descriptors are theirs from then on.
    """
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not count.isdecimal():
        raise ValueError(f"LISTEN_FDS is {count!r}: it is the number of descriptors that this process was given")
    return [inherit(fd) for fd in range(FIRST, FIRST + int(count))]


def inherit(fd: int) -> Any:
    try:
        os.set_inheritable(fd, False)
        os.set_blocking(fd, False)
        with socket.socket(fileno=fd) as found:
            return adopt(found)
    except OSError as error:
        error.filename = f"descriptor {fd} of LISTEN_FDS"
        raise


def adopt(found: socket.socket) -> Any:
    """What grt has for such a socket; it takes the descriptor from found."""
    kind, family = found.type, found.family
    if kind == socket.SOCK_DGRAM and family in TCP:
        return UDPConn(found, peer_of(found))
    if kind == socket.SOCK_DGRAM and family == socket.AF_UNIX:
        return UnixPacketConn(found, peer_of(found), "", None)
    if kind != socket.SOCK_STREAM or family not in (*TCP, socket.AF_UNIX):
        raise OSError(errno.EPROTONOSUPPORT, f"a socket of {family!r} and {kind!r} is not grt's business")
    if family == socket.AF_UNIX:
        if listens(found):
            path = shown_path(found.getsockname())
            return UnixListener(found.detach(), path, None)
        path = shown_path(found.getpeername())
        return UnixConn(found.detach(), path)
    if listens(found):
        address = sock.local_address(found.fileno())
        return TCPListener(found.detach(), address)
    address = sock.remote_address(found.fileno())
    return TCPConn(found.detach(), address)


def peer_of(found: socket.socket) -> Any:
    """The address that it is connected to, None if it is not."""
    try:
        return plain(found.getpeername())
    except OSError:
        return None


def listens(found: socket.socket) -> bool:
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
