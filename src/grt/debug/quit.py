"""SIGQUIT (Ctrl-\\ on a terminal) prints every goroutine's stack, as in Go, but the program goes on.

The handler leaves the printing to a thread: the main thread may hold any lock where it was interrupted, that of the
standard error output's buffer for one. Without a GIL no other thread could look at the main one, so the handler does;
where it finds grt's core half-way (in plain Python only) the thread calls it again, until it comes at a better moment.
Threads: handlers are set by the main thread only, and run in it. One thread at a time has `_again`, which the handler
takes away when it has answered.
"""

import _thread
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from grt._core.goroutine import peek
from grt._core.sched import Proc
from grt.debug.stack import Stack, everything, has_gil, in_core, of_proc, report

__all__ = ["hold", "release", "sigquit"]

SIGQUIT: Any = getattr(signal, "SIGQUIT", 0)  # 0 where the system has none
TRIES = 100  # of the thread's, for a moment when the core is not half-way
PAUSE = 0.002  # seconds between them

_wanted = True
_again: dict[Proc, list[Stack]] | None = None  # what the handler is to fill, when it is called again for that


def sigquit(on: bool) -> None:
    """Makes SIGQUIT print all goroutines' stacks to the standard error output, at once, or no longer, nor in grt.run.

    `grt.run` in the main thread does so by itself while it runs, if SIGQUIT had no handler: Ctrl-\\ then shows what
    the program is doing instead of killing it. Ctrl-C ends it, and `kill -TERM` or -KILL what ignores that. Raises
    ValueError outside the main thread.
    """
    global _wanted
    _wanted = on
    if not SIGQUIT:
        return
    handler = signal.getsignal(SIGQUIT)
    if on and handler is not on_sigquit:
        signal.signal(SIGQUIT, on_sigquit)
    elif not on and handler is on_sigquit:
        signal.signal(SIGQUIT, signal.SIG_DFL)


def hold() -> bool:
    """Takes SIGQUIT for a run of the main thread, if nobody has it; returns whether to `release` it afterwards."""
    free = (
        SIGQUIT != 0
        and _wanted
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(SIGQUIT) is signal.SIG_DFL
    )
    if free:
        signal.signal(SIGQUIT, on_sigquit)
    return free


def release() -> None:
    if signal.getsignal(SIGQUIT) is on_sigquit:
        signal.signal(SIGQUIT, signal.SIG_DFL)


def on_sigquit(signum: int, frame: FrameType | None) -> None:
    global _again
    if _again is not None:
        if look(_again, frame):
            _again = None
        return
    known: dict[Proc, list[Stack]] = {}
    if not look(known, frame):
        _again = known
    try:
        _thread.start_new_thread(print_all, (known,))
    except RuntimeError:
        _again = None  # the interpreter is ending, or the system has no thread left


def look(known: dict[Proc, list[Stack]], frame: FrameType | None) -> bool:
    """Puts into known what only this thread, interrupted in frame, can tell; returns False to be called again."""
    proc = peek()
    if not isinstance(proc, Proc) or has_gil() or proc.loop.waiting:  # who waits in the loop answers when asked there
        return True
    if in_core(frame):
        return False
    known[proc] = of_proc(proc, frame)
    return True


def print_all(known: dict[Proc, list[Stack]]) -> None:
    global _again
    for _ in range(TRIES):
        if _again is not known:
            break
        _thread.interrupt_main(SIGQUIT)  # this calls the handler, or nobody if it is no longer set: no signal is sent
        time.sleep(PAUSE)
    else:
        _again = None
    print(f"SIGQUIT: all goroutines\n\n{report(everything(known))}", file=sys.stderr, flush=True)
