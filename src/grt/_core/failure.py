"""What left a goroutine by exception, and where that goroutine was started.

Threads: made by the goroutine's thread, dropped by whichever has the last reference.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["Failure", "line_of", "set_reporter"]


class Failure:
    """An exception that left a goroutine: reported when it is dropped before anyone has taken it by `result`."""

    __slots__ = ("error", "report")

    def __init__(self, error: BaseException, report: "tuple[Any, ...] | None") -> None:
        self.error = error
        self.report = report  # what the Proc's reporter is called with; None once it need not be

    def __del__(self) -> None:
        if self.report is not None and reporter is not None:
            reporter(self.error, *self.report)


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
