"""The Procs of all threads, and how those of a fleet share their work.

A thread's Proc is made at its first use of grt. The Procs of a *fleet* share what has not started: one with nothing to
do steals half of what another has waiting; one that is about to start a goroutine while another has clearly fewer
gives it to that one. So connections spread over the threads, although whoever serves one stays where it began.

Invariants: a goroutine moves only while it has not started, and stands in no run queue while it does; it changes hands
with the `ends` of both Procs and the mutex of the first held, so it is always among the living of just one. Who is
about to sleep says so before it looks for work a last time, and who adds work looks for sleepers after that: one of
the two sees the other.
Threads: any. Locks: two Procs' ends, in the order of their main goroutines' ids, then a mutex; a queue, or a fleet's
mutex, alone. Nothing is allocated or dropped with one held, but for what a list needs.
Rejected: dealing out at `go` (a wake-up for each short goroutine); one queue for all (each pick would meet there).
"""

import atexit
import gc
import threading
from collections.abc import Callable
from typing import Any

from grt._core.goroutine import Goroutine, fire, peek, set_proc, set_proc_factory
from grt._core.sched import Proc, Sharing

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import COLLECTING, NEW
    from grt._core.pysys import mutex_lock, mutex_new, mutex_unlock

    AWAKE, ASLEEP, WOKEN = range(3)  # Proc.sleep; WOKEN: it is on its way
    NOTHING, FOUND, LATER = range(3)  # what came of looking for work; LATER: some may have to be taken over
    AGAIN = 0.005  # seconds until another look then: a thread that was woken should be there

__all__ = ["Fleet", "end_program", "procs", "watchers"]


