"""Unix sockets: streams between processes of one machine, which can tell who the peer is and pass descriptors.

An address is a path; on Linux one that is written with "@" before it is a name without a file.
"""

import array
import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from grt._core.go import sleep
from grt._core.timers import now
from grt.net.conn import Conn
from grt.net.listener import Listener

__all__ = [
    "BUSY", "Credentials", "Made", "UnixConn", "UnixListener", "bind_alone", "dial_unix", "listen_unix", "packed_path",
    "path_of", "remove", "shown_path",
]  # fmt: skip

MOST = 253  # descriptors in one message: Linux's SCM_MAX_FD
LONGEST = 107 if sys.platform == "linux" else 103  # bytes: what sun_path holds, with a null behind
PATIENCE = 1.0  # seconds that the lock of a folder is waited for: whoever may read that can hold it
BUSY = 0.001  # seconds between attempts to connect to a listener whose backlog is full: no event tells of its end
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
Made = tuple[int, int, int]  # device and inode of a file, and the process that has made it
CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Credentials(NamedTuple):
    """Who is at the other end of a Unix socket, as the kernel saw it when the connection was made."""

    pid: int | None  # None where the system does not tell
    uid: int
    gid: int


class UnixConn(Conn):
    """A Unix stream connection: addresses are paths, "" where there is none."""

    __slots__ = ()

    network = "unix"

    def find_local(self) -> str:
        return shown_path(self.raw.getsockname())

    def describe(self) -> str:
        path = self.remote_addr or (self.local if self.closed else self.local_addr)
        return f"unix {path or 'socket'}"

    def peer_credentials(self) -> Credentials:
        """The peer's process, user and group."""
        if sys.platform == "linux":
            size = struct.calcsize("3i")
            found = self.raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            return Credentials(*struct.unpack("3i", found))
        local_peercred = 1  # of <sys/un.h>: version, uid, number of groups, groups
        found = self.raw.getsockopt(0, local_peercred, 76)
        _, uid, _, _, gid = struct.unpack_from("IIhhI", found)
        return Credentials(None, uid, gid)

    def send_fds(self, fds: Sequence[int], data: bytes = b"\0") -> None:
        """Passes copies of descriptors to the peer, with data, of which there must be a byte at least.

        They stay this process's too: close them when they are not needed any more.
        """
        if not 0 < len(fds) <= MOST:
            raise ValueError(f"1 to {MOST} descriptors can be sent at once, not {len(fds)}")
        data = bytes(memoryview(data))  # what is none, as the descriptors in the second place, is told here
        if not data:
            raise ValueError("descriptors travel with data: at least one byte")
        numbers = array.array("i", list(fds))
        raw, sent = self.raw, 0

        def send() -> bool | None:
            nonlocal sent
            extra = [] if sent else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)]
            sent += raw.sendmsg([data[sent:]], extra, NO_SIGNAL)
            return None if sent < len(data) else True

        self.write_by(send)

    def recv_fds(self, most: int = MOST, size: int = 65536) -> tuple[list[int], bytes]:
        """Waits for data that the peer has sent, at most size bytes, and the descriptors that came with it.

        ([], b"") is the end of the stream. The descriptors are the caller's to close; no program that is started
        inherits them. Of more than most, the rest is dropped. If this process may have no more of them, none is left
        open: OSError, whose `data` is what came with them.
        """
        if most < 1 or size < 1:
            raise ValueError(f"most and size are at least 1, not {most} and {size}")
        if self.buffered:  # it came before
            return [], self.read(size)
        room = socket.CMSG_LEN(most * array.array("i").itemsize)
        raw = self.raw

        def receive() -> Any:
            return raw.recvmsg(size, room, CLOEXEC)

        data, messages, flags, _ = self.read_by(receive)
        numbers = array.array("i")
        for level, kind, content in messages:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
        fds = list(numbers)
        if not CLOEXEC:
            for fd in fds:
                os.set_inheritable(fd, False)
        if flags & socket.MSG_CTRUNC and len(fds) < most:
            for fd in fds:
                os.close(fd)
            error = OSError(errno.EMFILE, os.strerror(errno.EMFILE), self.describe())
            error.data = data  # type: ignore[attr-defined]
            raise error
        return fds, data


