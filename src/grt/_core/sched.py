"""The scheduler of one thread: its run queue, and the greenlets that its goroutines run on.

There is no hub: a goroutine that parks picks the next runnable one on its own stack and switches straight to it; when
none is runnable it turns the event loop itself, and if the news is its own it just returns. A greenlet whose
goroutine has ended runs the next one that has no stack yet, in place.

Invariants: nothing that is in the run queue is parked; a started goroutine never changes thread; the loop is turned
when nothing is runnable, and at every 61st pick.
Threads: the owner only; others reach it through the loop's `call_soon`. Where several Procs share their work (`others`)
the run queue is guarded by `queue`, because they take from it, and give, what has not started.
Rejected: a hub greenlet (two switches per wake-up); a greenlet per goroutine (13 us instead of 0.1).
"""

import itertools
import random
import threading
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from grt._core.errors import Cancelled, Failure, async_error
from grt._core.goroutine import Goroutine, Scheduler, new_goroutine, set_proc
from grt._core.loop import EventLoop

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import COLLECTING, DONE, ENDED, LEAVING, PASSED, RUNNABLE, RUNNING, TURNING
    from grt._core.pyswitch import (
        arena_install,
        call_in,
        gc_hide,
        gc_show_if_kept,
        greenlet_current,
        greenlet_exit,
        greenlet_kill,
        greenlet_new,
        greenlet_set_parent,
        greenlet_switch,
        greenlet_switch_or_failed,
        raised,
        switch_setup,
    )
    from grt._core.pysys import caught, mutex_lock, mutex_new, mutex_unlock

    POLL_EVERY = 61  # picks between two polls while goroutines are runnable, as in Go
    BUDGET = 128  # calls that may succeed at once before the caller gives way, so that a flood starves nobody
    HELD = 3  # references to a goroutine that has just ended which are the scheduler's own
    SILENCE = 0.1  # seconds without any news before on_silence is asked
    MAX_IDLE = 1024  # worker greenlets kept for reuse, about 5 KB each
    BLOCK = 1024  # goroutine ids taken at once

__all__ = ["Proc", "Sharing"]

switch_setup()
arena_install()

_GreenletExit = greenlet_exit()


class Sharing:
    """What a Proc asks of those it shares its work with: see `grt._core.procs`."""

    __slots__ = ()

    def start(self, proc: "Proc", g: Goroutine) -> None:
        """Takes g among the living of proc, to be run by whichever Proc comes to it first."""
        raise NotImplementedError

    def next_of(self, proc: "Proc") -> Goroutine | None:
        """Takes the next out of the run queue of proc; None if others have taken, or been given, what was there."""
        raise NotImplementedError

    def idle(self, proc: "Proc") -> None:
        """Finds work for proc, which has none, or lets it wait for news."""
        raise NotImplementedError


