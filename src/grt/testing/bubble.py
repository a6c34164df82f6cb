"""Bubbles: stretches of a test in which time is virtual and jumps when every goroutine waits.

Invariants: a bubble has a Proc of its own, on the stack that enters it, so goroutines from outside do not run before it
ends, and none of its own outlives it. Its clock moves only when nothing in it can run and none of its goroutines waits
for something outside, a descriptor or a call of grt.blocking.
Threads: the one that enters it; another one's clock is the system's.
Rejected: a virtual clock for the thread's own Proc (what was started before would live in two times).
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from grt._core.errors import Deadlock
from grt._core.goroutine import enter, peek, set_proc
from grt._core.sched import Proc
from grt._core.semaphore import WaitQueue
from grt._core.timers import deadline_of, set_clock, virtual_now
from grt.debug.silence import is_outside, message
from grt.offload import Call

__all__ = ["bubble"]

NEVER = deadline_of(None)
EPOCH = 946684800  # of time.time: 2000-01-01 00:00 UTC, where Go's bubbles begin too
VAIN = 10_000  # jumps of the clock after which nobody ran: tickers that nobody receives from

CLOCKS = {name: getattr(time, name) for name in ("monotonic", "perf_counter", "time")}
NS_CLOCKS = {name: getattr(time, name) for name in ("monotonic_ns", "perf_counter_ns", "time_ns")}
_guard = threading.Lock()  # guards the count
_bubbles = 0  # of all threads


class bubble:
    """Makes time virtual inside: it jumps to the next timer when every goroutine waits, so nothing is waited for.

    >>> import time, grt
    >>> with bubble():
    ...     before = time.monotonic()
    ...     grt.sleep(3600)
    ...     time.monotonic() - before
    3600.0

    It begins at 2000-01-01 00:00 UTC, with time.monotonic() at 0. What is started inside ends inside: the block waits
    for its goroutines, and cancels them when it is left by an exception. grt.Deadlock is raised where no goroutine can
    run any more and no timer runs. Goroutines from outside do not run meanwhile.

    A goroutine that waits for a connection or for grt.blocking is waited for in real time, while the clock stands
    still; not so for what other threads do to a channel or a lock. `time.time`, `time.monotonic` and
    `time.perf_counter`, and their _ns kin, show the bubble's time when they are called by these names; `time.sleep` and
    `datetime.now` know nothing of it.
    """

    __slots__ = ("_asked", "_guard", "_jumps", "_outer", "_proc", "_seen")

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards the next one
        self._asked = WaitQueue()  # who waits until all others wait
        self._proc: Any = None
        self._outer: Any = None
        self._seen = -1  # the scheduler's picks when the loop was last turned
        self._jumps = 0  # since then

    def __repr__(self) -> str:
        return f"<bubble at {id(self):#x}>"

    def __enter__(self) -> "bubble":
        if virtual_now() is not None:
            raise RuntimeError("this thread is in a bubble already, and bubbles do not nest")
        self._outer = enter().proc
        set_clock(0.0)
        fake_time()
        self._proc = Proc()
        set_proc(self._proc)
        self._proc.on_idle = self._advance
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        proc = self._proc
        try:
            if error is not None:
                for g in proc.living()[1:]:
                    g.cancel()
            while len(left := proc.living()) > 1:
                left[-1].join()
        finally:
            proc.close()
            set_proc(self._outer)
            set_clock(None)
            real_time()
            self._proc = None

    def wait(self) -> None:
        """Waits until every other goroutine of the bubble waits for time to pass, or for each other; the clock stands.

        >>> import grt
        >>> with bubble() as b:
        ...     found = []
        ...     g = grt.go(found.append, "spam")
        ...     b.wait()
        ...     found
        ['spam']
        """
        if self._proc is None or peek() is not self._proc:
            raise RuntimeError("only the goroutines of a bubble can wait for the others, while it is there")
        self._guard.acquire()
        self._asked.wait(self._guard, self, NEVER)

    def _advance(self) -> None:
        """What the scheduler calls again and again while none is runnable."""
        proc = self._proc
        if proc.picks != self._seen:
            self._seen = proc.picks
            self._jumps = 0
            proc.turn(0.0)
        elif self._asked:
            with self._guard:
                self._asked.wake_all()
        elif any(is_outside(g.on) or isinstance(g.on, Call) for g in proc.living()):
            proc.turn(-1.0)
        elif proc.loop.timers and self._jumps < VAIN:
            self._jumps += 1
            set_clock(proc.loop.timers.next_when())
            proc.turn(0.0)
        else:
            proc.main.throw(Deadlock(message(proc)))


def fake_time() -> None:
    """Lets the time module's clocks show a bubble's time in the threads that are in one."""
    global _bubbles
    with _guard:
        _bubbles += 1
        if _bubbles == 1:
            for name, clock in CLOCKS.items():
                setattr(time, name, faked(clock, EPOCH if name == "time" else 0))
            for name, clock in NS_CLOCKS.items():
                setattr(time, name, faked_ns(clock, EPOCH if name == "time_ns" else 0))


def real_time() -> None:
    global _bubbles
    with _guard:
        _bubbles -= 1
        if _bubbles == 0:
            for name, clock in (CLOCKS | NS_CLOCKS).items():
                setattr(time, name, clock)


def faked(clock: Callable[[], float], epoch: int) -> Callable[[], float]:
    def show() -> float:
        moment = virtual_now()
        return clock() if moment is None else epoch + moment

    return show


def faked_ns(clock: Callable[[], int], epoch: int) -> Callable[[], int]:
    def show() -> int:
        moment = virtual_now()
        return clock() if moment is None else epoch * 10**9 + round(moment * 1e9)

    return show
