"""What every connection is to its user, whatever carries it: TCP, a Unix socket, TLS, memory.

Reading and writing are the core's (Stream); here is what is made of them.
Threads: any; a connection may be read in one thread, written in another and closed from a third.
"""

import errno
import io
import os
import socket
from collections.abc import Iterable
from typing import Any

from grt import sock
from grt._core.go import current
from grt._core.netfd import BLOCKED
from grt._core.stream import Layered, Stream, octets
from grt.address import show
from grt.net.endpoint import Endpoint

__all__ = ["Conn", "ConnFile"]

PIECE = 262144  # bytes of a file that are read at a time where the kernel cannot send it by itself
AT_ONCE = 1 << 30  # bytes that sendfile is asked for at most: more than a call ever sends
NOT_BY_SENDFILE = {
    errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK, errno.EOPNOTSUPP, errno.EOVERFLOW, errno.ESPIPE,
}  # fmt: skip
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
VECTOR = 512  # buffers in one call; Linux allows 1024, others less


class Conn(Stream, Endpoint):
    """A connection, read and written in blocking style; only the calling goroutine waits.

    >>> import grt
    >>> with grt.listen("tcp", "127.0.0.1:0") as listener, grt.dial("tcp", listener.addr) as near:
    ...     with listener.accept() as far:
    ...         near.write(b"hello")
    ...         far.read()
    b'hello'

    As an iterator it yields what arrives until the end of the stream. Reads may be mixed: whatever a call leaves,
    the next one gets.
    """

    __slots__ = ()  # none: Layered has to be a base beside it

    kind = "Conn"

    def __init__(self, fd: int, remote: Any) -> None:
        super().__init__(fd)
        self.remote = remote

    @property
    def remote_addr(self) -> Any:
        """The peer's address: (host, port), or the path of a Unix socket."""
        return self.remote

    @property
    def local_addr(self) -> Any:
        """The address of this end."""
        if self.local is None:
            if self.closed:
                raise self.closed_error()
            self.local = self.find_local()
        return self.local

    def find_local(self) -> Any:
        return sock.local_address(self.fileno())

    def try_write(self, data: Any) -> int:
        """Writes as much of data as can be written at once; returns how many bytes. Never waits.

        0 while another goroutine writes: its bytes stay in a row. Deadlines do not matter to it.
        """
        data = octets(data)
        count: int = self.try_write_by(lambda: self.offer(data))
        return count

    def offer(self, data: Any) -> int:
        """Hands over as much of data as is taken at once; BlockingIOError, or 0, if that is nothing."""
        return self.send_some(data)

    def writev(self, buffers: Iterable[Any]) -> None:
        """Writes all of several buffers, in order, as one write: no copy is made to join them.

        An exception's `sent` tells how many bytes of them all have been sent.
        """
        views = [octets(buffer) for buffer in buffers]
        if self.fileno() < 0:
            return self.write(b"".join(views))
        raw, sent = self.raw, 0

        def send() -> bool | None:
            nonlocal sent
            count = raw.sendmsg(views[:VECTOR], (), NO_SIGNAL) if views else 0
            sent += count
            while views and count >= len(views[0]):
                count -= len(views.pop(0))
            if views:
                views[0] = views[0][count:]
            return None if views else True

        try:
            self.write_by(send)
        except BaseException as error:
            error.sent = sent  # type: ignore[attr-defined]
            raise

    def send_file(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Sends a binary file from offset on, count bytes or to its end, and returns how many bytes that was.

        The kernel copies a regular file by itself (sendfile); any other object with `read` is read and written. The
        file's position is behind what was sent, however it ends; the exception's `sent` tells it, too.
        """
        if count is not None and count < 0:
            raise ValueError(f"cannot send {count} bytes: the count must not be negative")
        progress = Progress(file, offset, count)
        if can_seek(file):
            file.seek(offset)  # which hands what was written to it to the system, too
        try:
            fd = file.fileno() if self.fileno() >= 0 and is_plain(file) and hasattr(os, "sendfile") else -1
        except (AttributeError, OSError):  # an object in memory
            fd = -1
        try:
            if fd < 0 or not self.send_by_sendfile(progress, fd):
                self.send_by_hand(progress)
        except BaseException as error:
            error.sent = progress.sent  # type: ignore[attr-defined]
            raise
        finally:
            if can_seek(file):
                file.seek(offset + progress.sent)
        return progress.sent

    def send_by_sendfile(self, progress: "Progress", fd: int) -> bool:
        """False if the kernel cannot send this one."""

        def send() -> bool | None:
            wanted = progress.next(AT_ONCE)
            if wanted == 0:
                return True
            try:
                count = os.sendfile(self.fileno(), fd, progress.offset + progress.sent, wanted)
            except OSError as error:
                if progress.sent == 0 and error.errno in NOT_BY_SENDFILE:
                    return False
                raise
            progress.sent += count
            return None if count else True

        sent: bool = self.write_by(send)
        return sent

    def send_by_hand(self, progress: "Progress") -> None:
        left = memoryview(b"")  # of what was read and not sent yet

        def send() -> Any:
            nonlocal left
            if not left and (wanted := progress.next(PIECE)):
                left = octets(progress.file.read(wanted) or b"")
            if not left:
                return True
            count = 0
            try:
                count = self.send_some(left)
            except BaseException as error:
                count = getattr(error, "sent", 0)
                raise
            finally:
                progress.sent += count
                left = left[count:]
            return None if count else BLOCKED

        self.write_by(send)

    def send_some(self, data: Any) -> int:
        """Sends some of data, inside the writing side; BlockingIOError, or 0, if nothing can be sent now."""
        return self.push(data) if isinstance(self, Layered) else self.raw.send(data, NO_SIGNAL)

    def makefile(self, mode: str = "rb", buffering: int = -1, **text: Any) -> Any:
        """A file over this connection, as socket.makefile gives one: for libraries that want a file.

        mode is "r", "w" or "rw", with "b" for bytes; text modes take open's encoding, errors and newline. Closing the
        file leaves the connection open. One goroutine at a time may use it. After a TimeoutError, of a deadline say, it
        can be read no more, as with the standard library's.
        """
        kinds = set(mode) - {"b"}
        if not kinds or kinds - {"r", "w"} or len(set(mode)) != len(mode):
            raise ValueError(f"mode {mode!r} is not known: use 'r', 'w' or 'rw', and 'b' for bytes")
        plain = ConnFile(self, kinds)
        if buffering == 0:
            if "b" not in mode:
                raise ValueError("a text file has a buffer: buffering=0 needs 'b' in the mode")
            return plain
        size = io.DEFAULT_BUFFER_SIZE if buffering < 0 else buffering
        if kinds == {"r", "w"}:
            file: Any = io.BufferedRWPair(plain, plain, size)
        else:
            file = (io.BufferedReader if kinds == {"r"} else io.BufferedWriter)(plain, size)
        return file if "b" in mode else io.TextIOWrapper(file, **text)

    def describe(self) -> str:
        if self.local is None and not self.closed:
            self.local = self.find_local()
        remote = show(self.remote)
        return f"{self.network} {show(self.local)}->{remote}" if self.local else f"{self.network} {remote}"


def is_plain(file: Any) -> bool:
    """Whether reading file gives what its descriptor has: not so with one that decompresses, say."""
    file = getattr(file, "wrapped", file)
    return isinstance(getattr(file, "raw", file), io.FileIO)


def can_seek(file: Any) -> bool:
    return hasattr(file, "seek") and (not hasattr(file, "seekable") or bool(file.seekable()))


class Progress:
    """How far a file has been sent."""

    __slots__ = ("count", "file", "offset", "sent")

    def __init__(self, file: Any, offset: int, count: int | None) -> None:
        self.file = file
        self.offset = offset
        self.count = count  # how many bytes are wanted; None for all
        self.sent = 0

    def next(self, most: int) -> int:
        """How many bytes to send now, at most so many."""
        return most if self.count is None else min(most, self.count - self.sent)


class ConnFile(io.RawIOBase):
    """The unbuffered file under what `makefile` returns."""

    __slots__ = ("conn", "kinds", "late")

    def __init__(self, conn: Conn, kinds: set[str]) -> None:
        self.conn = conn
        self.kinds = kinds
        self.late = False  # whether a read was cut short by its deadline: what the buffer above had of it is lost

    def readable(self) -> bool:
        return "r" in self.kinds

    def writable(self) -> bool:
        return "w" in self.kinds

    def fileno(self) -> int:
        return self.conn.fileno()

    def readinto(self, buffer: Any) -> int:
        if self.late:
            raise OSError("a deadline has passed in the midst of a read, which a file cannot take up again")
        try:
            return self.conn.read_into(buffer)
        except TimeoutError:
            self.late = True
            raise

    def write(self, data: Any) -> int:
        """How many bytes were sent: what ended the write early is raised by the next, for the buffer above would send
        all of data once more."""
        try:
            self.conn.write(data)
        except BaseException as error:
            sent: int = getattr(error, "sent", 0)
            if sent == 0:
                raise
            if not isinstance(error, OSError):  # which are raised again by themselves, deadlines among them
                current().throw(error)
            return sent
        return memoryview(data).nbytes
