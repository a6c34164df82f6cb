"""Deadlock: no goroutine can ever run again, and nobody is left who could wake one.

The main thread's scheduler asks when nothing has happened for a while. What we cannot look into counts as hope:
another thread, a handler in the loop, a handler of a signal.
Invariants: threads are looked at before what they may have left in the loop, so that nothing is missed that one did
just before it ended, or began to idle.
Threads: the main thread's goroutines only; while any other thread lives there is no deadlock.
"""

import itertools
import signal
import sys
import threading
from collections.abc import Callable, Iterable

from grt._core.errors import Deadlock
from grt._core.goroutine import peek
from grt._core.netfd import NetFD
from grt._core.procs import procs, watchers
from grt._core.readiness import Readiness
from grt._core.sched import Proc
from grt.debug.stack import everything, of_proc, report

__all__ = ["deadlock", "has_news_to_come", "idle_threads", "is_outside", "sources"]

SHOWN = 20  # goroutines in the exception's message
AGAIN = 1.0  # seconds until it is worth another look when other threads live: their ends are no event of the loop
NEVER = -1.0

# Each returns the idents of threads that, now, will wake no goroutine by themselves: those of the runtime that idle.
idle_threads: list[Callable[[], Iterable[int | None]]] = []

# Each tells whether something that we cannot see from here may still wake a goroutine.
sources: list[Callable[[], bool]] = []

_on = True


def deadlock(on: bool) -> None:
    """Switches on or off that a deadlock raises grt.Deadlock in the main goroutine. It is on from the start.

    A deadlock: no goroutine of the main thread can run, no timer runs, no descriptor is waited for, and there is no
    other thread, no handler in the event loop and no handler of a signal. A thread that is not Python's (a C
    library's own) cannot be seen: a program that waits for one switches this off.
    """
    global _on
    _on = on
    for proc in procs():
        if proc.thread == threading.main_thread().ident:
            proc.on_silence = look if on else None


def watch(proc: Proc) -> None:
    if _on and threading.current_thread() is threading.main_thread():
        proc.on_silence = look


def look() -> float:
    """What the scheduler calls when all is silent: ends a deadlock. Returns when to look again, seconds."""
    proc = peek()
    if not isinstance(proc, Proc):
        return NEVER
    try:
        if others_live():
            return AGAIN
        if not hope(proc):
            proc.main.throw(Deadlock(message(proc)))
            return 0.0
    except BaseException as error:  # of a signal's handler
        proc.main.throw(error)
    return NEVER


def others_live() -> bool:
    alive: set[int | None] = {thread.ident for thread in threading.enumerate()}
    alive.update(sys._current_frames())
    alive.discard(threading.get_ident())
    return bool(alive.difference(*(idle() for idle in idle_threads)))


def hope(proc: Proc) -> bool:
    """Whether, without other threads, any goroutine of proc, the main thread's, may still run."""
    return (
        any(source() for source in sources)
        or any(map(is_program_s, map(signal.getsignal, signal.valid_signals())))
        or has_news_to_come(proc)
    )


def has_news_to_come(proc: Proc) -> bool:
    """Whether the loop of proc, the calling thread's, may still wake a goroutine."""
    return (
        any(not isinstance(handler, Readiness) for handler in proc.loop.handlers())
        or any(is_outside(g.on) for g in proc.living())
        or bool(proc.loop.soon or proc.loop.timers)
    )


def is_outside(on: object) -> bool:
    """Whether it is a descriptor that a goroutine waits for, and not something between goroutines."""
    return isinstance(on, NetFD) and on.fileno() >= 0


def is_program_s(handler: object) -> bool:
    """Whether a signal's handler is the program's own: it might wake anybody."""
    if not callable(handler) or handler is signal.default_int_handler:
        return False
    return not str(getattr(handler, "__module__", "")).startswith("grt.")


def message(proc: Proc) -> str:
    found = everything({proc: of_proc(proc, sys._getframe())})
    more = f"\n... and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    shown = report(itertools.islice(found, SHOWN))
    return f"all goroutines are asleep, and nobody is left who could wake one:\n\n{shown}{more}"


watchers.append(watch)
