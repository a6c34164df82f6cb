"""Goroutines, and the one mechanism by which anything in grt blocks.

To block, a goroutine hangs a *clause* in each place that may have news for it (a channel, a mutex, another
goroutine's end; a descriptor's side holds the goroutine itself), *arms* itself (`arm`) and *parks* (`park`). Whoever
has the news *fires* it (`fire`).

Invariants: a park has one winner, because `claim` wins only by moving the state from PARKED under the scheduler's
mutex. `fire` is called with the lock held of the place where the goroutine hangs, and a goroutine leaves that place
under the same lock before it parks again: no stale news reaches a later park. What is pending (a cancellation, an
interrupt) is set, and taken, under the scheduler's mutex: it wins the park that is going on, or the next one.
Threads: a goroutine belongs to its scheduler's thread; any thread may `fire`, `throw` and `cancel`.
Locks: a place's lock, then the scheduler's mutex; nobody switches with a lock held.
"""

import contextvars
from collections.abc import Callable
from types import CodeType
from typing import Any

from grt._core.errors import Cancelled, line_of
from grt._core.loop import EventLoop
from grt._core.timers import Timer, deadline_of, now

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pyswitch import proc_get, proc_set
    from grt._core.pysys import NEVER, mutex_lock, mutex_new, mutex_unlock

    NEW, RUNNABLE, RUNNING, PARKED, DONE = range(5)  # a goroutine's states
    NEWS, DEADLINE, THROWN = range(3)  # what won a park
    NOTHING, PASSED, CLOSED, AGAIN = range(4)  # what a clause was told
    TURNING, COLLECTING, ENDED, LEAVING = 1, 2, 4, 8  # why a thread's stack must not block: bits of Scheduler.busy

__all__ = [
    "Clause",
    "Goroutine",
    "Scheduler",
    "Waiters",
    "enter",
    "fire",
    "here",
    "make_runnable",
    "new_clause",
    "new_goroutine",
    "peek",
    "set_proc",
    "set_proc_factory",
]

STATE_NAMES = ("new", "runnable", "running", "parked", "done")


class Scheduler:
    """What a goroutine knows of its thread's scheduler."""

    __slots__ = ("__weakref__", "busy", "current", "ends", "loop", "mutex")

    def __init__(self) -> None:
        self.mutex = mutex_new()  # guards the states of its goroutines; nothing is called with it held
        self.ends = mutex_new()  # guards who joins its goroutines; mutex may be taken inside
        self.loop = EventLoop()
        self.busy = 0  # TURNING, COLLECTING, ENDED, LEAVING: this stack must not block now
        self.current: Goroutine | None = None  # the one that is running

    def next_id(self) -> int:
        """A number that no other goroutine of the process has or had."""
        raise NotImplementedError

    def start(self, g: "Goroutine") -> None:
        """Takes g among the living, to be run."""
        raise NotImplementedError

    def push(self, g: "Goroutine") -> None:
        """Puts g at the end of the run queue."""
        raise NotImplementedError

    def schedule(self, g: "Goroutine") -> None:
        """Runs others on this stack until g, which is current, is picked."""
        raise NotImplementedError

    def spend(self, g: "Goroutine") -> None:
        """Counts a call of g that did not have to wait; when it has had many in a row, others get their turn."""
        raise NotImplementedError

    def give_way(self, g: "Goroutine") -> None:
        """Lets every other runnable goroutine run before g, which is current, goes on."""
        raise NotImplementedError

    def below(self, n: int) -> int:
        """A random number from 0 to n - 1, each as likely."""
        raise NotImplementedError

    def obstacle(self) -> str:
        """Why this stack must not block now."""
        raise NotImplementedError


class Clause:
    """One goroutine in one place that may have news for it."""

    __slots__ = ("ahead", "behind", "g", "hung", "index", "news", "op", "place", "value")

    def prepare(self, g: "Goroutine") -> None:
        self.g = g  # who waits
        self.news = NOTHING  # PASSED or CLOSED once it was fired
        if not cython.compiled:
            self.place: Any = None  # in a select: the channel of its case
            self.hung = False  # whether it is in a queue
            self.ahead: Clause | None = None  # its neighbours there
            self.behind: Clause | None = None
            self.value: Any = None  # what it sends, or has received
            self.op = 0  # what it would do there: a channel's business
            self.index = 0  # its case's position in a select


class Waiters:
    """A queue of clauses, first come, first served; the lock of the place that it belongs to guards it.

    Hanging and unhanging are O(1): a select that loses leaves nothing behind.
    """

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first: Clause | None = None
        self.last: Clause | None = None

    def __len__(self) -> int:
        count, clause = 0, self.first
        while clause is not None:
            count += 1
            clause = clause.behind
        return count

    def hang(self, clause: Clause) -> None:
        """Puts clause at the end."""
        last = self.last
        clause.news = NOTHING
        clause.hung = True
        if last is None:
            self.first = clause
        else:
            clause.ahead = last
            last.behind = clause
        self.last = clause

    def unhang(self, clause: Clause) -> None:
        """Takes clause out; nothing if it is out already."""
        if not clause.hung:
            return
        ahead, behind = clause.ahead, clause.behind
        if ahead is None:
            self.first = behind
        else:
            ahead.behind = behind
            clause.ahead = None
        if behind is None:
            self.last = ahead
        else:
            behind.ahead = ahead
            clause.behind = None
        clause.hung = False

    def take(self) -> Clause | None:
        """Takes out the first clause whose goroutine it wins, None without any: the caller makes that one runnable."""
        while self.first is not None:
            clause = self.first
            behind = clause.behind
            self.first = behind
            if behind is None:
                self.last = None
            else:
                behind.ahead = None
                clause.behind = None
            clause.hung = False
            if claim(clause.g):  # else it has lost to a deadline, say, and its goroutine has not run yet
                return clause
        return None

    def take_all(self, news: int) -> int:
        """Tells all of them news, and takes them out; returns how many it won."""
        count = 0
        while (clause := self.take()) is not None:
            clause.news = news
            make_runnable(clause.g)
            count += 1
        return count


class Goroutine(Timer):
    """A light thread. `grt.go` starts one and returns it.

    >>> import grt
    >>> g = grt.go(max, 3, 4)
    >>> g.result()
    4

    As a Timer it is its own deadline's: the moment at which its current blocking call ends.
    """

    __slots__ = (
        "__weakref__", "alert", "args", "at_end", "clause", "code", "context", "deadline", "failed", "fn", "greenlet",
        "id", "joiners", "name", "newer", "next", "offset", "older", "on", "outcome", "pending", "proc", "scope",
        "since", "state", "winner",
    )  # fmt: skip

    def __init__(self) -> None:
        raise TypeError("goroutines are started with grt.go(fn, *args)")

    def prepare(self, proc: "Scheduler", fn: Any, args: Any) -> None:
        self.proc = proc  # whose thread runs it, for good once it has started; changed under its ends and its mutex
        self.fn = fn  # what to call, with args, in context; None once it has ended
        self.args = args
        self.id = proc.next_id()  # a number no other goroutine of the process has or had
        self.place = -1  # as a Timer: not armed
        self.deadline = NEVER  # moment at which its blocking calls end with TimeoutError
        if not cython.compiled:  # a compiled object begins with just these
            self.context: contextvars.Context | None = None
            self.name: Any = None  # what people call it
            self.code: CodeType | None = None  # what started it, at which offset
            self.offset = 0
            self.at_end: Any = None  # called in its thread when it has ended, started or not: see `go_for`
            self.greenlet: Any = None  # its stack, None before its start and after its end
            self.state = NEW
            self.next: Goroutine | None = None  # behind it in the run queue
            self.older: Goroutine | None = None  # its neighbours among the scheduler's living goroutines
            self.newer: Goroutine | None = None
            self.alert = False  # whether `check` has something to look at: pending or a deadline
            self.pending: BaseException | None = None  # to be raised in its blocking call, at once or at the next
            self.scope: Any = None  # its innermost grt.scope.Scope, whose `expiry` makes the deadline's exception
            self.on: Any = None  # what it waits for while it is parked
            self.since = 0.0  # when it was parked, about: the monotonic time of the loop's last turn
            self.winner = NEWS  # of the last park: NEWS, DEADLINE or THROWN
            self.joiners: Waiters | None = None  # who waits for its end; guarded by its scheduler's ends
            self.clause: Clause | None = None  # what it hangs by when it waits in one place only; made once
            self.outcome: Any = None  # what it returned, or the Failure if it raised
            self.failed = False

    def __repr__(self) -> str:
        return f"<Goroutine {self.id} {self.name} {STATE_NAMES[self.state]}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, by returning, raising or being cancelled."""
        return self.state == DONE

    @property
    def interrupted(self) -> bool:
        """Whether an exception waits to be raised in its next blocking call."""
        return self.pending is not None

    @property
    def started_at(self) -> "tuple[str, int] | None":
        """(file, line) of the `grt.go` that started it, None for a thread's own stack."""
        return line_of(self.code, self.offset)

    @property
    def frame(self) -> Any:
        """The innermost frame of its Python stack; None while that is the one that runs, and where it has none."""
        return None if (stack := self.greenlet) is None else stack.gr_frame  # read once: it may end meanwhile

    def cancel(self) -> bool:
        """Raises grt.Cancelled in its current blocking call, or its next. Any thread may ask; never blocks.

        Returns False when it had ended already. One that has not started never will. It may clean up before it
        ends, with blocking calls too: `join` waits for that.
        """
        return self.throw(Cancelled(f"goroutine {self.id} ({self.name}) was cancelled"))

    def throw(self, error: BaseException) -> bool:
        """Raises error in its current blocking call, or its next; of two that are still to come the first stays."""
        proc = lock_ends(self)
        mutex_lock(proc.mutex)
        mutex_unlock(proc.ends)  # it stays where it is while one of the two is held
        if self.state == DONE:
            mutex_unlock(proc.mutex)
            return False
        self.pending = error if self.pending is None else self.pending
        self.alert = True
        won = self.state == PARKED
        if won:
            self.state = RUNNABLE
            self.winner = THROWN
        mutex_unlock(proc.mutex)
        if won:
            make_runnable(self)
        return True

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, however; raises TimeoutError after timeout seconds.

        An exception that ended it is not raised here: `result` does that.
        """
        me = enter()
        if self is me:
            raise RuntimeError(f"{self!r} cannot wait for its own end")
        if self.state != DONE and not self.wait_end(me, deadline_of(timeout)):
            raise TimeoutError(f"{self!r} did not end within {timeout} s")

    def wait_end(self, me: "Goroutine", deadline: float) -> bool:
        proc = lock_ends(self)
        if self.state == DONE:
            mutex_unlock(proc.ends)
            return True
        if self.joiners is None:
            self.joiners = Waiters()
        clause = me.own_clause()
        self.joiners.hang(clause)
        me.arm(self)
        mutex_unlock(proc.ends)
        try:
            return me.park(deadline)
        finally:
            proc = lock_ends(self)
            if clause.hung:
                self.joiners.unhang(clause)
            mutex_unlock(proc.ends)

    def result(self, timeout: float | None = None) -> Any:
        """Waits until it has ended, then returns what it returned or raises what it raised.

        Raises TimeoutError after timeout seconds, and grt.Cancelled if it was cancelled.
        """
        self.join(timeout)
        if not self.failed:
            return self.outcome
        self.outcome.report = None
        raise self.outcome.error.with_traceback(self.outcome.trace)

    def check(self) -> None:
        """Raises what is pending, or TimeoutError if the deadline has passed. Every blocking call begins with it."""
        mutex_lock(self.proc.mutex)
        error = self.pending
        self.pending = None
        self.alert = self.deadline != NEVER
        mutex_unlock(self.proc.mutex)
        if error is not None:
            raise error
        if self.deadline != NEVER and now() >= self.deadline:
            raise self.scope.expiry()

    def set_deadline(self, deadline: float, scope: Any) -> None:
        """Ends every blocking call of this goroutine at deadline, with the exception that scope.expiry() gives."""
        self.deadline, self.scope = deadline, scope
        mutex_lock(self.proc.mutex)
        self.alert = self.pending is not None or deadline != NEVER
        mutex_unlock(self.proc.mutex)

    def own_clause(self) -> Clause:
        """The clause by which it waits in one place, and nowhere else."""
        if self.clause is None:
            self.clause = new_clause(self)
        return self.clause

    def arm(self, on: Any) -> None:
        """From here on `fire` can win. What is pending has won already, so that no cancellation is slept through.

        on is what it waits for, which people are told who ask what it is doing.
        """
        proc = self.proc
        self.on = on
        self.since = proc.loop.moment
        mutex_lock(proc.mutex)
        won = self.pending is not None
        self.state = RUNNABLE if won else PARKED
        self.winner = THROWN if won else NEWS
        mutex_unlock(proc.mutex)
        if won:
            proc.push(self)

    def park(self, deadline: float) -> bool:
        """Runs others until this goroutine, armed and current, is fired. Returns False if deadline came first.

        Raises what was thrown if that won, and the scope's TimeoutError when its deadline was the earlier one.
        """
        return self.settle(deadline) or self.judge(deadline)

    def settle(self, deadline: float) -> bool:
        """Runs others until the park has its winner; returns whether it is news. If not, `judge` tells what it is.

        Between the two a caller can take its clauses back without a handler, whose C frame each parked goroutine
        would keep.
        """
        if deadline == NEVER and self.deadline == NEVER:
            self.proc.schedule(self)
        else:
            timers = self.proc.loop.timers
            timers.arm(self, min(deadline, self.deadline))
            self.proc.schedule(self)
            timers.cancel(self)
        self.on = None
        return self.winner == NEWS

    def judge(self, deadline: float) -> bool:
        """Raises what ended a park that no news has ended; returns False if it was deadline."""
        if self.winner == THROWN:
            self.check()
        elif self.deadline < deadline:
            raise self.scope.expiry()
        return False

    def interrupt(self, error: BaseException) -> None:
        """Ends its own park by error, which `judge` raises."""
        self.pending = error
        self.alert = True
        self.winner = THROWN

    def expire(self) -> None:
        if fire(self):
            self.winner = DEADLINE


def new_goroutine(proc: "Scheduler", fn: Any, args: Any) -> Goroutine:
    g: Goroutine = Goroutine.__new__(Goroutine)
    g.prepare(proc, fn, args)
    return g


def new_clause(g: Goroutine) -> Clause:
    clause: Clause = Clause.__new__(Clause)
    clause.prepare(g)
    return clause


def lock_ends(g: Goroutine) -> Scheduler:
    """Locks the ends of the scheduler of g, which may be moved until it has started, and returns that one."""
    proc = g.proc
    mutex_lock(proc.ends)
    while proc is not g.proc:
        mutex_unlock(proc.ends)
        proc = g.proc
        mutex_lock(proc.ends)
    return proc


def claim(g: Goroutine) -> bool:
    """Wins the park of g, if it is parked and nobody has: then this caller, and no other, makes it runnable."""
    proc = g.proc
    mutex_lock(proc.mutex)
    won = g.state == PARKED
    if won:
        g.state = RUNNABLE
    mutex_unlock(proc.mutex)
    return won


def fire(g: Goroutine) -> bool:
    """Makes g runnable if it is parked; returns whether this call did it. Any thread may ask."""
    won = claim(g)
    if won:
        make_runnable(g)
    return won


def make_runnable(g: Goroutine) -> None:
    """Queues g, whose park the caller has won; its own thread has to do it."""
    if proc_get() is g.proc:
        g.proc.push(g)
    else:
        g.proc.loop.call_soon(g.proc.push, g)


# Makes a thread's Proc at its first use. The module above sets it, which knows what a Proc is.
proc_factory: Callable[[], Scheduler] | None = None


def set_proc_factory(factory: Callable[[], Scheduler]) -> None:
    global proc_factory
    proc_factory = factory


def set_proc(proc: Scheduler | None) -> None:
    """Makes proc, which its maker keeps alive, the calling thread's scheduler."""
    proc_set(proc)


def peek() -> Scheduler | None:
    """The calling thread's scheduler, None if it has none yet."""
    proc: Scheduler | None = proc_get()
    return proc


def here() -> Scheduler:
    """The calling thread's scheduler."""
    proc: Scheduler = proc_get()
    return proc_factory() if proc is None else proc


def enter() -> Goroutine:
    """The current goroutine, about to block: raises if it must not, was cancelled, or is past its deadline."""
    proc = here()
    if proc.busy:
        raise RuntimeError(f"cannot block here: {proc.obstacle()}")
    g = proc.current
    if g.alert:
        g.check()
    return g
