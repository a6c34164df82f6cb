"""Executor: goroutines for those who know concurrent.futures.

Invariants: a future is counted from `submit` until its goroutine has ended, started or not, so `shutdown` waits for
all of them.
Threads: any may submit and wait; the goroutines run in the thread that made the executor. `_guard` protects its state;
nothing blocks, and nobody else's code runs, under it.
"""

import concurrent.futures
import operator
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from grt._core.chan import Chan, chan
from grt._core.errors import refuse_async
from grt._core.go import go_for
from grt._core.goroutine import Goroutine, here, peek
from grt._core.procs import procs
from grt.sync import WaitGroup

__all__ = ["Executor", "Future"]

T = TypeVar("T")


class Future(concurrent.futures.Future[T]):
    """A concurrent.futures.Future for which a goroutine can wait without blocking its thread."""

    begun = False  # whether its goroutine has

    def result(self, timeout: float | None = None) -> T:
        """What the function returned, or raises what it raised; see concurrent.futures.Future.result."""
        self._park(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the function raised, or None; see concurrent.futures.Future.exception."""
        self._park(timeout)
        return super().exception(0)

    def _park(self, timeout: float | None) -> None:
        if self.done():
            return
        ended: Chan[None] = chan(1)
        self.add_done_callback(lambda future: ended.close())
        try:
            ended.recv_ok(timeout)
        except TimeoutError:
            if timeout is None:  # of a grt.timeout around
                raise
            raise concurrent.futures.TimeoutError(f"not done within {timeout} s") from None


class Executor(concurrent.futures.Executor):
    """A concurrent.futures.Executor whose workers are goroutines of the thread that makes it.

    >>> import grt
    >>> with grt.Executor() as executor:
    ...     list(executor.map(str.upper, ["spam", "eggs"]))
    ['SPAM', 'EGGS']

    max_workers is how many run at once, None for any number. Its futures are those of concurrent.futures, but
    `result` and `exception` park the goroutine that asks. (concurrent.futures.wait and as_completed know nothing of
    goroutines: call them in other threads, by `grt.blocking` for instance.) Goroutines run while the executor's thread
    waits in some call of grt.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and operator.index(max_workers) < 1:
            raise ValueError(f"max_workers is at least 1, or None, not {max_workers}")
        self._proc: Any = here()
        self._in_bubble = self._proc not in procs()  # one of its own, which only those inside can reach
        self._guard = threading.Lock()  # guards the next three
        self._free = max_workers  # how many more may run, None for any number
        self._queue: deque[Callable[[], object]] = deque()  # those that may not run yet
        self._shut = False
        self._futures: set[Future[Any]] = set()
        self._pending = WaitGroup()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Starts fn(*args, **kwargs) in a goroutine, when there is room; returns its future. Never waits.

        Raises RuntimeError after `shutdown`, and when the executor's thread has ended. Any thread may ask.
        """
        if not callable(fn):
            raise TypeError(f"submit needs a function and its arguments, submit(fn, x), but got {fn!r}")
        refuse_async(fn)
        future: Future[T] = Future()
        caller = sys._getframe(1)
        start = partial(self._start, future, caller.f_code, caller.f_lasti, fn, args, kwargs)
        with self._guard:
            if self._shut:
                raise RuntimeError("this grt.Executor was shut down and takes no more calls")
            if self._proc is not peek() if self._in_bubble else self._proc not in procs():
                raise RuntimeError("the thread or bubble of this grt.Executor has ended, and its goroutines with it")
            self._futures.add(future)
            self._pending.add(1)
            room = self._free is None or self._free > 0
            if not room:
                self._queue.append(start)
            elif self._free is not None:
                self._free -= 1
        if room:
            self._begin(start)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. Waits for those there are, if wait; cancels those that have not begun, if asked to."""
        with self._guard:
            self._shut = True
            futures = list(self._futures) if cancel_futures else []
        for future in futures:
            future.cancel()
        if wait:
            self._pending.wait()

    def _begin(self, start: Callable[[], object]) -> None:
        if peek() is self._proc:
            start()
        else:
            self._proc.loop.call_soon(start)

    def _start(self, future: Future[Any], code: Any, offset: int, fn: Any, args: Any, kwargs: Any) -> None:
        go_for(partial(self._ended, future), code, offset, run, (future, fn, args, kwargs), {})

    def _ended(self, future: Future[Any], g: Goroutine, failure: Any) -> None:
        if not future.begun:  # it was cancelled before that
            future.cancel()
            future.set_running_or_notify_cancel()
        with self._guard:
            self._futures.discard(future)
            start = self._queue.popleft() if self._queue else None
            if start is None and self._free is not None:
                self._free += 1
        if start is not None:
            self._begin(start)
        self._pending.done()


def run(future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    future.begun = True
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = fn(*args, **kwargs)
    except BaseException as error:
        future.set_exception(error)
        if not isinstance(error, Exception):  # the end of the program, or of the goroutine, is not the caller's only
            raise
    else:
        future.set_result(value)
