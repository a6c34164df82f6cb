"""Calls that block the OS thread, made in threads of a pool, while only the calling goroutine waits.

Invariants: a call is made at most once, and not at all if its caller leaves while it is queued; what it raises goes to
its caller or, if that has left, to grt.excepthook. An idle worker is handed its next call, the one that has idled
shortest first, so that those that nobody needs expire.
Threads: any may call; `guard` protects the pool, a call's own guard the call; nothing blocks under either.
Rejected: concurrent.futures.ThreadPoolExecutor (its threads stay for ever, and the interpreter's exit waits for them).
"""

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from grt._core.errors import Failure, refuse_async
from grt._core.goroutine import enter
from grt._core.semaphore import WaitQueue
from grt._core.timers import deadline_of
from grt.debug.silence import idle_threads

__all__ = ["blocking"]

T = TypeVar("T")

NEVER = deadline_of(None)
LIMIT = 64  # threads: enough to wait in; what computes gains nothing by more
LINGER = 10.0  # seconds that a worker waits for its next call


class Call:
    """A function to be called by a worker, and what came of it."""

    __slots__ = ("args", "caller", "context", "done", "error", "fn", "guard", "kwargs", "left", "started", "value")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.context = contextvars.copy_context()
        self.guard = threading.Lock()  # guards all below
        self.caller = WaitQueue()  # who waits for it
        self.started = False
        self.left = False  # whether the caller waits no more
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<grt.blocking({name_of(self.fn)})>"

    def make(self) -> None:
        """What a worker does with it."""
        with self.guard:
            self.started = not self.left
        if not self.started:
            return
        value, error = None, None
        try:
            value = self.context.run(self.fn, *self.args, **self.kwargs)
        except BaseException as raised:
            error = raised
        with self.guard:
            self.value, self.error, self.done = value, error, True
            left = self.left
            self.caller.wake()
        if left and error is not None:
            Failure(error, (repr(self), 0, None))  # reported as it is dropped

    def result(self) -> Any:
        self.guard.acquire()
        if self.done:
            self.guard.release()
        else:
            self.caller.wait(self.guard, self, NEVER, self.leave)
        if self.error is None:
            return self.value
        try:
            raise self.error
        finally:
            self.error = None  # whose traceback leads here

    def leave(self, woken: bool) -> None:
        """The caller was cancelled, or its time is over."""
        self.left = True
        if not self.started:
            pool.forget(self)


class Worker:
    """A thread of the pool."""

    __slots__ = ("call", "handed", "pool", "thread")

    def __init__(self, pool: "Pool", call: Call) -> None:
        self.pool = pool
        self.call = call  # what it is to do next
        self.handed = threading.Lock()  # let go of by who hands it a call while it idles
        self.handed.acquire()
        self.thread = threading.Thread(target=self.work, name="grt.blocking", daemon=True)

    def work(self) -> None:
        call = self.call
        while True:
            call.make()
            del call, self.call
            queued = self.pool.next_call(self)
            if queued is not None:
                self.call = queued
            elif not self.handed.acquire(timeout=LINGER) and self.pool.dismiss(self):
                return
            call = self.call


class Pool:
    """The threads that make the calls, and the calls for which there is no thread yet."""

    __slots__ = ("calls", "guard", "idle", "workers")

    def __init__(self) -> None:
        self.guard = threading.Lock()  # guards the three below
        self.calls: deque[Call] = deque()  # waiting for a worker, all of which are busy then
        self.idle: list[Worker] = []  # the one that has idled longest is the first
        self.workers = 0

    def take(self, call: Call) -> None:
        """Gives call to a worker, now or when one is free. Raises RuntimeError if the system has no thread for any."""
        with self.guard:
            if self.idle:
                worker = self.idle.pop()
                worker.call = call
                worker.handed.release()
                return
            if self.workers == LIMIT:
                self.calls.append(call)
                return
            self.workers += 1
        try:
            Worker(self, call).thread.start()
        except RuntimeError:
            with self.guard:
                self.workers -= 1
                if self.workers == 0:
                    raise
                self.calls.append(call)

    def forget(self, call: Call) -> None:
        """Takes back a call that may still be queued."""
        with self.guard:
            if call in self.calls:
                self.calls.remove(call)

    def next_call(self, worker: Worker) -> Call | None:
        """What worker, which is free, is to do; None while it idles."""
        with self.guard:
            if self.calls:
                return self.calls.popleft()
            self.idle.append(worker)
            return None

    def dismiss(self, worker: Worker) -> bool:
        """Lets worker, which nobody needed for a while, go; False if it was handed a call at this moment."""
        with self.guard:
            if worker in self.idle:
                self.idle.remove(worker)
                self.workers -= 1
                return True
        worker.handed.acquire()
        return False

    def idle_idents(self) -> list[int | None]:
        with self.guard:
            return [worker.thread.ident for worker in self.idle]


pool = Pool()


def blocking(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Calls fn(*args, **kwargs) in another thread and returns what it returns; only the calling goroutine waits.

    For what would block the thread and all its goroutines: a driver written in C, a file on a slow disk, a long
    computation that lets go of the GIL.

    >>> import time, grt
    >>> ticks = []
    >>> _ = grt.go(lambda: ticks.append("meanwhile"))
    >>> grt.blocking(time.sleep, 0.01)
    >>> ticks
    ['meanwhile']

    What fn raises is raised here. It sees the caller's contextvars. A cancellation or a timeout ends the wait at once,
    and fn goes on by itself: its result is dropped, its exception reported through grt.excepthook. At most 64 calls
    are made at a time, the others wait their turn; a thread that has had nothing to do for 10 seconds ends.
    """
    if not callable(fn):
        raise TypeError(f"grt.blocking needs a function and its arguments, grt.blocking(fn, x), but got {fn!r}")
    refuse_async(fn)
    enter()
    call = Call(fn, args, kwargs)
    pool.take(call)
    result: T = call.result()
    return result


def name_of(fn: Any) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def forget_threads() -> None:
    """In the child of a fork, which has none of them."""
    global pool
    pool = Pool()


idle_threads.append(lambda: pool.idle_idents())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_threads)
