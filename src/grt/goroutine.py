"""Programs of goroutines: `run`, Ctrl-C, and what happens to an exception that nobody takes.

The scheduler below knows nothing of signals, of printing, or of how a program ends; that is here.
Threads: `run` concerns the calling thread's goroutines only.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import CoroutineType, FrameType
from typing import Any, NamedTuple, TypeVar

from grt._core.errors import async_error, set_reporter
from grt._core.go import gosched
from grt._core.goroutine import here
from grt._core.procs import Fleet
from grt._core.sched import Proc
from grt.debug import leaks, quit
from grt.fork import go_on_alone
from grt.parallel import default_procs, members, resize, settle_down

__all__ = ["Uncaught", "current_loop", "excepthook", "run"]

T = TypeVar("T")


class Uncaught(NamedTuple):
    """What `grt.excepthook` is told."""

    error: BaseException
    name: str  # the goroutine's
    id: int
    started_at: tuple[str, int] | None  # file and line of its `grt.go`


def excepthook(uncaught: Uncaught) -> None:
    """Prints an exception that left a goroutine and that nobody took by `result`. Assign grt.excepthook to replace it.

    It is called when the exception can no longer be taken, and must not block.
    """
    where = ", started at {}:{},".format(*uncaught.started_at) if uncaught.started_at else ""
    print(f"grt: goroutine {uncaught.id} ({uncaught.name}){where} was ended by an exception:", file=sys.stderr)
    error = uncaught.error
    traceback.print_exception(type(error), error, error.__traceback__)


def report(error: BaseException, name: str, id: int, started_at: tuple[str, int] | None) -> None:
    """What the scheduler calls; looks grt.excepthook up, so that assigning it takes effect."""
    hook: Callable[[Uncaught], object] = getattr(sys.modules.get("grt"), "excepthook", excepthook)
    uncaught = Uncaught(error, name, id, started_at)
    try:
        hook(uncaught)
    except Exception as failed:
        print("grt: grt.excepthook raised", file=sys.stderr)
        traceback.print_exception(type(failed), failed, failed.__traceback__)
        excepthook(uncaught)


set_reporter(report)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=go_on_alone)


def run(main: Callable[..., T], *args: Any, procs: int | None = None) -> T:
    """Calls main(*args) and returns its value; goroutines started meanwhile and still alive are then cancelled.

    procs: how many threads the goroutines share, see `grt.procs`. By default, on an interpreter without a GIL, as many
    as there are usable cores, and 1 with a GIL; GRT_PROCS in the environment says otherwise.

    While it runs, Ctrl-C raises KeyboardInterrupt in main, whichever goroutine is running, but never in the midst of
    grt's own code: then main's next blocking call raises it. A second Ctrl-C, while the cancelled goroutines clean up,
    abandons them. Ctrl-\\ (SIGQUIT) prints every goroutine's stack, and the program goes on (see `grt.debug.sigquit`).
    """
    if not callable(main):
        raise TypeError(f"grt.run needs a function and its arguments, grt.run(main, x), but got {main!r}")
    proc: Any = here()
    if proc.current is not proc.main:
        raise RuntimeError(
            "grt.run is for the program's start: in a goroutine call the function, or start it with grt.go"
        )
    before = set(proc.living())
    several = resize(proc, default_procs() if procs is None else procs)
    handler = interrupt_main(proc)
    quits = quit.hold()
    try:
        try:
            value = main(*args)
            if isinstance(value, CoroutineType):
                value.close()
                raise async_error(repr(main))
            return value
        finally:
            wind_up(proc, before, several)
    finally:
        if quits:
            quit.release()
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
            if proc.main.interrupted:  # in the lines above, which are not interrupted: see on_sigint
                gosched()


def wind_up(proc: Proc, spared: set[Any], several: int) -> None:
    """Ends what run has started, in every thread, and makes the threads several again."""
    calm = False
    try:
        if isinstance(proc.others, Fleet):
            proc.others.open = False  # so that none is overlooked because it is on its way to another thread
        leaks.at_end_of_run(others(proc, spared))
        cancel_all(proc, spared)
        calm = True
    finally:
        settle_down(proc, several, calm)


def cancel_all(proc: Proc, spared: set[Any]) -> None:
    """Cancels the goroutines that are not spared, and waits for their end and that of those they start meanwhile."""
    while found := others(proc, spared):
        for g in found:
            g.cancel()
        for g in found:
            g.join()


def others(proc: Proc, spared: set[Any]) -> list[Any]:
    """The goroutines of proc and those it shares its work with, but for those spared and the threads' own stacks."""
    found = [(g, member) for member in members(proc) for g in member.living()]
    return [g for g, member in found if g not in spared and g is not member.main]


def interrupt_main(proc: Proc) -> Any:
    """Makes Ctrl-C the main goroutine's; returns the handler it replaced, None if it was not Python's default."""
    if threading.current_thread() is not threading.main_thread():
        return None
    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        return None

    def on_sigint(signum: int, frame: FrameType | None) -> None:
        main = proc.main
        module = module_of(frame)
        if module.startswith("grt._core."):  # the pure build's, which may be holding the lock that `throw` takes
            proc.loop.call_soon(main.throw, KeyboardInterrupt())
            return
        ours = module.startswith("grt.")  # it may hold a lock, or be half-way through a change
        stubborn = main.interrupted  # it has not got to the last one yet: somebody keeps the thread, and is stopped
        if not ours and (stubborn or (proc.current is main and proc.interruptible)):
            raise KeyboardInterrupt
        main.throw(KeyboardInterrupt())

    signal.signal(signal.SIGINT, on_sigint)
    return previous


def module_of(frame: FrameType | None) -> str:
    """The name of the module whose code frame runs; "" for none."""
    return frame.f_globals.get("__name__", "") if frame is not None else ""


def current_loop() -> Any:
    """The calling thread's EventLoop, which its scheduler turns while goroutines wait: for callbacks beside them."""
    return here().loop
