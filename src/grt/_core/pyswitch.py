"""What the scheduler needs from C, in plain Python: the twin of cswitch.pxd, for the build without a C compiler.

The chunk pool has no counterpart here: a fresh greenlet costs what CPython makes it cost.
"""

import contextvars
import sys
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

from greenlet import GreenletExit
from greenlet import getcurrent as greenlet_current
from greenlet import greenlet as greenlet_new

from grt._core.pysys import failed

__all__ = [
    "arena_install",
    "call_in",
    "caller_code",
    "caller_offset",
    "context_copy",
    "gc_hide",
    "gc_show_if_kept",
    "greenlet_current",
    "greenlet_exit",
    "greenlet_kill",
    "greenlet_new",
    "greenlet_set_parent",
    "greenlet_switch",
    "greenlet_switch_or_failed",
    "name_of",
    "pool_objects",
    "proc_get",
    "proc_set",
    "raised",
    "switch_setup",
    "without_keywords",
]

context_copy = contextvars.copy_context
_thread = threading.local()


def switch_setup() -> None:
    pass


def arena_install() -> None:
    pass


def greenlet_switch(target: greenlet_new) -> None:
    target.switch()


def greenlet_switch_or_failed(target: greenlet_new) -> int:
    """As greenlet_switch, but for an exception it returns a number below 0, and `caught` gives it."""
    try:
        target.switch()
    except BaseException as error:
        failed.error = error
        return -1
    return 0


def greenlet_set_parent(child: greenlet_new, parent: greenlet_new) -> None:
    child.parent = parent


def greenlet_kill(target: greenlet_new) -> None:
    target.throw()


def greenlet_exit() -> type[BaseException]:
    exit: type[BaseException] = GreenletExit
    return exit


def name_of(fn: Any) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def gc_hide(g: object) -> None:
    """Only the compiled build can keep objects from the collector."""


def gc_show_if_kept(g: object, held: int) -> None:
    pass


def pool_objects(type: type) -> None:
    """The compiled build uses the memory of this type's objects again."""


def call_in(context: contextvars.Context, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return context.run(fn, *args)
    except BaseException as error:
        _thread.error = error
        return None


def raised() -> BaseException | None:
    error: BaseException | None = getattr(_thread, "error", None)
    _thread.error = None
    return error


def without_keywords(general: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """In the compiled build, calls of general without keywords are plain(fn, args)."""
    return general


def proc_get() -> Any:
    return getattr(_thread, "proc", None)


def proc_set(proc: Any) -> None:
    _thread.proc = proc


def caller_code() -> CodeType:
    return sys._getframe(2).f_code  # past this function and the one of the core that asks


def caller_offset() -> int:
    return sys._getframe(2).f_lasti
