"""os.fork: in the child the goroutine that forked goes on alone, with a loop of its own.

The others of the process do not exist there, as threads do not: nothing of them runs, no clean-up either, so that what
the parent does is not done twice. Their descriptors are open in the child, too, as after any fork. What they had
locked stays locked, and so do libc's locks when a name is being resolved at that moment: fork where that does no harm.
When the goroutine that forked ends, the child does: with status 0, that of its SystemExit, or 1 after an exception.
"""

import os
import sys
from typing import Any

from grt._core.errors import Failure
from grt._core.goroutine import Goroutine, peek
from grt._core.procs import keep_only
from grt._core.readiness import Readiness
from grt._core.sched import Proc

__all__ = ["go_on_alone"]

_left: list[list[Goroutine]] = []  # the parent's goroutines: to drop one would end it, here


def go_on_alone() -> None:
    """What a child does first."""
    proc = peek()
    if isinstance(proc, Proc):
        for handler in proc.loop.handlers():
            if isinstance(handler, Readiness):
                handler.free()
        _left.append(proc.forked(leave))
        keep_only(proc)


def leave(g: Goroutine, failure: Failure | None) -> None:
    """Ends the process as the interpreter would."""
    status = 0 if failure is None else status_of(failure)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # there is none, or nobody reads it
            pass
    os._exit(status)


def status_of(failure: Failure) -> int:
    error: Any = failure.error
    if not isinstance(error, SystemExit):
        failure.give_up()  # reports it
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1
