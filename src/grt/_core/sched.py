"""The scheduler: goroutines of one thread, and the one mechanism by which anything in grt blocks.

To block, a goroutine *arms* itself (`arm`), hangs itself where the news will come from (a descriptor's side, another
goroutine's end), and *parks* (`park`). Whoever has the news *fires* it (`fire`). There is no hub: a goroutine that
parks picks the next runnable one on its own stack and switches straight to it; when none is runnable it turns the
event loop itself, and if the news is its own it just returns.

Invariants: a park has one winner, because `fire` wins only by moving the state from PARKED under the Proc's mutex.
`fire` is called with the lock held of the place where the goroutine hangs, and a goroutine leaves that place under
the same lock before it parks again: no stale news reaches a later park. A started goroutine never changes thread.
Nothing that is in the run queue is parked. The loop is turned when nothing is runnable, and every 61st pick.
Threads: a Proc and its goroutines belong to its thread; any thread may `fire` and `cancel`.
Locks: a place's lock, then the Proc's mutex; nobody switches with a lock held.
Rejected: a hub greenlet (two switches per wake-up); a greenlet per goroutine (13 us instead of 0.1).
"""

import gc
import itertools
import threading
from collections.abc import Callable
from math import inf
from types import CoroutineType
from typing import Any

from grt._core.errors import Cancelled
from grt._core.loop import EventLoop
from grt._core.timers import Timer

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pymutex import mutex_lock, mutex_new, mutex_unlock
    from grt._core.pyswitch import (
        arena_install,
        call_in,
        caller_code,
        caller_offset,
        context_copy,
        greenlet_current,
        greenlet_exit,
        greenlet_new,
        greenlet_set_parent,
        greenlet_switch,
        name_of,
        proc_get,
        proc_set,
        switch_setup,
    )
    from grt._core.pysys import now

    NEW, RUNNABLE, RUNNING, PARKED, DONE = range(5)  # a goroutine's states
    TURNING, COLLECTING, ENDED = 1, 2, 4  # why a Proc's stack must not block: bits of Proc.busy
    POLL_EVERY = 61  # picks between two polls while goroutines are runnable, as in Go
    BUDGET = 128  # calls that may succeed at once before the caller gives way, so that a flood starves nobody
    MAX_IDLE = 1024  # worker greenlets kept for reuse, about 6 KB each

__all__ = ["Goroutine", "Proc", "current", "deadline_of", "enter", "fire", "go", "gosched", "here", "sleep"]

switch_setup()
arena_install()

STATE_NAMES = ("new", "runnable", "running", "parked", "done")
_GreenletExit = greenlet_exit()


class Alarm(Timer):
    """Fires a parked goroutine when its deadline comes."""

    __slots__ = ("goroutine",)

    def __init__(self, goroutine: "Goroutine") -> None:
        self.place = -1
        self.goroutine = goroutine

    def expire(self) -> None:
        self.goroutine.late = fire(self.goroutine)


class Failure:
    """An exception that left a goroutine: reported when it is dropped before anyone has taken it by `result`."""

    __slots__ = ("error", "report")

    def __init__(self, error: BaseException, report: "tuple[Any, ...] | None") -> None:
        self.error = error
        self.report = report  # what the Proc's reporter is called with; None once it need not be

    def __del__(self) -> None:
        if self.report is not None and reporter is not None:
            reporter(self.error, *self.report)


# Called with (error, goroutine's name, its id, where it was started) for an exception nobody took. The layer above sets it.
reporter: Callable[..., object] | None = None


def set_reporter(report: Callable[..., object]) -> None:
    global reporter
    reporter = report


class Goroutine:
    """A light thread. `grt.go` starts one and returns it.

    >>> g = go(max, 3, 4)
    >>> g.result()
    4
    """

    __slots__ = (
        "__weakref__",
        "alarm",
        "alert",
        "args",
        "code",
        "context",
        "deadline",
        "failure",
        "fn",
        "greenlet",
        "id",
        "joiners",
        "kwargs",
        "late",
        "name",
        "newer",
        "next",
        "offset",
        "older",
        "pending",
        "proc",
        "scope",
        "state",
        "value",
    )

    def __init__(self) -> None:
        raise TypeError("goroutines are started with grt.go(fn, *args)")

    def prepare(self, proc: "Proc", fn: Any, args: Any, kwargs: Any) -> None:
        self.proc = proc  # whose thread runs it, for good once it has started
        self.fn = fn  # what to call, with args and kwargs, in context; None once it has ended
        self.args = args
        self.kwargs = kwargs
        self.id = proc.next_id()  # a number no other goroutine of the process has or had
        self.deadline = inf  # moment at which its blocking calls end with TimeoutError
        if not cython.compiled:  # a compiled object begins with just these
            self.context = None
            self.name = None  # what people call it
            self.code = None  # what started it, at which offset
            self.offset = 0
            self.greenlet = None  # its stack, None before its start and after its end
            self.state = NEW
            self.next = None  # behind it in the run queue
            self.older = None  # its neighbours among the Proc's living goroutines
            self.newer = None
            self.alert = False  # whether `check` has something to look at: pending or a deadline
            self.pending = None  # the exception to raise in its blocking call, at once or at the next
            self.scope = None  # the grt.timeout that set the deadline
            self.alarm = None  # its timer, made at its first timed wait and reused
            self.late = False  # whether the last park was won by the alarm
            self.joiners = None  # who waits for its end, in order; guarded by proc.ends
            self.value = None  # what it returned
            self.failure = None  # what it raised

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

    def cancel(self) -> bool:
        """Raises grt.Cancelled in its current blocking call, or its next. Any thread may ask; never blocks.

        Returns False when it had ended already. One that has not started never will. It may clean up before it
        ends, with blocking calls too: `join` waits for that.
        """
        return self.throw(Cancelled(f"goroutine {self.id} ({self.name}) was cancelled"))

    def throw(self, error: BaseException) -> bool:
        """Raises error in its current blocking call, or its next; of two that are still to come the first stays."""
        if self.state == DONE:
            return False
        if self.pending is None:
            self.pending = error
        self.alert = True
        fire(self)
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
        proc = self.proc
        mutex_lock(proc.ends)
        if self.state == DONE:
            mutex_unlock(proc.ends)
            return True
        if self.joiners is None:
            self.joiners = {}
        self.joiners[me] = None
        me.arm()
        mutex_unlock(proc.ends)
        try:
            return me.park(deadline)
        finally:
            mutex_lock(proc.ends)
            if self.joiners is not None:
                self.joiners.pop(me, None)
            mutex_unlock(proc.ends)

    def result(self, timeout: float | None = None) -> Any:
        """Waits until it has ended, then returns what it returned or raises what it raised.

        Raises TimeoutError after timeout seconds, and grt.Cancelled if it was cancelled.
        """
        self.join(timeout)
        failure = self.failure
        if failure is None:
            return self.value
        failure.report = None
        raise failure.error

    def check(self) -> None:
        """Raises what is pending, or TimeoutError if the deadline has passed. Every blocking call begins with it."""
        error = self.pending
        if error is not None:
            self.pending = None
            self.alert = self.deadline != inf
            raise error
        if self.deadline != inf and now() >= self.deadline:
            raise self.scope.expiry()

    def set_deadline(self, deadline: float, scope: Any) -> None:
        """Ends every blocking call of this goroutine at deadline, with the exception that scope.expiry() gives."""
        self.deadline = deadline
        self.scope = scope
        self.alert = self.pending is not None or deadline != inf

    def arm(self) -> None:
        """From here on `fire` can win. What is pending fires at once, so that no cancellation is slept through."""
        mutex_lock(self.proc.mutex)
        self.state = PARKED
        mutex_unlock(self.proc.mutex)
        if self.pending is not None:
            fire(self)

    def park(self, deadline: float) -> bool:
        """Runs others until this goroutine, armed and current, is fired. Returns False if its deadline came first.

        Raises what is pending, and the scope's TimeoutError when its deadline was the earlier one.
        """
        proc = self.proc
        scoped = self.deadline < deadline
        if scoped:
            deadline = self.deadline
        self.late = False
        if deadline == inf:
            proc.schedule(self)
        else:
            if self.alarm is None:
                self.alarm = Alarm(self)
            proc.loop.timers.arm(self.alarm, deadline)
            proc.schedule(self)
            proc.loop.timers.cancel(self.alarm)
            if self.late:
                if scoped:
                    raise self.scope.expiry()
                return False
        if self.pending is not None:
            self.check()
        return True


def new_goroutine(proc: "Proc", fn: Any, args: Any, kwargs: Any) -> Goroutine:
    g: Goroutine = Goroutine.__new__(Goroutine)
    g.prepare(proc, fn, args, kwargs)
    return g


def fire(g: Goroutine) -> bool:
    """Makes g runnable if it is parked; returns whether this call did it. Any thread may ask."""
    proc = g.proc
    mutex_lock(proc.mutex)
    won = g.state == PARKED
    if won:
        g.state = RUNNABLE
    mutex_unlock(proc.mutex)
    if won:
        if proc_get() is proc:
            proc.push(g)
        else:
            proc.loop.call_soon(proc.push, g)
    return won


class Proc:
    """A thread's scheduler: its run queue, its loop, its goroutines, and the greenlets that they run on."""

    __slots__ = (
        "budget",
        "busy",
        "current",
        "ends",
        "head",
        "id_end",
        "id_next",
        "idle",
        "loop",
        "main",
        "mutex",
        "newest",
        "root",
        "tail",
        "tick",
    )

    def __init__(self) -> None:
        self.mutex = mutex_new()  # guards the states of its goroutines; nothing is called with it held
        self.ends = mutex_new()  # guards who joins its goroutines; mutex may be taken inside
        self.loop = EventLoop()
        self.loop.before_wait = self.run_ready
        self.head: Goroutine | None = None  # the run queue, a list linked through Goroutine.next
        self.tail: Goroutine | None = None
        self.tick = 0  # picks since the last poll
        self.budget = BUDGET  # calls that may still succeed before the current goroutine gives way
        self.busy = 0  # TURNING, COLLECTING, ENDED: this stack must not block now
        self.id_next = 0  # its block of goroutine ids, so that threads do not meet over a counter
        self.id_end = 0
        self.idle: list[Any] = []  # worker greenlets that have nothing to run
        self.root = greenlet_current()  # the greenlet whose end is nobody's: parent of all workers
        self.main = new_goroutine(self, None, None, None)  # the thread's own stack
        self.main.name = threading.current_thread().name
        self.main.state = RUNNING
        self.main.greenlet = self.root
        self.current = self.main
        self.newest = self.main  # the living goroutines, a list linked through older and newer

    def next_id(self) -> int:
        if self.id_next == self.id_end:
            self.id_next = next(_id_blocks)
            self.id_end = self.id_next + 1024
        self.id_next += 1
        return self.id_next

    @property
    def interruptible(self) -> bool:
        """Whether the thread runs a goroutine's own code, and not the loop's."""
        return not self.busy

    def living(self) -> list[Goroutine]:
        """The goroutines that have not ended, oldest first; the thread's own stack is the first."""
        found = []
        g = self.newest
        while g is not None:
            found.append(g)
            g = g.older
        found.reverse()
        return found

    def start(self, g: Goroutine) -> None:
        """Takes g among the living, to be run."""
        newest = self.newest
        g.older = newest
        newest.newer = g
        self.newest = g
        self.push(g)

    def push(self, g: Goroutine) -> None:
        """Puts g at the end of the run queue."""
        tail = self.tail
        if tail is None:
            self.head = g
        else:
            tail.next = g
        self.tail = g

    def pick(self) -> Goroutine:
        """Takes the next runnable goroutine, turning the loop for as long as there is none."""
        self.tick += 1
        if self.tick >= POLL_EVERY:
            self.turn(0.0)
        while self.head is None:
            self.turn(-1.0)
        g = self.head
        self.head = g.next
        if self.head is None:
            self.tail = None
        else:
            g.next = None
        return g

    def turn(self, timeout: float) -> None:
        """Turns the loop. What a signal's handler raises meanwhile belongs to the main goroutine."""
        self.tick = 0
        self.busy |= TURNING
        try:
            self.loop.turn(timeout)
        except BaseException as error:
            self.main.throw(error)
        finally:
            self.busy &= ~TURNING

    def schedule(self, g: Goroutine) -> None:
        """Runs others on this stack until g, which is current, is picked."""
        # A goroutine is whatever greenlet parks in its name: programs may use greenlets of their own inside it.
        g.greenlet = greenlet_current()
        n = self.pick()
        if n is g:
            g.state = RUNNING
            self.budget = BUDGET
        else:
            self.resume(n)

    def resume(self, n: Goroutine) -> None:
        """Switches to n; returns when somebody switches back."""
        if n.proc is not self:
            raise RuntimeError(f"{n!r} belongs to another thread and cannot be run in this one")
        self.current = n
        self.budget = BUDGET
        n.state = RUNNING
        if n.greenlet is None:
            n.greenlet = self.idle.pop() if self.idle else greenlet_new(self.work, self.root)
        greenlet_switch(n.greenlet)

    def work(self) -> None:
        """The life of a worker greenlet: runs the current goroutine, then the next that has no stack yet, in place."""
        me = greenlet_current()
        while True:
            self.execute(self.current)
            n = self.pick()
            if n.greenlet is None:
                n.greenlet = me
                n.state = RUNNING
                self.current = n
                self.budget = BUDGET
            elif len(self.idle) < MAX_IDLE:
                self.idle.append(me)
                self.resume(n)
            else:  # a greenlet that ends switches to its parent
                greenlet_set_parent(me, n.greenlet)
                n.state = RUNNING
                self.current = n
                self.budget = BUDGET
                return

    def execute(self, g: Goroutine) -> None:
        """Calls what g is to call, keeps its outcome, ends it."""
        try:
            if g.alert:
                g.check()
            g.value = call_in(g.context, g.fn, g.args, g.kwargs)
            if isinstance(g.value, CoroutineType):
                raise_for_coroutine(g)
        except _GreenletExit:  # the thread or the interpreter is ending: nothing must be run any more
            self.busy |= ENDED
            raise
        except BaseException as error:
            self.fail(g, error)
        g.fn = None
        g.args = None
        g.kwargs = None
        g.context = None
        self.finish(g)

    def fail(self, g: Goroutine, error: BaseException) -> None:
        """Keeps what left g. The end of the program is the main goroutine's business, cancellation nobody's."""
        if isinstance(error, Cancelled):
            g.failure = Failure(error, None)
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            g.failure = Failure(error, None)
            self.main.throw(error)
        else:
            g.failure = Failure(error, (g.name, g.id, g.started_at))

    def finish(self, g: Goroutine) -> None:
        """Takes g from the living and fires who waits for its end."""
        mutex_lock(self.ends)
        g.state = DONE
        joiners = g.joiners
        g.joiners = None
        if joiners is not None:
            for joiner in joiners:
                fire(joiner)
        mutex_unlock(self.ends)
        g.greenlet = None
        g.alarm = None
        g.older.newer = g.newer  # the main goroutine is older than all
        if g.newer is None:
            self.newest = g.older
        else:
            g.newer.older = g.older
        g.older = None
        g.newer = None

    def spend(self, g: Goroutine) -> None:
        """Counts a call of g that did not have to wait; when it has had many in a row, others get their turn."""
        self.budget -= 1
        if self.budget <= 0:
            self.give_way(g)

    def give_way(self, g: Goroutine) -> None:
        g.state = RUNNABLE
        self.push(g)
        self.schedule(g)

    def run_ready(self) -> bool:
        """Lets the runnable goroutines run when the current one turns the loop by itself; true if some still are."""
        if self.head is not None and not self.busy:
            self.give_way(self.current)
        return self.head is not None

    def obstacle(self) -> str:
        """Why this stack must not block now."""
        if self.busy & ENDED:
            return "its thread is ending"
        if self.busy & COLLECTING:
            return "this is a finalizer, run by the garbage collector in the midst of something else"
        return "this is a callback of the event loop; start a goroutine for it with grt.go"

    def close(self) -> None:
        """The thread ends: its goroutines are dropped where they are parked, and the loop's descriptors given back."""
        self.busy |= ENDED
        self.loop.before_wait = None
        self.loop.close()
        self.idle.clear()
        self.head = None
        self.tail = None
        g = self.newest
        while g is not None:
            g.greenlet = None
            g = g.older


