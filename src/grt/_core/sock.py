"""Thin sockets: each function is one system call on a descriptor, and no more. They never block.

Invariants: a call that would block raises BlockingIOError; every other error is the standard library's own OSError.
Threads: any; the descriptor is the caller's to guard.
"""

import errno
import os
import sys
from typing import Any

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core import pysys as system
    from grt._core.pysys import WOULD_BLOCK

__all__ = [
    "accept", "bind", "close", "connect", "error", "linger_zero", "listen", "local_address", "open", "read",
    "remote_address", "set_option", "shutdown_write", "tcp_state", "write",
]  # fmt: skip

Address = tuple[str, int]

LINUX_STATES = (
    "?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING",
)  # fmt: skip
DARWIN_STATES = (
    "CLOSE", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1", "CLOSING", "LAST_ACK",
    "FIN_WAIT2", "TIME_WAIT",
)  # fmt: skip
STATES = DARWIN_STATES if sys.platform == "darwin" else LINUX_STATES


def would_block(call: str, fd: int, hint: str) -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, f"{call} on descriptor {fd} would block: {hint}")


def open(family: int = 2, type: int = 1) -> int:
    """A new non-blocking socket's descriptor: TCP over IPv4, unless told otherwise by socket.AF_... and SOCK_..."""
    return system.socket_open(family, type)


def bind(fd: int, address: Address) -> None:
    """Gives fd a local (host, port); port 0 lets the system choose."""
    system.bind(fd, address)


def listen(fd: int, backlog: int = 4096) -> None:
    """Lets peers connect to fd; at most backlog of them wait to be accepted."""
    system.listen(fd, backlog)


def connect(fd: int, address: Address) -> bool:
    """Starts connecting fd to a numeric (host, port); False while the handshake goes on (writable tells its end)."""
    return system.connect(fd, address) != WOULD_BLOCK


def accept(fd: int) -> tuple[int, Address]:
    """Takes the next waiting connection: its descriptor and the peer's address."""
    found = system.accept(fd)
    if found is None:
        raise would_block("accept", fd, "no connection waits; wait until it is readable")
    return found


def read(fd: int, size: int = 65536) -> bytes:
    """Reads what there is, at most size bytes; b"" is the end of the stream."""
    data = system.recv(fd, size)
    if data is None:
        raise would_block("read", fd, "nothing has come yet; wait until it is readable")
    return data


def write(fd: int, data: Any) -> int:
    """Writes as much of data as the kernel takes now; returns how many bytes that was."""
    count = system.send(fd, data, 0)
    if count == WOULD_BLOCK:
        raise would_block("write", fd, "the kernel takes no more now; wait until it is writable")
    return count


def shutdown_write(fd: int) -> None:
    """Tells the peer that no more will come (half-close); reading goes on."""
    system.shutdown_write(fd)


def close(fd: int) -> None:
    """Gives the descriptor back. What was written is still delivered."""
    system.close(fd)


def set_option(fd: int, level: int, option: int, value: int) -> None:
    """Sets one of the socket's options, by the socket module's constants."""
    system.set_option(fd, level, option, value)


def linger_zero(fd: int) -> None:
    """Makes the next close send a reset and drop what is unsent."""
    system.linger_zero(fd)


def error(fd: int) -> OSError | None:
    """The error that fd has pending, and takes it off: how a `connect` that went on has ended."""
    number = system.socket_error(fd)
    return OSError(number, os.strerror(number)) if number else None


def local_address(fd: int) -> Address:
    """(host, port) of this end."""
    return system.local_address(fd)


def remote_address(fd: int) -> Address:
    """(host, port) of the peer."""
    return system.remote_address(fd)


def tcp_state(fd: int) -> str:
    """The connection's state in TCP's state machine: LISTEN, ESTABLISHED, CLOSE_WAIT, ..."""
    return STATES[system.tcp_state(fd)]