class Fleet(Sharing):
    """Procs that share their work."""

    __slots__ = ("former", "members", "mutex", "open", "sleepers")

    def __init__(self, chief: Proc) -> None:
        self.mutex = mutex_new()  # guards the three below
        self.members: list[Proc] = []  # replaced when it changes, and kept: readers have no lock
        self.former: list[list[Proc]] = []  # what it was before
        self.sleepers: list[Proc] = []  # those that wait in their loops
        self.open = True  # whether goroutines move
        self.join(chief, chief)

    def join(self, proc: Proc, chief: Proc) -> None:
        """Takes proc, the calling thread's, among the members. What the chief has already stays its own."""
        proc.chief = chief
        proc.own = proc.id_next if proc is chief else 0
        proc.fresh = 0
        self.become([*self.members, proc])
        proc.others = self

    def leave(self, proc: Proc) -> None:
        """Takes proc, the calling thread's, out: it is on its own again."""
        self.become([member for member in self.members if member is not proc])
        proc.others = None

    def become(self, members: list[Proc]) -> None:
        mutex_lock(self.mutex)
        self.former.append(self.members)
        self.members = members
        mutex_unlock(self.mutex)

    def retire(self, proc: Proc) -> None:
        """Starts nothing in proc any more: it waits for its goroutines to end, then its main one is woken."""
        proc.retired = True
        proc.loop.wake()

    # -- what a Proc asks

    def start(self, proc: Proc, g: Goroutine) -> None:
        mutex_lock(proc.ends)
        link(proc, g)
        mutex_unlock(proc.ends)
        queue_up(proc, g)
        if proc.loop.waiting:  # see Proc.push
            proc.loop.wake()
        if self.sleepers and self.open:
            self.rouse()

    def next_of(self, proc: Proc) -> Goroutine | None:
        mutex_lock(proc.queue)
        g = proc.head
        fresh = False
        if g is not None:
            proc.head = g.next
            g.next = None
            if proc.head is None:
                proc.tail = None
            fresh = can_move(proc, g)
            if fresh:
                proc.fresh -= 1
        mutex_unlock(proc.queue)
        if fresh and proc.keeps > 0:
            proc.keeps -= 1
        elif fresh and self.open:
            other = self.lighter(proc)
            if other is not None:
                move(g, proc, other)
                queue_up(other, g)
                self.wake(other)
                return None
        return g

    def idle(self, proc: Proc) -> None:
        mutex_lock(self.mutex)
        proc.sleep = ASLEEP
        self.sleepers.append(proc)
        mutex_unlock(self.mutex)
        if proc.retired and proc.alone:
            fire(proc.main)
        if proc.head is None:
            found = self.find(proc)
            if found == LATER:
                proc.turn(AGAIN)
            elif found == NOTHING:
                proc.wait()
        proc.silent = False
        mutex_lock(self.mutex)
        if proc.sleep == ASLEEP:
            self.sleepers.remove(proc)
        proc.sleep = AWAKE
        mutex_unlock(self.mutex)

    # -- moving

    def find(self, proc: Proc) -> int:
        """Steals for proc from the others, beginning with a random one: FOUND, LATER or NOTHING.

        From one that was woken for what it was given, or has fewer goroutines than proc, only if it does not get on
        with it: has not picked any between two looks. What is stolen stays: it would go to and fro.
        """
        proc.keeps = 0
        if not self.open or not takes_part(proc):
            return NOTHING
        members = self.members
        count = len(members)
        at = proc.below(count)
        later = NOTHING
        for _ in range(count):
            victim: Proc = members[at]
            at = at + 1 if at + 1 < count else 0
            if victim is proc or victim.fresh == 0 or victim.on_idle is not None:
                continue
            if (victim.sleep == WOKEN or self.lighter(proc) is victim) and victim.noted != victim.picks:
                victim.noted = victim.picks
                later = LATER
            elif steal(proc, victim):
                proc.keeps = proc.fresh
                if victim.fresh > 0 and self.sleepers:
                    self.rouse()
                return FOUND
        return later

    def lighter(self, proc: Proc) -> Proc | None:
        """The member with the fewest goroutines, if with those to come they are clearly fewer than proc has begun."""
        if proc.on_idle is not None:
            return None
        found = None
        fewest = 0
        for other in self.members:
            if other is not proc and takes_part(other) and (found is None or other.begun + other.fresh < fewest):
                found = other
                fewest = other.begun + other.fresh
        if found is None or proc.locked or proc.retired:
            return found
        return found if fewest + 1 + fewest // 8 < proc.begun else None

    def rouse(self) -> None:
        """Wakes one of the sleepers: if it finds more work than it needs it wakes the next."""
        mutex_lock(self.mutex)
        found = None
        for sleeper in self.sleepers:
            if takes_part(sleeper):
                found = sleeper
        mutex_unlock(self.mutex)
        if found is not None:
            self.wake(found)

    def wake(self, proc: Proc) -> None:
        """Ends the sleep of proc, if it sleeps."""
        mutex_lock(self.mutex)
        slept = proc.sleep == ASLEEP
        if slept:
            proc.sleep = WOKEN
            self.sleepers.remove(proc)
        mutex_unlock(self.mutex)
        if slept:
            proc.loop.wake()


def takes_part(proc: Proc) -> bool:
    """Whether what others have started may begin in proc."""
    return not proc.retired and proc.locked == 0 and proc.on_idle is None


def can_move(proc: Proc, g: Goroutine) -> bool:
    return g.state == NEW and g.id > proc.own


def queue_up(proc: Proc, g: Goroutine) -> None:
    """Puts g at the end of the run queue of proc, which may be another thread's."""
    mutex_lock(proc.queue)
    tail = proc.tail
    if tail is None:
        proc.head = g
    else:
        tail.next = g
    proc.tail = g
    if can_move(proc, g):
        proc.fresh += 1
    mutex_unlock(proc.queue)


def steal(proc: Proc, victim: Proc) -> bool:
    """Moves half of what victim has to start to proc, the oldest first; returns False if there is nothing."""
    loot = take_half(victim)
    if loot is None:
        return False
    while loot is not None:
        g = loot
        loot = g.next
        g.next = None
        move(g, victim, proc)
        queue_up(proc, g)
    return True


