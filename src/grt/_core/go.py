"""Starting goroutines, and what a running one does by itself: give way, sleep, ask who it is.

Threads: any; a goroutine belongs to the thread that starts it.
"""

from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any

from grt._core.errors import Failure
from grt._core.goroutine import Goroutine, enter, here, new_goroutine
from grt._core.timers import moment_in

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pyswitch import (
        caller_code,
        caller_offset,
        context_copy,
        gc_hide,
        name_of,
        pool_objects,
        without_keywords,
    )

__all__ = ["current", "go", "go_for", "gosched", "sleep"]

pool_objects(Goroutine)


def go(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Goroutine:
    """Starts fn(*args, **kwargs) as a goroutine and returns it at once; it runs when the caller next blocks.

    It gets a copy of the caller's contextvars context. An exception that leaves it is reported through
    grt.excepthook, unless `result` takes it.

    >>> go("spam".upper).result()
    'SPAM'
    """
    g = prepared(fn, args, kwargs)
    g.code = caller_code()
    g.offset = caller_offset()
    g.proc.start(g)
    return g


def go_plainly(fn: Any, args: Any) -> Any:
    """`go` without keywords: what most calls are."""
    g = prepared(fn, args, None)
    g.code = caller_code()
    g.offset = caller_offset()
    g.proc.start(g)
    return g


go = without_keywords(go, go_plainly)


def go_for(
    at_end: Callable[[Goroutine, Failure | None], object] | None,
    code: CodeType,
    offset: int,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Goroutine:
    """Starts fn(*args, **kwargs) in the name of whoever called at offset of code; at_end, if any, is told of its end.

    at_end(goroutine, failure) is called in the goroutine's thread when it has ended, started or not, with the Failure
    that it ended by or None. Nothing may block there.
    """
    g = prepared(fn, args, kwargs)
    g.code = code
    g.offset = offset
    g.at_end = at_end
    g.proc.start(g)
    return g


def prepared(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Goroutine:
    """A goroutine of the calling thread that has not been started yet."""
    if not callable(fn):
        raise TypeError(f"grt.go needs a function and its arguments, grt.go(fn, x), but got {fn!r}")
    g = new_goroutine(here(), partial(fn, **kwargs) if kwargs else fn, args)
    g.context = context_copy()
    g.name = name_of(fn)
    gc_hide(g)
    return g


def gosched() -> None:
    """Lets every other runnable goroutine run first."""
    g = enter()
    g.proc.give_way(g)


def sleep(seconds: float) -> None:
    """Blocks this goroutine, and no other, for at least so many seconds; zero or less just gives way."""
    g = enter()
    end = moment_in(seconds, "sleep takes a number of seconds")
    if seconds > 0:
        g.arm("sleep")
        g.park(end)
    else:
        g.proc.give_way(g)


def current() -> Goroutine:
    """The goroutine that is running: the caller's own. A thread's own stack is one too."""
    return here().current
