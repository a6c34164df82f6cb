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

    __slots__ = ("__weakref__", "_file", "_turn")

    def __init__(self, file: Any) -> None:
        self._file = file
        self._turn = Mutex()  # whose turn it is

    @property
    def wrapped(self) -> Any:
        """Python's file object."""
        return self._file

    def _call(self, fn: Callable[..., Any], *args: Any) -> Any:
        with self._turn:
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
        """The lines, read many at a time."""
        while lines := self.readlines(BATCH):
            yield from lines

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
