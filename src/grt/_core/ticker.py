"""Timers that goroutines receive from, and functions called later, with the rules that Go has had since 1.23.

Invariants: `moment` says when an alarm goes off, NEVER when it does not; the loop's heap follows. Whoever changes it
takes back, under the same lock, the value that nobody has received yet: none is stale after `stop` or `reset`. The
heap keeps an alarm, an alarm refers to its channel weakly: what nobody can receive from need not be stopped.
Threads: any may stop, reset and receive; an alarm goes off in the loop of the thread that made its timer.
Rejected: a channel that says when somebody waits (Go's way: the heap stays small, every channel pays).
"""

import contextvars
import weakref
from collections.abc import Callable
from typing import Any

from grt._core.chan import Chan, RecvChan
from grt._core.go import go_for
from grt._core.goroutine import Scheduler, here, peek
from grt._core.timers import Timer as HeapTimer
from grt._core.timers import moment_in, now

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import ENDED
    from grt._core.pyswitch import caller_code, caller_offset
    from grt._core.pysys import NEVER, mutex_lock, mutex_new, mutex_unlock

__all__ = ["Ticker", "Timer", "after", "after_func"]


class Alarm(HeapTimer):
    """What goes off: sends the moment to a channel, once or at each period, or starts a goroutine."""

    __slots__ = ("call", "listener", "moment", "mutex", "period", "proc")

    def __init__(self, period: float, call: Callable[[], object] | None) -> None:
        super().__init__()
        self.mutex = mutex_new()  # guards the next two, and with them what is left in the channel
        self.moment = NEVER
        self.period = period  # seconds from one time to the next, 0.0 if it goes off once
        self.proc: Scheduler = here()
        self.call = call  # what is done instead of sending
        self.listener: Any = None  # the weak reference to the channel, while it is armed

    def set(self, moment: float, channel: Chan[Any] | None) -> bool:
        """Makes it go off at moment, if not NEVER; returns whether it still was to, or its value to be received."""
        mutex_lock(self.mutex)
        pending = self.moment != NEVER
        self.moment = moment
        if channel is not None and channel.forget():
            pending = True
        mutex_unlock(self.mutex)
        if channel is not None and moment != NEVER and self.listener is None:
            self.listener = weakref.ref(channel, self.leave)
        if peek() is self.proc:
            self.follow()
        else:
            self.proc.loop.call_soon(self.follow)
        return pending

    def follow(self) -> None:
        """Puts it into the heap, or takes it out."""
        moment = self.moment
        if moment == NEVER:
            self.proc.loop.timers.cancel(self)
            self.listener = None  # it leads back here
        else:
            self.proc.loop.timers.arm(self, moment)

    def leave(self, listener: object) -> None:
        """The channel is gone. The heap may be in the midst of a change now, by this thread or another."""
        self.moment = NEVER
        if peek() is self.proc:
            self.proc.loop.soon.append((self.follow, ()))
        else:
            self.proc.loop.call_soon(self.follow)

    def expire(self) -> None:
        due = self.go_off()
        self.follow()
        if due and self.call is not None:
            self.call()

    def go_off(self) -> bool:
        """Sends the moment, unless another thread has just put it off; returns whether it was due."""
        mutex_lock(self.mutex)
        moment = now()
        due = self.moment <= moment
        if due:
            self.moment = self.following(moment)
            channel: Chan[float] | None = None if self.listener is None else self.listener()
            if channel is not None:
                channel.leave(moment)
        mutex_unlock(self.mutex)
        return due

    def following(self, moment: float) -> float:
        """When it goes off next, in step with the times before; what is past at moment is left out."""
        if self.period == 0.0:
            return NEVER
        missed = (moment - self.moment) // self.period
        return self.moment + (missed + 1.0) * self.period


