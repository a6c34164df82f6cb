"""SIGQUIT (Ctrl-\\ on a terminal) prints every goroutine's stack, as in Go, but the program goes on.

The handler leaves the printing to a thread: the main thread may hold any lock where it was interrupted, that of the
standard error output's buffer for one.
Threads: handlers are set by the main thread only, and run in it.
"""

import _thread
import signal
import sys
import threading
from types import FrameType

from grt._core.goroutine import peek
from grt._core.sched import Proc
from grt.debug.stack import Stack, everything, has_gil, in_core, of_proc, report

__all__ = ["hold", "release", "sigquit"]

SIGQUIT: int = getattr(signal, "SIGQUIT", 0)  # 0 where the system has none

_wanted = True


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
    known: dict[Proc, list[Stack]] = {}
    proc = peek()
    if isinstance(proc, Proc) and not has_gil() and not in_core(frame):  # no other thread could look at this one
        known[proc] = of_proc(proc, frame)
    try:
        _thread.start_new_thread(print_all, (known,))
    except RuntimeError:
        pass  # the interpreter is ending, or the system has no thread left


def print_all(known: dict[Proc, list[Stack]]) -> None:
    print(f"SIGQUIT: all goroutines\n\n{report(everything(known))}", file=sys.stderr, flush=True)
