"""Every way to wait in grt.sync, each brought about the same way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grt
from grt.sync import Barrier, Cond, Event, Mutex, Once, RWMutex, Semaphore, WaitGroup


@dataclass
class Wait:
    """A place in a state in which `wait` blocks, until `news`."""

    wait: Callable[..., object]
    news: Callable[[], object]
    queues: list[Any] = field(default_factory=list)  # where nothing may be left
    undo: Callable[[], object] = bool  # gives back what wait gave
    free: Callable[[], bool] = lambda: True  # whether after news, and each undo, nobody has anything


def mutex() -> Wait:
    m = Mutex()
    m.lock()
    return Wait(m.lock, m.unlock, undo=m.unlock, free=lambda: not m.locked)


def semaphore() -> Wait:
    s = Semaphore(2)
    s.acquire()
    s.acquire()
    return Wait(s.acquire, s.release, undo=s.release, free=lambda: s.free == 1)


def writer() -> Wait:
    rw = RWMutex()
    rw.rlock()
    return Wait(rw.lock, rw.runlock, [rw._reading, rw._writing], rw.unlock, lambda: not rw.locked and not rw.readers)


def reader() -> Wait:
    rw = RWMutex()
    rw.lock()
    return Wait(rw.rlock, rw.unlock, [rw._reading, rw._writing], rw.runlock, lambda: not rw.locked and not rw.readers)


def waitgroup() -> Wait:
    wg = WaitGroup()
    wg.add()
    return Wait(wg.wait, wg.done, [wg._queue], free=lambda: wg._returning == 0)


def cond() -> Wait:
    c = Cond()

    def wait(timeout=None):
        with c:
            try:
                c.wait(timeout)
            finally:
                assert c.mutex.locked

    return Wait(wait, c.notify, [c._queue], free=lambda: not c.mutex.locked)


def event() -> Wait:
    e = Event()
    return Wait(e.wait, e.set, [e._queue])


def once() -> Wait:
    first, gate = Once(), grt.chan()
    grt.go(first.do, gate.recv_ok)
    grt.gosched()

    def news():
        gate.close()
        grt.gosched()  # the call that all wait for ends

    return Wait(lambda timeout=None: first.do(bool, timeout), news, free=lambda: first.done)


def barrier() -> Wait:
    b = Barrier(2)
    return Wait(b.wait, lambda: grt.go(b.wait), [b._round.queue], free=lambda: b.n_waiting == 0)


SERVING = [mutex, semaphore, writer, reader, waitgroup, cond, event, once]
WAITS = [*SERVING, barrier]
