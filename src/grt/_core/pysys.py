"""The system calls of layer 1, and the lock, in plain Python: the twin of csys.pxd, for the build without a C compiler.

A call that would block says so by its value (None, or WOULD_BLOCK), an error is an OSError, SIGPIPE is never raised.

Invariants: one call here is one system call on a descriptor, but for accept, whose new socket object asks for its own
name and is then told not to block, and for the first call on a descriptor that was opened elsewhere.
Threads: anyone; a dict's single operations are atomic.
Rejected: os.read and os.write, which cannot ask for no SIGPIPE.
"""

import errno
import math
import os
import socket as _socket
import threading
import time
from threading import Lock as mutex_new
from typing import Any

__all__ = [
    "FAILED",
    "LOCKS",
    "NEVER",
    "WOULD_BLOCK",
    "accept",
    "bind",
    "caught",
    "check_signals",
    "close",
    "compiled",
    "connect",
    "find",
    "guard",
    "guard_lock",
    "guard_new",
    "guard_unlock",
    "linger_zero",
    "listen",
    "local_address",
    "method_is",
    "method_self",
    "mutex",
    "mutex_lock",
    "mutex_new",
    "mutex_unlock",
    "now",
    "part",
    "recv",
    "recv_into",
    "recv_or_error",
    "remote_address",
    "remutex_lock",
    "remutex_new",
    "remutex_unlock",
    "send",
    "send_or_failed",
    "set_option",
    "shutdown_write",
    "socket_error",
    "socket_open",
    "tcp_state",
    "waker_drain",
    "waker_notify",
    "waker_open",
]

compiled = False  # what `cython.compiled` says where Cython is not installed
WOULD_BLOCK = -1
FAILED = -2
NEVER = math.inf  # the moment that does not come
LOCKS = True  # whether the lock locks: bytecode can be interrupted anywhere, so here it does on every interpreter

mutex = guard = guard_new = mutex_new
remutex_new: Any = threading.RLock  # for what a signal's handler may do in the midst of itself

Address = tuple[str, int]

now = time.monotonic

# Descriptor -> the socket object whose methods make the calls. The number is the owner: these are detached on close.
_sockets: dict[int, _socket.socket] = {}

failed = threading.local()  # its error is what `caught` gives

_SEND_FLAGS = getattr(_socket, "MSG_NOSIGNAL", 0)
_NON_BLOCKING = getattr(_socket, "SOCK_NONBLOCK", 0)  # 0 where it takes a call of its own


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _socket_of(fd: int) -> _socket.socket:
    found = _sockets.get(fd)
    if found is None:
        if fd < 0:
            raise _error(errno.EBADF)
        made = _socket.socket(fileno=fd)
        made.setblocking(False)
        found = _sockets.setdefault(fd, made)
        if found is not made:  # another thread asked at the same moment; one that is dropped would close the number
            made.detach()
    return found


def _adopt(made: _socket.socket) -> int:
    if made.gettimeout() != 0.0:
        made.setblocking(False)
    if hasattr(_socket, "SO_NOSIGPIPE"):  # macOS, which has no MSG_NOSIGNAL
        made.setsockopt(_socket.SOL_SOCKET, _socket.SO_NOSIGPIPE, 1)
    fd = made.fileno()
    stale = _sockets.pop(fd, None)
    if stale is not None:  # its number was closed behind our back and is given out anew
        stale.detach()
    _sockets[fd] = made
    return fd


def socket_open(family: int, type: int) -> int:
    return _adopt(_socket.socket(family, type | _NON_BLOCKING))


def recv(fd: int, size: int) -> bytes | None:
    if size < 0:
        raise ValueError(f"cannot read {size} bytes: the size must not be negative")
    try:
        return _socket_of(fd).recv(size)
    except BlockingIOError:
        return None


def recv_into(fd: int, target: Any) -> int:
    try:
        return _socket_of(fd).recv_into(target)
    except BlockingIOError:
        return WOULD_BLOCK


def send(fd: int, data: Any, offset: int) -> int:
    try:
        return _socket_of(fd).send(memoryview(data)[offset:] if offset else data, _SEND_FLAGS)
    except BlockingIOError:
        return WOULD_BLOCK


def recv_or_error(fd: int, size: int) -> bytes | BaseException | None:
    """As recv, but an exception is returned."""
    try:
        return _socket_of(fd).recv(size)
    except BlockingIOError:
        return None
    except BaseException as error:
        return error


def send_or_failed(fd: int, data: Any, offset: int) -> int:
    """As send, but for an exception it returns FAILED, and `caught` gives it."""
    try:
        return send(fd, data, offset)
    except BaseException as error:
        failed.error = error
        return FAILED


def caught() -> BaseException:
    error: BaseException = failed.error
    del failed.error
    return error