_id_blocks = itertools.count(0, 1024)
_thread = threading.local()


class ThreadEnd:
    """Kept in a thread's locals, so that its going tells that the thread has ended."""

    __slots__ = ("proc",)

    def __init__(self, proc: Proc) -> None:
        self.proc = proc

    def __del__(self) -> None:
        self.proc.close()
        if proc_get() is self.proc:
            proc_set(None)


def here() -> Proc:
    """The calling thread's Proc, made at its first use."""
    proc: Proc = proc_get()
    if proc is None:
        proc = Proc()
        proc_set(proc)
        _thread.end = ThreadEnd(proc)
    return proc


def enter() -> Goroutine:
    """The current goroutine, about to block: raises if it must not, was cancelled, or is past its deadline."""
    proc = here()
    if proc.busy:
        raise RuntimeError(f"cannot block here: {proc.obstacle()}")
    g = proc.current
    if g.alert:
        g.check()
    return g


def go(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Goroutine:
    """Starts fn(*args, **kwargs) as a goroutine and returns it at once; it runs when the caller next blocks.

    It gets a copy of the caller's contextvars context. An exception that leaves it is reported through
    grt.excepthook, unless `result` takes it.

    >>> go("spam".upper).result()
    'SPAM'
    """
    if not callable(fn):
        raise TypeError(f"grt.go needs a function and its arguments, grt.go(fn, x), but got {fn!r}")
    proc = here()
    g = new_goroutine(proc, fn, args, kwargs or None)
    g.context = context_copy()
    g.name = name_of(fn)
    g.code = caller_code()
    g.offset = caller_offset()
    proc.start(g)
    return g


def gosched() -> None:
    """Lets every other runnable goroutine run first."""
    g = enter()
    g.proc.give_way(g)


def sleep(seconds: float) -> None:
    """Blocks this goroutine, and no other, for at least so many seconds; zero or less just gives way."""
    g = enter()
    if seconds > 0:
        deadline = deadline_of(seconds)
        g.arm()
        g.park(deadline)
    elif seconds <= 0:
        g.proc.give_way(g)
    else:
        raise ValueError(f"cannot sleep for {seconds} seconds")


def current() -> Goroutine:
    """The goroutine that is running: the caller's own. A thread's own stack is one too."""
    return here().current


def deadline_of(timeout: float | None) -> float:
    """The moment at which a timeout in seconds from now is over; infinity for None."""
    if timeout is None:
        return inf
    moment = now() + timeout
    if moment != moment:
        raise ValueError(f"a timeout is a number of seconds or None, not {timeout!r}")
    return moment


def line_of(code: Any, offset: int) -> "tuple[str, int] | None":
    """(file, line) of an offset in code, None for none."""
    if code is None:
        return None
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return code.co_filename, line
    return code.co_filename, code.co_firstlineno


def raise_for_coroutine(g: Goroutine) -> None:
    g.value.close()
    g.value = None
    raise TypeError(f"{g.name} is an async function, which grt does not run: write it without async and await")


def note_collection(phase: str, info: Any) -> None:
    """Hung into gc.callbacks: a finalizer that the collector runs must not park in the midst of something else."""
    proc: Proc = proc_get()
    if proc is not None:
        if phase == "start":
            proc.busy |= COLLECTING
        else:
            proc.busy &= ~COLLECTING


gc.callbacks.append(note_collection)
