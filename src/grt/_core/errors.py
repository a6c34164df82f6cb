"""The exceptions that grt adds to Python's own, and what left a goroutine by exception.

Threads: a Failure is made by the goroutine's thread, dropped by whichever has the last reference.
"""

import atexit
import weakref
from collections.abc import Callable
from typing import Any

__all__ = [
    "Cancelled", "Closed", "Deadlock", "Failure", "TooLong", "async_error", "line_of", "refuse_async", "set_reporter",
]  # fmt: skip

CO_COROUTINE = 0x80  # of code.co_flags, as inspect has it, which is large


class Closed(Exception):
    """The connection, listener or channel was closed, here, by this program. (The peer's closing is b"".)"""

    __module__ = "grt"


class Cancelled(BaseException):
    """Raised by the blocking call in which a goroutine was when somebody called its `cancel()`.

    Not an Exception, so that `except Exception` around a request does not swallow it: clean up and let it pass.
    """

    __module__ = "grt"


class TooLong(ValueError):
    """No end of a line, or other delimiter, came within the limit. Nothing was taken: it can be read with another."""

    __module__ = "grt"


class Deadlock(RuntimeError):
    """No goroutine can ever run again: raised in the main goroutine, with what each of them waits for."""

    __module__ = "grt"


class Failure:
    """An exception that left a goroutine: reported when it is dropped before anyone has taken it by `result`."""

    __slots__ = ("__weakref__", "error", "report", "trace")

    def __init__(self, error: BaseException, report: "tuple[Any, ...] | None") -> None:
        self.error = error
        self.trace = error.__traceback__  # as far as it had come: each time that it is raised again begins here
        self.report = report  # what the Proc's reporter is called with; None once it need not be
        if report is not None:
            _kept.add(self)

    def __del__(self) -> None:
        self.give_up()

    def give_up(self) -> None:
        """Reports it, unless somebody has taken it."""
        report, self.report = self.report, None
        if report is not None and reporter is not None:
            reporter(self.error, *report)


_kept: "weakref.WeakSet[Failure]" = weakref.WeakSet()  # those that may still be taken


def report_kept() -> None:
    """At the end of the program nobody will ask any more, and later there may be nothing left to print with."""
    for failure in list(_kept):
        failure.give_up()


def refuse_async(fn: Any) -> None:
    """Raises TypeError for a function that only makes a coroutine when it is called: nothing would come of it."""
    code = getattr(fn, "__code__", None)
    if code is not None and code.co_flags & CO_COROUTINE:
        raise async_error(repr(fn))


def async_error(name: str) -> TypeError:
    return TypeError(f"{name} is an async function, which grt does not run: write it without async and await")


# Called with (error, goroutine's name, its id, (file, line) of its start) for an exception nobody took. Set from above.
reporter: Callable[..., object] | None = None


def set_reporter(report: Callable[..., object]) -> None:
    global reporter
    reporter = report


def line_of(code: Any, offset: int) -> "tuple[str, int] | None":
    """(file, line) of an offset in code, None for none."""
    if code is None:
        return None
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return code.co_filename, line
    return code.co_filename, code.co_firstlineno


atexit.register(report_kept)
