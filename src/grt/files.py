"""Files without blocking the other goroutines: each call is made in a thread of grt.blocking's pool.

No system lets a program wait for a disk as it waits for a socket, so a thread has to. That costs some tens of
microseconds a call: read and write large pieces.
Threads: any; the goroutines that use one file take turns.
"""

import builtins
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from grt._core.semaphore import Mutex
from grt.offload import blocking

__all__ = ["File", "open", "stderr", "stdin", "stdout"]

BATCH = 65536  # bytes of lines that are read at a time


class File:
    """A file as `open` returns it, with the methods of Python's own; only the calling goroutine waits.

    One that is cancelled, or whose time is over, leaves a call to end by itself: what that reads is lost.
    """

    __slots__ = ("__weakref__", "_ahead", "_batch", "_file", "_turn")

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ahead: list[Any] = []  # lines that iteration has read and not given yet, the next one last
        self._batch = 0, 0  # where these lines begin, and how many were read at once
        self._turn = Mutex()  # whose turn it is

    @property
    def wrapped(self) -> Any:
        """Python's file object."""
        return self._file

    def _call(self, fn: Callable[..., Any], *args: Any) -> Any:
        with self._turn:
            if self._ahead:
                blocking(self._step_back)
            return blocking(fn, *args)

    def read(self, size: int = -1) -> Any:
        """Reads size characters or bytes, or all that is left."""
        return self._call(self.wrapped.read, size)

    def readline(self, size: int = -1) -> Any:
        """Reads a line, with its end."""
        return self._call(self.wrapped.readline, size)

    def readlines(self, hint: int = -1) -> list[Any]:
        """Reads lines until they have hint bytes, or all that are left."""
        lines: list[Any] = self._call(self.wrapped.readlines, hint)
        return lines

    def readinto(self, buffer: Any) -> int:
        """Reads into buffer; returns how many bytes."""
        count: int = self._call(self.wrapped.readinto, buffer)
        return count

    def __iter__(self) -> Iterator[Any]:
        """The lines. Of a file on a disk many are read at a time; any other call goes on behind the last one given."""
        return self

    def __next__(self) -> Any:
        with self._turn:
            if not self._ahead:
                blocking(self._read_ahead)
            if not self._ahead:
                raise StopIteration
            return self._ahead.pop()

    def _read_ahead(self) -> None:
        file, size, lines = self.wrapped, 0, []
        try:
            start, most = file.tell(), BATCH
        except OSError:  # a pipe; or a file of text whose readlines has been asked for some of its lines
            start, most = 0, 1
        while size < most and (line := file.readline()):
            size += len(line)
            lines.append(line)
        self._batch = start, len(lines)
        self._ahead = lines[::-1]

    def _step_back(self) -> None:
        """Makes the file's place that of the iteration."""
        start, count = self._batch
        self.wrapped.seek(start)
        for _ in range(count - len(self._ahead)):
            self.wrapped.readline()
        self._ahead = []

    def write(self, data: Any) -> int:
        """Writes all of data; returns how much that was."""
        count: int = self._call(self.wrapped.write, data)
        return count

    def writelines(self, lines: Iterable[Any]) -> None:
        """Writes all of them."""
        self._call(self.wrapped.writelines, lines)

    def flush(self) -> None:
        """Hands what was written to the system."""
        self._call(self.wrapped.flush)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves to another place; returns it."""
        place: int = self._call(self.wrapped.seek, offset, whence)
        return place

    def tell(self) -> int:
        """The place that is read or written next."""
        place: int = self._call(self.wrapped.tell)
        return place

    def truncate(self, size: int | None = None) -> int:
        """Cuts it off; returns its length."""
        length: int = self._call(self.wrapped.truncate, size)
        return length

    def fileno(self) -> int:
        """Its descriptor."""
        fd: int = self.wrapped.fileno()
        return fd

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        closed: bool = self.wrapped.closed
        return closed

    @property
    def name(self) -> Any:
        """What it was opened as."""
        return self.wrapped.name

    def close(self) -> None:
        """Flushes and closes it."""
        if not self.closed:
            self._call(self.wrapped.close)

    def __repr__(self) -> str:
        return f"<grt.File {self.wrapped!r}>"

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Standard(File):
    """One of the program's standard streams, whichever it is at the moment of the call."""

    __slots__ = ("_which",)

    def __init__(self, which: str) -> None:
        super().__init__(None)
        self._which = which

    @property
    def wrapped(self) -> Any:
        """Python's file object."""
        return getattr(sys, self._which)


stdin = Standard("stdin")
stdout = Standard("stdout")
stderr = Standard("stderr")


def open(file: Any, mode: str = "r", *args: Any, **options: Any) -> File:
    """Opens a file as Python's open does, with the same arguments; only the calling goroutine waits.

    >>> import grt, os
    >>> with grt.open(os.devnull) as file:
    ...     file.read()
    ''
    """
    return File(blocking(builtins.open, file, mode, *args, **options))
