"""What every goroutine is doing: its state, what it waits for, its stack.

Threads: any may ask. With a GIL the asker reads what belongs to other threads by itself. Without one only a thread
itself may look at its goroutines and their frames, so it is asked to, by its loop; of one that does not answer,
because something keeps it, we tell what `living` gives and the stack that it runs on, for which faulthandler stops
all threads.
Rejected: walking frames of running threads without a GIL (they are freed under the reader's hands).
"""

import faulthandler
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from traceback import FrameSummary, StackSummary
from types import FrameType
from typing import Any, NamedTuple, TextIO

from grt._core.chan import DOES, Chan
from grt._core.goroutine import STATE_NAMES, Goroutine, peek
from grt._core.procs import procs
from grt._core.sched import Proc
from grt._core.timers import now

__all__ = [
    "RUNNING",
    "Stack",
    "dump",
    "everything",
    "in_core",
    "of_proc",
    "report",
    "stack_of_thread",
    "stacks",
    "summary",
]

PATIENCE = 0.5  # seconds that other threads have to answer, all together
RUNNING = STATE_NAMES.index("running")
OURS = ("grt._core.", "grt.debug.")  # modules whose frames say nothing about the program
FOLDERS = tuple(str(Path(__file__).parents[1] / name) for name in ("_core", "debug"))
THREAD = re.compile(r"^(?:Current thread|Thread) (0x[0-9a-f]+)")  # how faulthandler writes
FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)')


class Stack(NamedTuple):
    """One goroutine, as `stacks` found it."""

    id: int
    name: str
    state: str  # "new", "runnable", "running", "parked" or "done"
    waits_for: str | None  # in words, while it is parked
    waited: float  # seconds since it was parked, about
    started_at: tuple[str, int] | None  # file and line of its grt.go; None for a thread's own stack
    thread: str  # the name of its thread
    frames: list[FrameSummary]  # outermost first, as in a traceback; without those of grt's core

    def __str__(self) -> str:
        state = self.state
        if self.waits_for is not None:
            state += f" for {self.waited:.1f} s, {self.waits_for}"
        start = "" if self.started_at is None else ", started at {}:{}".format(*self.started_at)
        head = f"goroutine {self.id} ({self.name}) of {self.thread}, {state}{start}\n"
        return head + "".join(StackSummary.from_list(self.frames).format())


def stacks() -> list[Stack]:
    """Every goroutine of every thread, oldest first within its thread. Never parks.

    >>> import grt
    >>> g = grt.go(grt.sleep, 60)
    >>> grt.gosched()
    >>> found = grt.debug.stacks()[-1]
    >>> found.name, found.state, found.waits_for
    ('sleep', 'parked', 'in sleep')
    >>> g.cancel(); g.join()
    True

    On an interpreter without a GIL other threads are asked, which takes up to half a second if one does not answer.
    """
    return everything({})


def dump(file: TextIO | None = None) -> None:
    """Prints `stacks()` to file, by default to the standard error output."""
    print(report(stacks()), file=sys.stderr if file is None else file, flush=True)


def report(found: Iterable[Stack]) -> str:
    return "\n".join(map(str, found)).rstrip()


def everything(known: dict[Proc, list[Stack]]) -> list[Stack]:
    """The goroutines of every Proc, but for those that are known already."""
    mine = peek()
    found = dict(known)
    if isinstance(mine, Proc) and mine not in found:
        found[mine] = of_proc(mine, sys._getframe())
    others = [proc for proc in procs() if proc not in found]
    if has_gil():
        tops = sys._current_frames()
        found |= {proc: of_proc(proc, tops.get(proc.thread)) for proc in others}
    elif others:
        found |= ask(others)
    return [stack for proc in sorted(found, key=lambda proc: proc.main.id) for stack in found[proc]]


def has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def of_proc(proc: Proc, top: FrameType | None) -> list[Stack]:
    """The goroutines of proc, whose thread is at top: in that thread, or with the GIL."""
    thread = str(proc.main.name)
    moment = now()
    current = proc.current
    found = []
    for g in proc.living():
        frame = g.frame or (top if g is current else None)
        parked = STATE_NAMES[g.state] == "parked"
        on = waiting_for(g) if parked else None
        waited = max(0.0, moment - g.since) if parked else 0.0
        name, state = str(g.name), STATE_NAMES[g.state]
        found.append(Stack(g.id, name, state, on, waited, g.started_at, thread, summary(frame)))
    return found


def ask(others: list[Proc]) -> dict[Proc, list[Stack]]:
    """What the threads of others say when they are asked to look, and what can be told of those that do not."""
    answers: dict[Proc, list[Stack]] = {}
    answered = threading.Semaphore(0)

    def answer(proc: Proc) -> None:
        answers[proc] = of_proc(proc, sys._getframe())
        answered.release()

    for proc in others:
        proc.loop.call_soon(answer, proc)
    end = time.monotonic() + PATIENCE
    for _ in others:
        answered.acquire(timeout=max(0.0, end - time.monotonic()))
    found = dict(answers)
    for proc in others:
        if proc not in found:
            found[proc] = from_outside(proc)
    return found


def from_outside(proc: Proc) -> list[Stack]:
    """What another thread may know of proc without a GIL."""
    running = stack_of_thread(proc.thread)
    found = []
    for g in proc.living():
        state = g.state
        frames = running if state == RUNNING else []
        name, thread = str(g.name), str(proc.main.name)
        found.append(Stack(g.id, name, STATE_NAMES[state], None, 0.0, g.started_at, thread, frames))
    return found


def stack_of_thread(thread: int) -> list[FrameSummary]:
    """What the thread of that number runs now, outermost frame first; nothing if that is no Python."""
    if has_gil():
        return summary(sys._current_frames().get(thread))
    found: list[FrameSummary] = []
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        inside = False
        for line in file:
            if start := THREAD.match(line):
                inside = int(start[1], 16) == thread
            elif inside and (frame := FRAME.match(line)) and not frame[1].startswith(FOLDERS):
                found.append(FrameSummary(frame[1], int(frame[2]), frame[3], lookup_line=False))
    found.reverse()
    return found


def summary(frame: FrameType | None) -> list[FrameSummary]:
    """frame and those that called it, outermost first. Looks no source line up: that is for when it is printed."""
    found = []
    while frame is not None:
        if not in_core(frame):
            code = frame.f_code
            line = frame.f_lineno or code.co_firstlineno
            found.append(FrameSummary(code.co_filename, line, code.co_name, lookup_line=False))
        frame = frame.f_back
    found.reverse()
    return found


def in_core(frame: FrameType | None) -> bool:
    """Whether frame is of the core, in plain Python, whose locks and lists must not be left half-way, or of this."""
    return frame is not None and str(frame.f_globals.get("__name__")).startswith(OURS)


def waiting_for(g: Goroutine) -> str:
    """What g, which is parked, waits for, in words."""
    on = g.on
    if on is None or isinstance(on, str):
        return f"in {on or 'a wait'}"
    if isinstance(on, list):
        return "in select of " + (", ".join(case(clause.op, clause.place) for clause in on) or "nothing")
    if isinstance(on, Goroutine):
        return f"for the end of goroutine {on.id} ({on.name})"
    if isinstance(on, Chan) and g.clause is not None:
        return "in " + case(g.clause.op, on)
    return f"for {said(on)}"


def case(op: int, place: Any) -> str:
    return f"{DOES[op]} {said(place)}"


def said(thing: object) -> str:
    """repr(thing), whatever that does."""
    try:
        return repr(thing)
    except Exception as error:
        return f"<{type(thing).__name__}, whose repr raised {type(error).__name__}>"
