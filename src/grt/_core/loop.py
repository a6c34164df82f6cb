"""The event loop: waits in a poller, calls handlers, expires timers, takes calls from other threads.

Invariants: a batch of events is dispatched to its end, over several turns if one of its handlers lets a signal's
exception through, because an edge that is dropped never comes again; a handler removed meanwhile gets none of its
events (the poller's generations); a handler that raises is reported and the loop goes on.
Threads: the owner's only, except `call_soon`, `wake` and `stop`, which any thread may call.
Rejected: callbacks in the poller (it could then not be used alone); one queue for timers and soon (always sorts).
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from grt._core.poller import Poller
from grt._core.timers import Timer, Timers, now

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pypoll import READ
    from grt._core.pysys import (
        NEVER,
        check_signals,
        close,
        remutex_lock,
        remutex_new,
        remutex_unlock,
        waker_drain,
        waker_notify,
        waker_open,
    )

__all__ = ["EventLoop", "Handler", "ScheduledCall"]


class Handler:
    """What the loop calls when something happened on a descriptor. Subclass it, set `fd`, override `on_event`.

    >>> class Greeter(Handler):
    ...     def on_event(self, flags):
    ...         print("news on", self.fd)
    """

    __slots__ = ("fd",)

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd  # the descriptor it is about, -1 once there is none

    def fileno(self) -> int:
        return self.fd

    def on_event(self, flags: int) -> Any:
        """Called in the loop's thread with READ, WRITE, HANGUP and ERROR bits; must not block."""
        raise NotImplementedError(f"{type(self).__name__} has no on_event")


class Waker(Handler):
    """Ends the poller's wait from any thread."""

    __slots__ = ("mutex", "writer")

    def __init__(self) -> None:
        self.mutex = remutex_new()  # guards writer, whose number may be somebody else's once it is closed
        pair = waker_open()
        self.fd = pair[0]
        self.writer = pair[1]  # may be the same descriptor

    def on_event(self, flags: int) -> None:
        waker_drain(self.fd)

    def notify(self) -> None:
        remutex_lock(self.mutex)
        if self.writer >= 0:
            waker_notify(self.writer)
        remutex_unlock(self.mutex)

    def close(self) -> None:
        remutex_lock(self.mutex)
        fd, writer = self.fd, self.writer
        self.fd = self.writer = -1
        remutex_unlock(self.mutex)
        close(fd)
        if writer != fd:
            close(writer)


class SignalPipe(Handler):
    """Ends the wait for a signal that comes just before it: the C handler of each writes a byte into this pipe."""

    __slots__ = ("seen", "writer")

    def __init__(self) -> None:
        self.seen = False  # whether a signal came whose Python handler may not have run yet
        self.fd, self.writer = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self.writer, False)

    def on_event(self, flags: int) -> None:
        self.seen = True
        waker_drain(self.fd)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.writer)
        self.fd = -1