def find(data: bytes, mark: bytes, start: int) -> int:
    return data.find(mark, start)


def part(data: bytes, start: int, end: int) -> bytes:
    return data[start:end]


def accept(fd: int) -> tuple[int, Address] | None:
    while True:
        try:
            made, address = _socket_of(fd).accept()
        except BlockingIOError:
            return None
        except ConnectionAbortedError:  # reset while it waited
            continue
        return _adopt(made), _plain(address)


def _plain(address: Any) -> Address:
    """Without IPv6's flow and scope (part of the host where there is one), an IPv4 peer as such."""
    if not isinstance(address, tuple):  # a Unix socket's path
        return "", 0
    if address[0].startswith("::ffff:") and "." in address[0]:
        return address[0][7:], address[1]
    if len(address) == 4 and address[3] and "%" not in address[0]:
        return f"{address[0]}%{_socket.if_indextoname(address[3])}", address[1]
    return address[:2]


def _packed(fd: int, address: Address) -> tuple[Any, ...]:
    """An address for the kernel; checked first, because the socket object would look a name up and block."""
    host, port = address if isinstance(address, tuple) and len(address) == 2 else (None, None)
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError(f"an address is a tuple (host, port), not {address!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port} is not between 0 and 65535")
    name, _, scope = host.partition("%")
    for family, numeric in ((_socket.AF_INET, host), (_socket.AF_INET6, name)):
        try:
            _socket.inet_pton(family, numeric)
        except OSError:
            continue
        found = _scope(scope)
        if _socket_of(fd).family != family:  # the kernel's own answers: an IPv4 address is too short for IPv6
            raise _error(errno.EINVAL if family == _socket.AF_INET else errno.EAFNOSUPPORT)
        return (numeric, port, 0, found) if found else (numeric, port)
    raise ValueError(f"{host!r} is not a numeric IPv4 or IPv6 address")


def _scope(name: str) -> int:
    """The interface's number in "fe80::1%eth0" or "fe80::1%2"; 0 where none is named."""
    if not name or (name.isascii() and name.isdigit()):
        return int(name or 0)
    try:
        return _socket.if_nametoindex(name)
    except OSError:
        raise _error(errno.ENODEV) from None


def bind(fd: int, address: Address) -> int:
    _socket_of(fd).bind(_packed(fd, address))
    return 0


def connect(fd: int, address: Address) -> int:
    try:
        _socket_of(fd).connect(_packed(fd, address))
    except BlockingIOError as error:
        if error.errno != errno.EINPROGRESS:
            raise
        return WOULD_BLOCK
    return 0


def listen(fd: int, backlog: int) -> int:
    _socket_of(fd).listen(backlog)
    return 0


def shutdown_write(fd: int) -> int:
    _socket_of(fd).shutdown(_socket.SHUT_WR)
    return 0


def close(fd: int) -> int:
    known = _sockets.pop(fd, None)
    if known is not None:
        known.detach()
    os.close(fd)
    return 0


def set_option(fd: int, level: int, option: int, value: int) -> int:
    _socket_of(fd).setsockopt(level, option, value)
    return 0


def linger_zero(fd: int) -> int:
    _socket_of(fd).setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return 0


def socket_error(fd: int) -> int:
    return _socket_of(fd).getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)


def local_address(fd: int) -> Address:
    return _plain(_socket_of(fd).getsockname())


def remote_address(fd: int) -> Address:
    return _plain(_socket_of(fd).getpeername())


def tcp_state(fd: int) -> int:
    option = getattr(_socket, "TCP_INFO", None) or getattr(_socket, "TCP_CONNECTION_INFO", None)
    if option is None:
        raise _error(errno.ENOTSUP)
    return _socket_of(fd).getsockopt(_socket.IPPROTO_TCP, option, 1)[0]


def method_self(method: Any) -> Any:
    """The object that method is bound to; None if it is no bound method."""
    return getattr(method, "__self__", None)


def method_is(method: Any, name: bytes) -> bool:
    return bool(getattr(method, "__name__", "") == name.decode())


# The methods themselves: a frame around each would cost more than the lock.
mutex_lock: Any = type(mutex_new()).acquire
mutex_unlock: Any = type(mutex_new()).release
guard_lock, guard_unlock = mutex_lock, mutex_unlock


def remutex_lock(lock: Any) -> None:
    lock.acquire()


def remutex_unlock(lock: Any) -> None:
    lock.release()


def check_signals() -> None:
    """Runs the handlers of signals that have come: between two bytecodes Python does it by itself."""


def waker_open() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer


def waker_notify(writer: int) -> None:
    try:
        os.write(writer, b"\0")
    except BlockingIOError:  # a full pipe: the wake-up is already on its way
        pass


def waker_drain(reader: int) -> None:
    try:
        while len(os.read(reader, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass
