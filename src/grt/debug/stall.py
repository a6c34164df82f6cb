"""The stall watch: a goroutine that keeps its thread is reported, with its stack, while it still does.

A daemon thread looks at every scheduler now and then: how often it has picked, and when its loop last came back from
a wait. Where neither has changed, and the loop does not wait now, somebody has kept the thread meanwhile.
It is started by the first `go`, and with it the schedulers' hot paths know nothing of it.

Invariants: time counts by looks, at most twice the pace each, so that a process that was stopped, or a machine that
slept, is no stall. There is no watch across a fork: a thread less whose locks the child could miss.
Threads: `_guard` guards the watch's own thread; it reads, of other threads, numbers that may be a moment old.
Rejected: a timestamp at each switch (costs each switch); a signal (interrupts system calls of others).
"""

import atexit
import os
import threading
import time
from pathlib import Path
from traceback import FrameSummary, StackSummary

from grt._core.goroutine import peek
from grt._core.procs import procs, watchers
from grt._core.sched import Proc
from grt.debug.silence import idle_threads
from grt.debug.stack import RUNNING, stack_of_thread

__all__ = ["stall_watch"]

PACE = 0.05  # seconds between two looks, while goroutines run
IDLE_PACE = 0.5  # and when for so long nothing has happened:
QUIET = 2.0
LIBRARY = Path(os.__file__).parent
DEBUGGERS = {"bdb.py", "pdb.py", "pydevd", "_pydevd_bundle", "debugpy", "IPython"}  # files and folders in their paths
PROMPTS = (str(LIBRARY / "code.py"), str(LIBRARY / "_pyrepl"))  # where the innermost frame is then

_limit: float | None = float(os.environ.get("GRT_STALL", "0.1")) or None  # seconds; None: off
_guard = threading.Lock()  # guards the two below; only starting and ending the watch happens under it
_thread: threading.Thread | None = None
_stop = threading.Event()


def stall_watch(seconds: float | None) -> None:
    """Reports every goroutine that keeps its thread for longer than seconds, 0.1 from the start; None: none.

    The report is a warning of the logger "grt": what the goroutine was doing then, once for each time. Its thread's
    other goroutines cannot run meanwhile. Raises ValueError unless seconds is positive. GRT_STALL in the environment
    sets another limit from the start: 0 for none.
    """
    global _limit
    if seconds is not None and not isinstance(seconds, (int, float)):
        raise TypeError(f"a stall lasts a number of seconds, or None for no watch, not {seconds!r}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"a stall lasts a positive number of seconds, not {seconds!r}")
    end()
    _limit = seconds
    start()


def watch_starts(proc: Proc) -> None:
    proc.on_start = start


def start() -> None:
    """Starts the watch unless it is there. What every scheduler calls at its first `go`, and now and then."""
    global _thread, _stop
    limit = _limit
    if limit is None or _thread is not None:
        return
    with _guard:
        if _thread is None:
            _stop = threading.Event()
            thread = threading.Thread(target=watch, args=(limit, _stop), name="grt stall watch", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the system has no thread left, or the interpreter ends: the program can do without
            _thread = thread


def end() -> None:
    """Ends the watch, and lets the thread's next `go` start it again."""
    global _thread
    with _guard:
        thread, _thread = _thread, None
    _stop.set()
    if thread is not None and thread is not threading.current_thread():
        thread.join(1.0)  # it may be about to log, and the logger's lock the forking thread's
    proc = peek()
    if isinstance(proc, Proc):
        proc.renew_ids()


def forget() -> None:
    """In the child of a fork. (The watch was ended before it, but others may have started it meanwhile.)"""
    global _guard, _thread
    _guard = threading.Lock()
    _thread = None


def watch(limit: float, stop: threading.Event) -> None:
    """The life of the watch."""
    pace = min(PACE, limit / 2)
    kept: dict[Proc, tuple[tuple[int, float], float]] = {}  # as of the last look: its mark, and for how long already
    last = news = time.monotonic()  # of the last look, and of the last that saw anything happen
    while not stop.wait(pace if last - news < QUIET else IDLE_PACE):
        moment = time.monotonic()
        passed = min(moment - last, 2 * pace)
        last = moment
        before, kept = kept, {}
        for proc in procs():
            if proc.alone:
                continue
            mark, waits = mark_of(proc), proc.loop.waiting
            known, seconds = before.get(proc, (None, 0.0))
            if mark != known or waits:
                kept[proc] = mark, 0.0
                news = news if mark == known else moment
                continue
            kept[proc] = mark, seconds + passed
            news = moment
            if seconds < limit <= seconds + passed and not report(proc, mark, seconds + passed):
                kept[proc] = mark, 0.0


def mark_of(proc: Proc) -> tuple[int, float]:
    """Another one after each switch, and each wait of the loop."""
    return proc.picks, proc.loop.moment


def report(proc: Proc, mark: tuple[int, float], seconds: float) -> bool:
    """Warns of what keeps the thread of proc; returns False if that is a person, or over.

    At the prompt of a Python before 3.13 the main goroutine runs, and no Python code.
    """
    frames = stack_of_thread(proc.thread)
    running = next((g for g in proc.living() if g.state == RUNNING), None)
    if (running is proc.main and not frames) or is_person(frames) or mark != mark_of(proc):
        return False
    place = "".join(StackSummary.from_list(frames).format()).rstrip() or "  (no Python code)"
    if running is None:
        who = "A callback of the event loop"
    else:
        start = "" if running.started_at is None else ", started at {}:{},".format(*running.started_at)
        who = f"Goroutine {running.id} ({running.name}){start}"
    try:
        import logging  # not before it is needed: it takes a while to import
    except OSError:
        return False  # no descriptor is left to read it by; maybe there is at the next look

    logging.getLogger("grt").warning(
        "%s has kept %s for %.2f s, and no other goroutine of it can run meanwhile. Call what blocks or computes for "
        "long with grt.blocking(fn, *args), or let others run in between with grt.gosched(). It is here:\n%s",
        *(who, proc.main.name, seconds, place),
    )
    return True


def is_person(frames: list[FrameSummary]) -> bool:
    """Whether a thread at frames is in a debugger, or at a prompt of Python's."""
    prompts = any(frame.filename.startswith(PROMPTS) for frame in frames[-1:])
    return prompts or any(DEBUGGERS & set(Path(frame.filename).parts) for frame in frames)


def at_exit() -> None:
    stall_watch(None)


watchers.append(watch_starts)
idle_threads.append(lambda: [] if _thread is None else [_thread.ident])
atexit.register(at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=end, after_in_child=forget)
