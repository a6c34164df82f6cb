"""Several threads for the goroutines of one program: what `grt.run(procs=)` and `grt.procs` do.

The threads' Procs form a fleet (`grt._core.procs`), whose chief is the Proc of the thread that asked first. Goroutines
that have not started go to whichever has time for them; a started one never changes its thread.
Threads: a fleet is resized by one goroutine at a time, of any of its threads, under `guard`.
Rejected: threads that are no daemons (the interpreter would wait for them before it tells anybody that it ends).
"""

import atexit
import contextlib
import contextvars
import operator
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from typing import Any

from grt._core.errors import Cancelled
from grt._core.goroutine import here, peek
from grt._core.procs import Fleet
from grt._core.sched import Proc
from grt.debug.silence import has_news_to_come, idle_threads

__all__ = ["default_procs", "lock_os_thread", "members", "procs", "resize", "settle_down"]

NEVER = float("inf")
PATIENCE = 1.0  # seconds that the end of a program waits for a thread which something keeps
MOST = 1024  # Procs: each is a thread, with descriptors of its own

guard = threading.Lock()  # guards the list below, and the size of every fleet
_helpers: list["Helper"] = []  # those whose threads have not ended


class Helper:
    """A thread that a fleet has beside its chief's."""

    __slots__ = ("chief", "fleet", "joined", "proc", "thread")

    def __init__(self, fleet: Fleet, chief: Proc) -> None:
        self.fleet = fleet
        self.chief = chief
        self.proc: Any = None
        self.joined = threading.Event()  # set once it is a member
        self.thread = threading.Thread(target=self.work, name=f"grt proc of {chief.main.name}", daemon=True)

    def start(self) -> None:
        contextvars.Context().run(self.thread.start)  # where threads inherit the context, too, it is nobody's
        self.joined.wait()

    def work(self) -> None:
        """The thread's own stack: it waits, and lets goroutines run, until it is retired and they have ended."""
        self.proc = proc = here_proc()
        proc.on_silence = self.fall_silent
        self.fleet.join(proc, self.chief)
        self.joined.set()
        me = proc.main
        try:
            while not (proc.retired and proc.alone):
                me.arm("for work")
                me.park(NEVER)
        except Cancelled:  # the program ends, and waits for nobody
            pass
        finally:
            self.fleet.leave(proc)

    def fall_silent(self) -> float:
        """What the Proc calls when nothing has happened for a while: see grt.debug.silence."""
        self.proc.silent = not has_news_to_come(self.proc)
        return -1.0

    def end(self) -> None:
        """Ends the thread now, and its goroutines where they are parked."""
        self.proc.main.throw(Cancelled("the program ends"))


def procs(n: int | None = None) -> int:
    """How many threads the goroutines of the calling one share; with n, makes it n and returns what it was.

    More threads make use of more cores on an interpreter without a GIL; with one they only take turns. Goroutines that
    have not started go where there is time for them; a started one never changes its thread. When n is smaller than
    before, the threads that are too many start nothing any more, and end when their goroutines have. Raises ValueError
    unless n is positive. `grt.run(main, procs=n)` does the same for as long as it runs.

    >>> import grt
    >>> grt.procs()
    1
    """
    if n is None:
        return sum(not member.retired for member in members(here_proc()))
    return resize(here_proc(), n)


def default_procs() -> int:
    """How many Procs a program has that does not say: GRT_PROCS, or without a GIL one for each usable core, else 1."""
    wanted = os.environ.get("GRT_PROCS", "")
    if not wanted:
        return len(os.sched_getaffinity(0)) if not has_gil() and hasattr(os, "sched_getaffinity") else 1
    try:
        return checked(int(wanted))
    except ValueError:
        raise ValueError(f"GRT_PROCS is the number of threads, at least 1, not {wanted!r}") from None


@contextlib.contextmanager
def lock_os_thread() -> Iterator[None]:
    """Inside its block no other goroutine starts in the calling one's thread: `with grt.lock_os_thread():`.

    A started goroutine stays in its thread anyway. This is for one that changes the thread itself (a C library's state,
    its priority, its affinity): with `grt.procs` above 1 new goroutines start in other threads meanwhile. Those that
    have started in this one go on there, and where there is no other thread new ones start here all the same. It nests.
    """
    proc = here_proc()
    proc.locked += 1
    try:
        yield
    finally:
        proc.locked -= 1


def members(proc: Proc) -> list[Proc]:
    """The Procs that proc shares its work with, itself among them."""
    fleet = proc.others
    return list(fleet.members) if isinstance(fleet, Fleet) else [proc]


def resize(proc: Proc, n: int) -> int:
    """Makes it n Procs that proc shares its work with; returns how many it was."""
    checked(n)
    if n > 1 and has_gil() and sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise RuntimeError(
            f"{n} procs would take turns: this interpreter can do without a GIL, but something has switched it on, as "
            "a rule the import of an extension that is not made for it. Import no such extension, or set PYTHON_GIL=0"
        )
    with guard:
        fleet = proc.others
        if not isinstance(fleet, Fleet):
            if n == 1:
                return 1
            fleet = Fleet(proc)
        serving = [member for member in fleet.members if not member.retired]
        for member in serving[n:]:
            fleet.retire(member)
        for _ in range(n - len(serving)):
            helper = Helper(fleet, proc.chief)
            helper.start()
            _helpers.append(helper)
        _helpers[:] = [helper for helper in _helpers if helper.thread.is_alive()]
        return len(serving)


def settle_down(proc: Proc, n: int, wait: bool) -> None:
    """Makes it n Procs again for proc, a chief, at the end of `grt.run`: what it has started has ended, or is given up.

    wait: lets the threads that are too many end by themselves; else they end now.
    """
    fleet = proc.others
    if not isinstance(fleet, Fleet):
        return
    resize(proc, n)
    with guard:
        leaving = [helper for helper in _helpers if helper.fleet is fleet and helper.proc.retired]
    for helper in leaving:
        if not wait:
            helper.end()
        helper.thread.join(None if wait else PATIENCE)
    fleet.open = True
    if n == 1:
        fleet.leave(proc)


def checked(n: int) -> int:
    if not 1 <= operator.index(n) <= MOST:
        raise ValueError(f"procs is how many threads share the goroutines, from 1 to {MOST}, not {n}")
    return n


def here_proc() -> Proc:
    proc = here()
    assert isinstance(proc, Proc)
    return proc


def has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def silent_threads() -> list[int | None]:
    """Those that nothing but another goroutine can wake: see grt.debug.silence."""
    return [
        helper.thread.ident
        for helper in list(_helpers)
        if (proc := helper.proc) is not None and proc.silent and not proc.fresh and not proc.loop.soon
    ]


def end_all() -> None:
    """At the end of the program, before the chief's goroutines are taken down."""
    with guard:
        left = list(_helpers)
    for helper in left:
        helper.end()
    for helper in left:
        helper.thread.join(PATIENCE)
    proc = peek()
    if isinstance(proc, Proc) and isinstance(proc.others, Fleet):
        proc.others.leave(proc)


def forget() -> None:
    """In the child of a fork, which has no such threads."""
    global guard
    guard = threading.Lock()
    _helpers.clear()


idle_threads.append(silent_threads)
atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)