class UnixListener(Listener):
    """Accepts Unix connections; closing it removes the file that it has made."""

    __slots__ = ("made",)

    network = "unix"

    def __init__(self, fd: int, addr: str, made: Made | None) -> None:
        super().__init__(fd, addr)
        self.made = made  # what tells its file, for only that one is removed; None if it made none

    def adopt(self, fd: int, peer: Any) -> UnixConn:
        return UnixConn(fd, "")

    def close(self) -> None:
        made, self.made = self.made, None
        remove(self.addr, made)
        super().close()


def listen_unix(path: str, backlog: int) -> UnixListener:
    """Listens at path, where a socket file that nobody listens on any more is replaced."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(0)
        with bind_alone(made, path) as bound:
            made.listen(backlog)
        addr = path or shown_path(made.getsockname())  # "" lets the system choose a name without a file
        return UnixListener(made.detach(), addr, bound)
    except OSError as error:
        if error.errno is not None:  # the kernel's: none of a deadline, or of whoever cancels a context
            error.filename = f"listen unix {path}"
        raise
    finally:
        made.close()


@contextlib.contextmanager
def bind_alone(made: socket.socket, path: str) -> Iterator[Made | None]:
    """Binds made to path, where a file that a dead server has left is replaced; tells of the new one.

    Who does the same meanwhile waits: one that does not listen yet looks dead. What fails inside leaves no file.
    """
    with only_one_in(path):
        bind(made, path)
        bound = made_here(path)
        try:
            yield bound
        except BaseException:
            remove(path, bound)
            raise


@contextlib.contextmanager
def only_one_in(path: str) -> Iterator[None]:
    """Holds the lock of path's folder, as far as that can be had: it leaves no file of its own, and ends with us."""
    try:
        folder = -1 if has_no_file(path) else os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    except OSError:  # it may be written and not read, or is not there: then bind says so
        folder = -1
    try:
        limit = now() + PATIENCE
        while folder >= 0 and not can_lock(folder) and now() < limit:
            sleep(BUSY)
        yield
    finally:
        if folder >= 0:
            os.close(folder)


def can_lock(folder: int) -> bool:
    """False while another has it. True, too, where files have no locks."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno != errno.EWOULDBLOCK
    return True


def bind(made: socket.socket, path: str) -> None:
    try:
        made.bind(packed_path(path))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not is_stale(path, made.type):
            raise
        os.unlink(path)
        made.bind(packed_path(path))


def is_stale(path: str, kind: int) -> bool:
    """Whether path is a socket on which nobody listens: a server ended without closing it."""
    if identity(path) is None or not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.settimeout(0)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def dial_unix(path: str) -> UnixConn:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(0)
        while True:
            try:
                made.connect(packed_path(path))
                return UnixConn(made.detach(), path)
            except BlockingIOError:
                sleep(BUSY)
    except OSError as error:
        if error.errno is not None:
            error.filename = f"dial unix {path}"
        raise
    finally:
        made.close()


def path_of(address: Any) -> str:
    path = os.fspath(address)
    if not isinstance(path, str):
        raise TypeError(f"the address of a Unix socket is a path, a string, not {address!r}")
    if "\0" in path:
        raise ValueError(f"the path {path!r} has a null character in it; an address without a file is written '@name'")
    return path


def packed_path(path: str) -> str:
    """path as the kernel takes it."""
    if len(os.fsencode(path)) > LONGEST:
        raise OSError(errno.ENAMETOOLONG, f"a Unix socket's path has {LONGEST} bytes at most", path)
    return "\0" + path[1:] if path.startswith("@") else path


def shown_path(path: Any) -> str:
    text = os.fsdecode(path)
    return "@" + text[1:] if text.startswith("\0") else text


def made_here(path: str) -> Made | None:
    """What tells that this process has made the file at path, of all that are ever there; None if there is none."""
    found = identity(path)
    return None if found is None else (*found, os.getpid())


def remove(path: str, made: Made | None) -> None:
    """Removes the file at path, if it is the one that was made, not by a parent, and this process may do so."""
    if made is not None and made == made_here(path):
        with contextlib.suppress(OSError):
            os.unlink(path)


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the file at path, None if there is none."""
    if has_no_file(path):
        return None
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def has_no_file(path: str) -> bool:
    """Whether path is a name without a file; the system chooses one in the place of ""."""
    return not path or path.startswith("@")