class Timer:
    """Sends the moment to its channel `c`, once, after so many seconds: the clock's time.monotonic().

    >>> timer = Timer(0.001)
    >>> moment = timer.c.recv()
    >>> timer.reset(60), timer.stop()
    (False, True)

    After `stop` and `reset` nothing is received that is older. A timer that nobody refers to any more, nor its channel,
    is forgotten: there is no need to stop it. It goes off while the thread that made it runs goroutines, or waits.
    """

    __slots__ = ("__weakref__", "alarm", "c", "channel")

    def __init__(self, seconds: float) -> None:
        self.alarm = Alarm(0.0, None)
        self.channel: Chan[float] | None = Chan()
        self.c: RecvChan[float] = RecvChan(self.channel)
        self.alarm.set(moment_after(seconds), self.channel)

    def stop(self) -> bool:
        """Takes it back; returns whether that was in time: False if its value was received, or it was stopped before.

        Of an `after_func` it tells whether fn was not started yet. Never waits.
        """
        return self.alarm.set(NEVER, self.channel)

    def reset(self, seconds: float) -> bool:
        """Makes it go off after so many seconds from now instead; returns what `stop` would."""
        self.alarm = at_home(self.alarm)
        return self.alarm.set(moment_after(seconds), self.channel)


class Ticker:
    """Sends the moment to its channel `c` again and again, every so many seconds.

    >>> ticker = Ticker(0.001)
    >>> first, second = ticker.c.recv(), ticker.c.recv()
    >>> second > first
    True
    >>> ticker.stop()

    A tick that comes while the last one has not been received is dropped: a slow receiver never has a queue before it.
    `for moment in ticker` receives too. `stop` does not close the channel: who waits there goes on waiting.
    """

    __slots__ = ("__weakref__", "alarm", "c", "channel")

    def __init__(self, seconds: float) -> None:
        self.alarm = Alarm(period_of(seconds), None)
        self.channel: Chan[float] = Chan()
        self.c = RecvChan(self.channel)
        self.alarm.set(moment_after(seconds), self.channel)

    def __iter__(self) -> Chan[float]:
        return self.channel

    def stop(self) -> None:
        """Sends no more. Neither closes the channel nor waits."""
        self.alarm.set(NEVER, self.channel)

    def reset(self, seconds: float) -> None:
        """Ticks every so many seconds from now on, also if it was stopped."""
        period = period_of(seconds)
        moment = moment_after(seconds)
        self.alarm = at_home(self.alarm)
        self.alarm.period = period
        self.alarm.set(moment, self.channel)


def after(seconds: float) -> RecvChan[float]:
    """The channel of a `Timer(seconds)`: for a select that does not wait longer.

    >>> import grt
    >>> quiet = grt.chan()
    >>> late = grt.after(0.001)
    >>> index, moment = grt.select(quiet.recv, late.recv)
    >>> index
    1
    """
    return Timer(seconds).c


def after_func(seconds: float, fn: Callable[..., object], *args: Any) -> Timer:
    """Calls fn(*args) in a goroutine of its own after so many seconds; returns the Timer, whose `c` is None.

    `stop` takes the call back, unless the goroutine has been started; `reset` makes it once more.

    >>> timer = after_func(60, print, "late")
    >>> timer.stop()
    True
    """
    if not callable(fn):
        raise TypeError(f"grt.after_func needs a function and its arguments, grt.after_func(1, fn, x), but got {fn!r}")
    context, caller = contextvars.copy_context(), (caller_code(), caller_offset())
    return timer_that(lambda: context.run(go_for, None, *caller, fn, args, {}), seconds)


def timer_that(calls: Callable[[], object], seconds: float) -> Timer:
    """A Timer that calls, where others send."""
    moment = moment_after(seconds)
    timer = Timer.__new__(Timer)
    timer.alarm = Alarm(0.0, calls)
    timer.channel = timer.c = None
    timer.alarm.set(moment, None)
    return timer


def at_home(alarm: Alarm) -> Alarm:
    """alarm; or one like it in this thread, if its own has ended."""
    return Alarm(alarm.period, alarm.call) if alarm.proc.busy & ENDED else alarm


def moment_after(seconds: float) -> float:
    return moment_in(seconds, "a timer is set to a number of seconds")


def period_of(seconds: float) -> float:
    error: type[Exception] = ValueError
    try:
        if seconds > 0:
            return seconds
    except TypeError:
        error = TypeError
    raise error(f"a ticker's period is a number of seconds above 0, not {seconds!r}")