def take_half(victim: Proc) -> Goroutine | None:
    """Takes half of what can move out of the run queue of victim; returns it, linked through `next`."""
    first = last = before = None
    mutex_lock(victim.queue)
    wanted = (victim.fresh + 1) // 2
    g = victim.head
    while g is not None and wanted > 0:
        behind = g.next
        if not can_move(victim, g):
            before = g
            g = behind
            continue
        if before is None:
            victim.head = behind
        else:
            before.next = behind
        if behind is None:
            victim.tail = before
        g.next = None
        if last is None:
            first = g
        else:
            last.next = g
        last = g
        victim.fresh -= 1
        wanted -= 1
        g = behind
    mutex_unlock(victim.queue)
    return first


def move(g: Goroutine, giver: Proc, taker: Proc) -> None:
    """Makes g, which has not started and stands in no queue, a goroutine of taker."""
    first, second = giver, taker
    if taker.main.id < giver.main.id:
        first, second = taker, giver
    mutex_lock(first.ends)
    mutex_lock(second.ends)
    unlink(giver, g)
    link(taker, g)
    mutex_lock(giver.mutex)
    g.proc = taker
    mutex_unlock(giver.mutex)
    mutex_unlock(second.ends)
    mutex_unlock(first.ends)
    if giver.retired:  # it may wait for just that, asleep
        giver.loop.wake()


def link(proc: Proc, g: Goroutine) -> None:
    """Takes g among the living of proc, with its ends held."""
    newest = proc.newest
    g.older = newest
    newest.newer = g
    proc.newest = g


def unlink(proc: Proc, g: Goroutine) -> None:
    """The reverse. It is never the oldest: that is the thread's own stack."""
    older, newer = g.older, g.newer
    older.newer = newer
    if newer is None:
        proc.newest = older
    else:
        newer.older = older
        g.newer = None
    g.older = None


# -- the Procs of all threads

_thread = threading.local()
_procs: set[Proc] = set()  # until they are closed

# Each is called with a new Proc, in its thread: those above that want to hear from it set its hooks.
watchers: list[Callable[[Proc], object]] = []


class ThreadEnd:
    """Kept in a thread's locals, so that its going tells that the thread has ended."""

    __slots__ = ("proc",)

    def __init__(self, proc: Proc) -> None:
        self.proc = proc

    def __del__(self) -> None:
        if self.proc.thread == threading.get_ident():  # else it has gone by a fork
            end(self.proc)


def new_proc() -> Proc:
    """Makes the calling thread's Proc."""
    proc = Proc()
    proc.busy = COLLECTING if getattr(_thread, "collecting", False) else 0  # a finalizer may be the first that comes
    _procs.add(proc)
    set_proc(proc)
    _thread.end = ThreadEnd(proc)
    proc.loop.heed_signals()
    for watcher in watchers:
        watcher(proc)
    return proc


def procs() -> list[Proc]:
    """The Procs of all threads that have one now."""
    return list(_procs)


def keep_only(proc: Proc) -> None:
    """In the child of a fork, where proc is the only one."""
    _procs.clear()
    _procs.add(proc)


def end(proc: Proc) -> None:
    """Ends what lives in the calling thread's Proc."""
    _procs.discard(proc)
    proc.close()


def end_program() -> None:
    """Ends the main thread's goroutines while the interpreter can still run what they clean up."""
    proc: Any = peek()
    if proc is not None:
        end(proc)


def note_collection(phase: str, info: Any) -> None:
    """Hung into gc.callbacks: a finalizer that the collector runs must not park in the midst of something else."""
    _thread.collecting = phase == "start"
    proc = peek()
    if proc is not None:
        if phase == "start":
            proc.busy |= COLLECTING
        else:
            proc.busy &= ~COLLECTING


set_proc_factory(new_proc)
atexit.register(end_program)
gc.callbacks.append(note_collection)