class Proc(Scheduler):
    """A thread's scheduler: its run queue, its loop, its goroutines, and the greenlets that they run on."""

    __slots__ = (
        "begun", "budget", "chief", "fresh", "head", "id_end", "id_next", "idle", "keeps", "launcher", "locked", "main",
        "newest", "next_poll", "noted", "on_idle", "on_silence", "on_start", "others", "own", "picks", "queue",
        "retired", "root", "seed", "silent", "sleep", "tail", "thread", "worker",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.loop.before_wait = self.run_ready
        self.head: Goroutine | None = None  # the run queue, a list linked through Goroutine.next
        self.tail: Goroutine | None = None
        self.picks = 0  # how many times it has picked a goroutine to run
        self.next_poll = POLL_EVERY  # at which pick the loop is turned although some goroutine is runnable
        self.on_idle: Callable[[], object] | None = None  # instead of waiting in the loop when none is runnable
        # When none is runnable, no timer runs, and there was no event for SILENCE. Returns for how long to wait on
        # before it is called again: seconds, negative for until there is news.
        self.on_silence: Callable[[], float] | None = None
        self.on_start: Callable[[], object] | None = None  # at its first `go`, after that now and then: see more_ids
        self.thread = threading.get_ident()
        self.budget = BUDGET  # calls that may still succeed before the current goroutine gives way
        self.seed = random.randrange(1, 0x7FFFFFFF)  # of `below`
        self.id_next = 0  # its block of goroutine ids, so that threads do not meet over a counter
        self.id_end = 0
        self.idle: list[Any] = []  # worker greenlets that have nothing to run
        self.root = greenlet_current()  # the greenlet whose end is nobody's: parent of all workers
        self.main = new_goroutine(self, None, None)  # the thread's own stack
        self.main.name = threading.current_thread().name
        self.main.state = RUNNING
        self.main.greenlet = self.root
        self.current = self.main
        self.worker = self.work  # bound once, for all workers
        self.launcher = greenlet_new(self.launch, self.root)
        greenlet_switch(self.launcher)  # which finds the main goroutine to be current, and comes back
        self.newest = self.main  # the living goroutines, a list linked through older and newer
        self.begun = 1  # how many of them have started
        self.chief: Proc = self  # whose main goroutine hears of the end of the program
        self.others: Sharing | None = None  # those it shares its work with: all below is for them
        self.queue = mutex_new()  # guards the run queue; no other lock is taken, and nobody called, with it held
        self.own = 0  # goroutines with ids up to this one are not shared
        self.fresh = 0  # how many in the run queue have not started, and can be: roughly right without the lock
        self.keeps = 0  # how many of the next ones to start are not given to others
        self.noted = -1  # its picks, when one with nothing to do last looked at it
        self.sleep = 0  # whether it must be woken for what it is given: see `procs`
        self.silent = False  # whether nothing but another Proc can wake any goroutine of it
        self.locked = 0  # goroutines that do not want others to start in this thread
        self.retired = False  # whether it only waits for its goroutines to end

    def next_id(self) -> int:
        if self.id_next == self.id_end:
            self.more_ids()
        self.id_next += 1
        return self.id_next

    def more_ids(self) -> None:
        """Takes a block of ids, and of its first one just the first id, for the thread's own stack.

        So the first `go` comes here too: what wants to know of that costs no other one anything.
        """
        if self.id_end == 0:
            self.id_next = next(_id_blocks)
            self.id_end = self.id_next + 1
            return
        if self.id_next % BLOCK == 1:
            self.id_end = self.id_next - 1 + BLOCK
        else:
            self.id_next = next(_id_blocks)
            self.id_end = self.id_next + BLOCK
        if self.on_start is not None:
            self.on_start()

    def renew_ids(self) -> None:
        """Lets the next `go` call on_start again. For the owner."""
        self.id_end = self.id_next

    @property
    def alone(self) -> bool:
        """Whether the thread's own stack is its only goroutine. Any thread may ask."""
        return self.newest is self.main

    @property
    def interruptible(self) -> bool:
        """Whether the thread runs a goroutine's own code, and not the loop's."""
        return not self.busy

    def living(self) -> list[Goroutine]:
        """The goroutines that have not ended, oldest first; the thread's own stack is the first. Any thread may ask."""
        found = []
        mutex_lock(self.ends)
        g = self.newest
        while g is not None:
            found.append(g)
            g = g.older
        mutex_unlock(self.ends)
        found.reverse()
        return found

    def start(self, g: Goroutine) -> None:
        """Takes g among the living, to be run."""
        if self.others is not None:
            return self.others.start(self, g)
        newest = self.newest
        g.older = newest
        newest.newer = g
        if cython.compiled:  # without a GIL g must be whole before another thread's `living` finds it
            mutex_lock(self.ends)
            self.newest = g
            mutex_unlock(self.ends)
        else:
            self.newest = g
        self.push(g)

    def push(self, g: Goroutine) -> None:
        """Puts g at the end of the run queue."""
        shared = self.others is not None
        if shared:
            mutex_lock(self.queue)
        tail = self.tail
        if tail is None:
            self.head = g
        else:
            tail.next = g
        self.tail = g
        if shared:
            mutex_unlock(self.queue)
        if self.loop.waiting:  # a signal's handler has news: not every poller ends its wait for that
            self.loop.wake()

    def pick(self) -> Goroutine:
        """Takes the next runnable goroutine, turning the loop for as long as there is none."""
        self.picks += 1
        if self.picks >= self.next_poll:
            self.turn(0.0)
        if self.head is None:
            self.idle_until_runnable()
        if self.others is not None:
            return self.pick_shared()
        g = self.head
        self.head = g.next
        if self.head is None:
            self.tail = None
        else:
            g.next = None
        return g

    def pick_shared(self) -> Goroutine:
        """The end of `pick` where others may take from the run queue meanwhile."""
        while True:
            g = None if self.others is None else self.others.next_of(self)
            if g is not None:
                return g
            self.idle_until_runnable()

    def idle_until_runnable(self) -> None:
        """Turns the loop until some goroutine is runnable; or does what has been put in place of that."""
        while self.head is None:
            if self.on_idle is not None:
                self.on_idle()
            elif self.others is not None:
                self.others.idle(self)
            else:
                self.wait()

    def wait(self) -> None:
        """Waits in the loop until there is news."""
        if self.on_silence is None or self.loop.timers:
            self.turn(-1.0)
        else:
            self.turn(SILENCE)
            if self.head is None and self.loop.count == 0:
                self.turn(self.on_silence())

    def turn(self, timeout: float) -> None:
        """Turns the loop. What a signal's handler raises meanwhile belongs to the main goroutine."""
        self.next_poll = self.picks + POLL_EVERY
        self.busy |= TURNING
        try:
            self.loop.turn(timeout)
        except BaseException as error:
            self.chief.main.throw(error)
        finally:
            self.busy &= ~TURNING

    def schedule(self, g: Goroutine) -> None:
        # A goroutine is whatever greenlet parks in its name: programs may use greenlets of their own inside it.
        g.greenlet = greenlet_current()
        stack = self.next_stack(g)
        if stack is not None and greenlet_switch_or_failed(stack) < 0:  # it returns when somebody switches back
            self.break_off(g)

    def break_off(self, g: Goroutine) -> None:
        """The end of its thread, or somebody's use of its greenlet, has ended the park of g by an exception."""
        g.interrupt(caught())

    def next_stack(self, g: Goroutine) -> Any:
        """Makes the next runnable goroutine the current one; returns its greenlet, None when that is g.

        No stack keeps the goroutine that it switches to: one that fails is reported when nobody can ask for it.
        """
        n = self.pick()
        if n is g:
            g.state = RUNNING
            self.budget = BUDGET
            return None
        return self.stack_for(n)

    def stack_for(self, n: Goroutine) -> Any:
        """Makes n the current goroutine; returns the greenlet to switch to."""
        if n.proc is not self:
            raise RuntimeError(f"{n!r} belongs to another thread and cannot be run in this one")
        self.current = n
        self.budget = BUDGET
        n.state = RUNNING
        if n.greenlet is not None:
            return n.greenlet
        self.begun += 1
        if self.idle:
            n.greenlet = self.idle.pop()
            return n.greenlet
        n.greenlet = greenlet_new(self.worker, self.root)
        gc_hide(n.greenlet)
        return self.launcher

    def launch(self) -> None:
        """The life of the launcher greenlet: runs the current goroutine's greenlet, fresh as a rule, when switched to.

        A greenlet begins on top of the stack that starts it. Started from each other, goroutines that park would
        pile up until the C stack or the recursion limit is at its end; started from here all begin at one depth.
        """
        while True:
            greenlet_switch(self.current.greenlet)

    def work(self) -> None:
        """The life of a worker greenlet: runs the current goroutine, then the next that has no stack yet, in place."""
        me = greenlet_current()
        while True:
            g = self.current
            if g.alert:  # cancelled before its start
                error = g.pending
            else:
                g.outcome = call_in(g.context, g.fn, g.args)
                error = raised()
            if not self.conclude(g, error):
                return
            self.busy |= LEAVING  # what is dropped now may have finalizers, and no goroutine to park
            self.current = self.main
            g = n = None
            error = None
            self.busy &= ~LEAVING
            n = self.pick()
            if n.greenlet is None:
                n.greenlet = me
                n.state = RUNNING
                self.current = n
                self.budget = BUDGET
                self.begun += 1
                continue
            stack = self.stack_for(n)
            n = None  # see next_stack
            if len(self.idle) >= MAX_IDLE:
                greenlet_set_parent(me, self.launcher)  # a greenlet that ends switches to its parent
                return
            self.idle.append(me)
            greenlet_switch(stack)

    def conclude(self, g: Goroutine, error: BaseException | None) -> bool:
        """Keeps the outcome of g and ends it. Returns False when its thread or the interpreter is ending."""
        if error is None and type(g.outcome) is CoroutineType:
            g.outcome.close()
            error = async_error(g.name)
        if error is not None:
            self.fail(g, error)
        g.fn = None
        g.args = None
        g.context = None
        self.finish(g)
        return not self.busy & ENDED

    def fail(self, g: Goroutine, error: BaseException) -> None:
        """Keeps what left g. The end of the program is the main goroutine's business, cancellation nobody's."""
        g.failed = True
        if isinstance(error, _GreenletExit):
            error = Cancelled(f"goroutine {g.id} ({g.name}) was ended with its thread")
        if isinstance(error, Cancelled):
            g.outcome = Failure(error, None)
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            g.outcome = Failure(error, None)
            self.chief.main.throw(error)
        else:
            g.outcome = Failure(error, (g.name, g.id, g.started_at))

    def finish(self, g: Goroutine) -> None:
        """Takes g from the living, fires who waits for its end and tells its keeper."""
        mutex_lock(self.ends)
        g.state = DONE
        if g.joiners is not None:
            g.joiners.take_all(PASSED)
            g.joiners = None
        if g.older is not None:  # else it is the last in the child of a fork
            g.older.newer = g.newer
        if g.newer is None:
            self.newest = g.older
        else:
            g.newer.older = g.older
        g.older = None
        if g.newer is not None:
            g.newer = None
        mutex_unlock(self.ends)
        if g.greenlet is not None:
            self.begun -= 1
            g.greenlet = None
        g.clause = None
        if g.at_end is not None:
            self.tell_end(g)
        gc_show_if_kept(g, HELD)

    def tell_end(self, g: Goroutine) -> None:
        """Calls what `go_for` was given, which must not block."""
        at_end = g.at_end
        g.at_end = None
        self.busy |= LEAVING
        try:
            at_end(g, g.outcome if g.failed else None)
        except Exception as error:
            self.loop.on_error(g, error)
        finally:
            self.busy &= ~LEAVING

    def spend(self, g: Goroutine) -> None:
        """Counts a call of g that did not have to wait; when it has had many in a row, others get their turn."""
        self.budget -= 1
        if self.budget <= 0:
            self.give_way(g)

    def give_way(self, g: Goroutine) -> None:
        g.state = RUNNABLE
        self.push(g)
        self.schedule(g)

    def below(self, n: int) -> int:
        self.seed = self.seed * 48271 % 0x7FFFFFFF  # Lehmer's generator, with Park and Miller's constants
        return self.seed * n // 0x7FFFFFFF

    def run_ready(self) -> bool:
        """Lets the runnable goroutines run when the current one turns the loop by itself; true if some still are."""
        if self.head is not None and not self.busy:
            self.give_way(self.current)
        return self.head is not None

    def obstacle(self) -> str:
        """Why this stack must not block now."""
        if self.busy & ENDED:
            self.current.check()  # it was ended while it gave way, and is to hear of that first
            return "its thread is ending"
        if self.busy & COLLECTING:
            return "this is a finalizer, run by the garbage collector in the midst of something else"
        if self.busy & LEAVING:
            return "this goroutine has ended, and a finalizer or grt.excepthook is called for what it leaves"
        return "this is a callback of the event loop; start a goroutine for it with grt.go"

    def forked(self, at_end: Any) -> "list[Goroutine]":
        """In the child of a fork: the current goroutine goes on alone, with its own loop; at_end when it has ended.

        The others stay where they are, to be kept by the caller: their clean-ups are not for two processes.
        """
        g = self.current
        self.mutex, self.ends, self.queue = mutex_new(), mutex_new(), mutex_new()
        left = self.living()
        for other in left:
            if other is not g:
                other.state = RUNNABLE  # its park is over: nobody who has what it waits for wins it, and runs it here
        self.head = self.tail = None
        self.newest, g.newer = g, None
        if g is not self.main:
            g.older = None
            g.at_end = at_end
            self.main = g
        self.loop.abandon()  # what the parent has registered stays registered
        self.loop = EventLoop()
        self.loop.before_wait = self.run_ready
        self.loop.heed_signals()
        self.others = None  # which are threads of the parent
        self.chief = self
        self.begun, self.sleep, self.silent, self.retired = 1, 0, False, False
        return left

    def close(self) -> None:
        if self.busy & ENDED:
            return
        self.busy |= ENDED
        self.loop.before_wait = None
        self.loop.close()
        set_proc(self)  # the thread may have forgotten it already, and what is cleaned up may ask
        while self.newest is not self.main:
            g = self.newest
            self.current = g
            if g.greenlet is None:
                self.conclude(g, _GreenletExit())
            else:
                greenlet_kill(g.greenlet)
            if self.newest is g:  # it has kept its stack, by greenlets of its own
                self.finish(g)
        self.current = self.main
        self.main.clause = None
        for idle in self.idle:
            greenlet_kill(idle)
        greenlet_kill(self.launcher)
        self.idle.clear()
        self.launcher = self.worker = None
        self.head = self.tail = None
        set_proc(None)


_id_blocks = itertools.count(0, BLOCK)