class ScheduledCall(Timer):
    """What `call_later` returns: the call to come, which `cancel` takes back."""

    __slots__ = ("args", "fn", "loop")

    def __init__(self, loop: "EventLoop", fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        super().__init__()
        self.loop = loop
        self.fn = fn
        self.args = args

    def expire(self) -> None:
        self.fn(*self.args)

    def cancel(self) -> bool:
        """Takes the call back; returns False when it was made or taken back already."""
        return self.loop.timers.cancel(self)


class EventLoop:
    """Waits for descriptors, timers and other threads, and calls back.

    >>> loop = EventLoop()
    >>> _ = loop.call_later(0.01, loop.stop)
    >>> loop.call_soon(print, "hello")
    >>> loop.run()
    hello
    >>> loop.close()
    """

    __slots__ = (
        "before_wait",
        "count",
        "index",
        "moment",
        "on_error",
        "poller",
        "running",
        "signals",
        "soon",
        "stopping",
        "timers",
        "turning",
        "waiting",
        "waker",
    )

    def __init__(self, backend: str | None = None) -> None:
        self.poller = Poller(backend)
        self.timers = Timers()
        self.waker = Waker()
        self.soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.signals: SignalPipe | None = None
        self.index = 0  # the next event of the batch to dispatch
        self.count = 0  # the batch's size
        self.moment = now()  # of the last turn
        self.turning = False
        self.waiting = False  # whether it is in the poller now: who runs in this thread then is a signal's handler
        self.running = False
        self.stopping = False
        # Called by `run` before each wait; true means that there is more to do and the wait must not block.
        # The scheduler of goroutines hangs itself in here.
        self.before_wait: Callable[[], bool] | None = None
        # Called with (source, exception) when a handler or call raises; by default the traceback is printed. What it
        # raises itself leaves `run`, so that a program can make any error end it; another `run` goes on from there.
        self.on_error: Callable[[object, BaseException], object] = print_error
        self.poller.register(self.waker.fd, READ, self.waker)

    def add(self, handler: Handler, events: int) -> None:
        """Calls handler.on_event from now on when handler.fd has one of events (READ, WRITE; with EDGE, only news)."""
        self.poller.register(handler.fd, events, handler)

    def modify(self, handler: Handler, events: int) -> None:
        """Replaces the events that handler is called for."""
        self.poller.modify(handler.fd, events, handler)

    def remove(self, handler: Handler) -> None:
        """Calls handler no more, not even for events of the batch being dispatched."""
        self.poller.unregister(handler.fd)

    def discard(self, handler: Handler) -> None:
        """`remove`, for whoever cannot know whether handler, or the loop, is still there."""
        if self.waker.fd >= 0 and self.poller.data_of(handler.fd) is handler:
            try:
                self.poller.unregister(handler.fd)
            except (KeyError, ValueError):
                pass  # its thread has ended, and closed the loop, at this moment

    def handlers(self) -> list[Any]:
        """What is registered now, beside what the loop itself needs."""
        found = [self.poller.data_of(fd) for fd in range(len(self.poller.registrations))]
        return [handler for handler in found if handler is not None and handler not in (self.waker, self.signals)]

    def call_soon(self, fn: Callable[..., object], *args: Any) -> None:
        """Calls fn(*args) in the loop's next turn. Any thread may ask."""
        self.soon.append((fn, args))
        self.waker.notify()

    def call_later(self, delay: float, fn: Callable[..., object], *args: Any) -> ScheduledCall:
        """Calls fn(*args) after delay seconds; returns the call, which can be cancelled."""
        moment = now() + delay
        if moment != moment:
            raise ValueError(f"a delay is a number of seconds, not {delay!r}")
        call = ScheduledCall(self, fn, args)
        self.timers.arm(call, moment)
        return call

    def heed_signals(self) -> None:
        """Lets a signal end the wait at once, whatever poller waits. Nothing outside the main thread.

        It takes signal.set_wakeup_fd for itself, unless somebody other than a loop of grt has it.
        """
        global heeding
        if threading.current_thread() is not threading.main_thread() or heeding is self:
            return
        if self.signals is None:
            pipe = SignalPipe()
            try:
                self.poller.register(pipe.fd, READ, pipe)
            except BaseException:
                pipe.close()
                raise
            self.signals = pipe
        previous = signal.set_wakeup_fd(self.signals.writer, warn_on_full_buffer=False)
        if previous < 0 or (heeding is not None and heeding.signals.writer == previous):
            heeding = self
        else:
            signal.set_wakeup_fd(previous)

    def ignore_signals(self) -> None:
        global heeding
        if heeding is self:
            heeding = None
            signal.set_wakeup_fd(-1)

    def wake(self) -> None:
        """Ends the wait that is going on, or the next one. Any thread may ask, and a signal handler."""
        self.waker.notify()

    def stop(self) -> None:
        """Ends `run` after the current turn. Any thread may ask."""
        self.stopping = True
        self.waker.notify()

    def run(self) -> None:
        """Turns until `stop` is called. An exception of a signal handler (KeyboardInterrupt) ends it too."""
        if self.running:
            raise RuntimeError("this event loop is already running")
        self.running = True
        self.heed_signals()
        try:
            while not self.stopping:
                busy = self.before_wait is not None and self.before_wait()
                if not self.stopping:
                    self.turn(0.0 if busy else -1.0)
        finally:
            self.running = False
            self.stopping = False

    def turn(self, timeout: float) -> Any:
        """Waits at most timeout seconds (negative: as long as it takes) for something to do, and does it."""
        if self.turning:
            raise RuntimeError("an event loop cannot be turned from within one of its own callbacks")
        self.turning = True
        try:
            if self.index == self.count:
                self.index = 0
                self.count = 0
                self.waiting = True
                self.count = self.poller.collect(self.wait_time(timeout))
                self.waiting = False
                self.moment = now()
            self.dispatch()
            if self.signals is not None and self.signals.seen:
                self.signals.seen = False
                check_signals()
            if self.timers:
                self.expire()
            if self.soon:
                self.call_queued()
        finally:
            self.turning = False
            self.waiting = False

    def wait_time(self, timeout: float) -> float:
        """timeout, shortened to the first timer; nothing while calls are queued."""
        if timeout == 0.0 or self.soon:
            return 0.0
        first = self.timers.next_when()
        if first == NEVER:
            return timeout
        left = first - now()
        if left < 0.0:
            return 0.0
        return left if timeout < 0.0 or left < timeout else timeout

    def dispatch(self) -> None:
        while self.index < self.count:
            at = self.index
            self.index = at + 1
            handler: Handler = self.poller.data_at(at)
            if handler is None:
                continue
            try:
                handler.on_event(self.poller.flags_at(at))
            except Exception as error:
                self.on_error(handler, error)

    def expire(self) -> None:
        """Expires what is due now; what that arms waits for the next turn, so that timers cannot starve I/O."""
        while True:
            timer: Timer = self.timers.pop_due(self.moment)
            if timer is None:
                return
            try:
                timer.expire()
            except Exception as error:
                self.on_error(timer, error)

    def call_queued(self) -> None:
        """Makes the calls queued now; what they queue waits for the next turn."""
        for _ in range(len(self.soon)):
            fn, args = self.soon.popleft()
            try:
                fn(*args)
            except Exception as error:
                self.on_error(fn, error)

    def close(self) -> None:
        """Gives the loop's own descriptors back. Handlers still added are forgotten, their descriptors left open.

        Called by one of the loop's own callbacks it ends `run`. Closing again does nothing.
        """
        if self.waker.fd >= 0:
            if self.signals is not None:
                self.ignore_signals()
                self.signals.close()
                self.signals = None
            self.poller.close()
            self.waker.close()
            self.stopping = self.running

    def abandon(self) -> None:
        """Closes it in the child of a fork, where a thread that held the lock is gone."""
        self.waker.mutex = remutex_new()
        self.close()


# The loop that signals wake: they are the main thread's, which touches this alone.
heeding: EventLoop | None = None


def print_error(source: object, error: BaseException) -> None:
    import sys
    import traceback

    try:
        print(f"grt: {source!r} raised, and the event loop goes on:", file=sys.stderr)
        traceback.print_exception(type(error), error, error.__traceback__)
    except Exception:
        pass  # no standard error to print on: that is no reason to stop serving
