"""Contexts, as Go has them: a deadline, a cancellation and values, handed from call to call, derived from one another.

Invariants: what ends a context ends all that is derived from it, in the same call. An ending happens once: whoever sets
`err` under `guard` takes all dependents, and each of them is either told or has withdrawn before. A context that has
ended is in no list and no loop.
Threads: any. `guard` is held over a few lines that call nobody; never two of them at once. The timer is the loop's of
the thread that made the context: should that thread be busy elsewhere, `err` and calls under `use` are on time anyway.
Rejected: one lock for all (every thread's requests would meet there); recursion (a long chain ends the stack).
"""

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from grt._core.chan import Chan, RecvChan, chan
from grt._core.errors import Cancelled
from grt._core.go import current, go_for
from grt._core.goroutine import here, peek
from grt._core.timers import Timer, moment_in, now
from grt.scope import NEVER, Scope

__all__ = [
    "Canceled",
    "Context",
    "DeadlineExceeded",
    "Derived",
    "after_func",
    "background",
    "cause",
    "use",
    "with_cancel",
    "with_cancel_cause",
    "with_deadline",
    "with_timeout",
    "with_value",
    "without_cancel",
]


class Canceled(Cancelled):
    """The `err` of a context that was cancelled. A grt.Cancelled, and so nothing that `except Exception` catches."""


class DeadlineExceeded(TimeoutError):
    """The `err` of a context whose deadline has passed."""


class Dependent(Protocol):
    """What ends with an Ending: finish tells it so, once, and returns what depends on it in turn."""

    def finish(self, err: BaseException, cause: BaseException) -> "Iterable[Dependent]": ...


class Ending(Timer):
    """How and when a context ends, and the contexts that only add values to it. As a Timer it is its own deadline's."""

    __slots__ = (
        "cause", "chan", "clock", "deadline", "dependents", "done", "err", "guard", "loop", "parent", "words",
    )  # fmt: skip

    def __init__(self, parent: "Ending | None", deadline: float, words: str) -> None:
        super().__init__()
        self.parent = parent  # which ends it too
        self.guard = threading.Lock()  # guards the next three
        self.err: BaseException | None = None  # why it has ended, None before; once set it stays
        self.cause: BaseException | None = None  # what the one who cancelled it said of that, or the same as err
        self.dependents: dict[Dependent, None] = {}  # what ends with it, oldest first; none once it has ended
        self.chan: Chan[Any] = chan()  # closed at the end
        self.done: RecvChan[Any] = self.chan.recv_only()
        self.deadline = deadline  # its own, monotonic seconds
        self.words = words  # what people are told when that has passed
        self.clock: Ending | None = (
            parent.clock if parent is not None else None
        )  # the one whose deadline comes first, itself or above
        self.loop: Any = None  # where its timer runs
        if deadline < NEVER and (self.clock is None or deadline < self.clock.deadline):
            self.clock = self
            self.loop = here().loop
            self.loop.timers.arm(self, deadline)
        if parent is not None:
            parent.attach(self)
        self.look()

    def look(self) -> None:
        """Ends what has a deadline that has passed, if its timer has not come to it yet."""
        clock = self.clock
        if self.err is None and clock is not None and now() >= clock.deadline:
            clock.expire()
            if self.err is None and clock.err is not None:  # another thread is on its way down from clock to here
                self.end(clock.err, clock.cause)

    def expire(self) -> None:
        self.end(DeadlineExceeded(f"context deadline exceeded: {self.words}"))

    def cancel(self) -> None:
        """Ends the context and all that is derived from it, with Canceled. Any thread may ask; again does nothing."""
        self.end(Canceled("context canceled"))

    def cancel_cause(self, cause: BaseException | None = None) -> None:
        """Ends the context and all that is derived from it, with Canceled, because of cause. Again does nothing."""
        if cause is not None and not isinstance(cause, BaseException):
            raise TypeError(f"the cause of a cancellation is an exception or None, not {cause!r}")
        self.end(Canceled("context canceled"), cause)

    def end(self, err: BaseException, cause: BaseException | None = None) -> None:
        finish_all([self], err, err if cause is None else cause)

    def finish(self, err: BaseException, cause: BaseException) -> Iterable[Dependent]:
        with self.guard:
            if self.err is not None:
                return ()
            self.cause = cause
            self.err = err
            dependents = self.dependents
            self.dependents = {}
        self.chan.close()
        if self.parent is not None:
            self.parent.detach(self)
        loop = self.loop
        if loop is not None:
            proc: Any = peek()
            if proc is not None and proc.loop is loop:
                loop.timers.cancel(self)
            else:
                loop.call_soon(loop.timers.cancel, self)
        return dependents

    def attach(self, dependent: Dependent) -> None:
        """Ends dependent when this ends, which may be now."""
        with self.guard:
            err = self.err
            if err is None:
                self.dependents[dependent] = None
        if err is not None:
            finish_all([dependent], err, self.cause or err)

    def detach(self, dependent: Dependent) -> bool:
        """Takes dependent back; returns False if it has been told."""
        with self.guard:
            return self.dependents.pop(dependent, dependent) is None


def finish_all(ending: list[Dependent], err: BaseException, cause: BaseException) -> None:
    for dependent in ending:  # which grows meanwhile
        ending.extend(dependent.finish(err, cause))


class Context:
    """A deadline, a cancellation and values. Made by `background` and derived by the with_ functions; never changed."""

    __slots__ = ("__weakref__", "_ending", "_key", "_parent", "_value")

    def __init__(
        self, parent: "Context | None", ending: Ending | None, key: object = None, value: object = None
    ) -> None:
        self._parent = parent  # whose values it has
        self._ending = ending  # how it ends, None if it never does
        self._key = key  # the value it adds to them, None for none
        self._value = value

    def __repr__(self) -> str:
        ending = self._ending
        state = "without end" if ending is None else "active" if self.err is None else f"ended by {self.cause!r}"
        return f"<Context {state} at {id(self):#x}>"

    @property
    def done(self) -> RecvChan[Any] | None:
        """A channel that is closed when the context ends; None if it never does.

        In a select: `grt.select(values.recv, ctx.done and ctx.done.recv_ok)`.
        """
        return None if self._ending is None else self._ending.done

    @property
    def err(self) -> BaseException | None:
        """Why it has ended, Canceled or DeadlineExceeded, and that for good; None before."""
        ending = self._ending
        if ending is None:
            return None
        ending.look()
        return ending.err

    @property
    def cause(self) -> BaseException | None:
        """What the one who cancelled it gave as the cause; `err` if nobody did; None before its end."""
        return None if self.err is None or self._ending is None else self._ending.cause

    @property
    def deadline(self) -> float | None:
        """The moment at which it ends at the latest, in seconds of time.monotonic; None without any."""
        clock = self._ending.clock if self._ending is not None else None
        return None if clock is None else clock.deadline

    def value(self, key: object, default: Any = None) -> Any:
        """The value that the nearest `with_value` gave for key, here or above; default if there is none."""
        ctx: Context | None = self
        while ctx is not None:
            if ctx._key is not None and ctx._key == key:
                return ctx._value
            ctx = ctx._parent
        return default


class Derived(NamedTuple):
    """A new context and what cancels it: `ctx, cancel = grt.context.with_timeout(parent, 2)`.

    Call cancel when the work is done, whatever its outcome: until then the parent, or the clock, keeps the context.
    `with` does so, and is `use` of the context as well: `with grt.context.with_timeout(parent, 2) as ctx: ...`
    """

    ctx: Context
    cancel: Callable[..., None]

    def __enter__(self) -> Context:
        use(self.ctx).__enter__()
        return self.ctx

    def __exit__(self, *exc: object) -> None:
        self.cancel()
        scope: Any = current().scope
        while scope is not None and not (isinstance(scope, use) and scope.ctx is self.ctx):
            scope = scope.outer
        if scope is None:
            raise RuntimeError(f"the block of {self.ctx!r} is left in another goroutine than it was entered in")
        scope.__exit__()


class use(Scope):
    """Ends every blocking call inside when ctx ends, with the cause of that.

    >>> import grt
    >>> ctx, cancel = grt.context.with_cancel(grt.context.background())
    >>> cancel()
    >>> with grt.context.use(ctx):
    ...     grt.sleep(60)
    Traceback (most recent call last):
    grt.context.Canceled: context canceled

    It concerns the goroutine that enters it, like grt.timeout, and nests with that: `expired` tells afterwards whether
    it was this context that ended a call.
    """

    __slots__ = ("ctx",)

    def __init__(self, ctx: Context) -> None:
        super().__init__()
        self.ctx = checked(ctx)

    def __repr__(self) -> str:
        return f"<grt.context.use of {self.ctx!r}>"

    def __enter__(self) -> "use":
        deadline = self.ctx.deadline
        self.open(NEVER if deadline is None else deadline)
        if self.ctx._ending is not None:
            self.ctx._ending.attach(self)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.ctx._ending is not None:
            self.ctx._ending.detach(self)
        self.shut()

    def finish(self, err: BaseException, cause: BaseException) -> Iterable[Dependent]:
        self.end()
        return ()

    def error(self) -> BaseException:
        cause = self.ctx.cause
        assert cause is not None
        if type(cause) in (Canceled, DeadlineExceeded):
            return type(cause)(*cause.args)  # each call its own: the traceback of one raised again and again only grows
        return cause.with_traceback(None)


class Call:
    """A function that `after_func` is to call."""

    __slots__ = ("caller", "context", "ending", "fn", "proc", "waiting")

    def __init__(self, ending: Ending | None, fn: Callable[[], object], caller: Any) -> None:
        self.ending = ending
        self.fn = fn
        self.caller = (caller.f_code, caller.f_lasti)
        self.context = contextvars.copy_context()
        self.proc: Any = here()  # in whose thread it will run
        self.waiting = [True]  # emptied by the first stop of one that has no ending

    def finish(self, err: BaseException, cause: BaseException) -> Iterable[Dependent]:
        if peek() is self.proc:
            self.start()
        else:
            self.proc.loop.call_soon(self.start)
        return ()

    def start(self) -> None:
        self.context.run(go_for, None, *self.caller, self.fn, (), {})

    def stop(self) -> bool:
        """Takes the call back; returns False if it has been made, or taken back, already."""
        if self.ending is not None:
            return self.ending.detach(self)
        return bool(self.waiting) and self.waiting.pop()


_background = Context(None, None)


def background() -> Context:
    """The context that never ends and has no values: what all others are derived from.

    >>> ctx = background()
    >>> ctx.done, ctx.err, ctx.deadline
    (None, None, None)
    """
    return _background


def with_cancel(parent: Context) -> Derived:
    """Derives a context that ends when its cancel is called, or with parent.

    >>> ctx, cancel = with_cancel(background())
    >>> cancel()
    >>> ctx.err
    Canceled('context canceled')
    """
    ending = Ending(checked(parent)._ending, NEVER, "")
    return Derived(Context(parent, ending), ending.cancel)


def with_cancel_cause(parent: Context) -> Derived:
    """Like `with_cancel`, but cancel takes the exception that is the cause.

    >>> ctx, cancel = with_cancel_cause(background())
    >>> cancel(ValueError("spam"))
    >>> ctx.err, ctx.cause
    (Canceled('context canceled'), ValueError('spam'))
    """
    ending = Ending(checked(parent)._ending, NEVER, "")
    return Derived(Context(parent, ending), ending.cancel_cause)


def with_deadline(parent: Context, when: float) -> Derived:
    """Derives a context that ends at when, in seconds of time.monotonic, unless cancel is called or parent ends before.

    A deadline later than the parent's is ignored.

    >>> import time
    >>> with with_deadline(background(), time.monotonic() + 60) as ctx:
    ...     ctx.deadline > time.monotonic()
    True
    """
    try:
        left = when - now()
    except TypeError:
        raise TypeError(f"a deadline is a moment of time.monotonic, not {when!r}") from None
    if left != left:
        raise ValueError(f"a deadline is a moment of time.monotonic, not {when!r}")
    return until(parent, when, f"the deadline of grt.context.with_deadline, {left:.3g} s after the call, has passed")


def with_timeout(parent: Context, seconds: float) -> Derived:
    """Derives a context that ends after so many seconds, unless cancel is called or parent ends before.

    >>> import grt
    >>> with grt.context.with_timeout(grt.context.background(), 0.001) as ctx:
    ...     grt.sleep(60)
    Traceback (most recent call last):
    grt.context.DeadlineExceeded: context deadline exceeded: the 0.001 s of grt.context.with_timeout are over
    """
    when = moment_in(seconds, "a timeout is a number of seconds")
    return until(parent, when, f"the {seconds} s of grt.context.with_timeout are over")


def until(parent: Context, when: float, words: str) -> Derived:
    ending = Ending(checked(parent)._ending, when, words)
    return Derived(Context(parent, ending), ending.cancel)


def with_value(parent: Context, key: object, value: object) -> Context:
    """Derives a context that has value for key; it ends with parent. Let key be an object of your own, not a string.

    >>> USER = object()
    >>> with_value(background(), USER, "spam").value(USER)
    'spam'
    """
    if key is None:
        raise TypeError("the key of a context's value must not be None")
    return Context(checked(parent), parent._ending, key, value)


def without_cancel(parent: Context) -> Context:
    """Derives a context that has the values of parent, but neither its end nor its deadline."""
    return Context(checked(parent), None)


def cause(ctx: Context) -> BaseException | None:
    """What the one who cancelled ctx gave as the cause; its `err` if nobody did; None before its end."""
    return checked(ctx).cause


def after_func(ctx: Context, fn: Callable[[], object]) -> Callable[[], bool]:
    """Calls fn() in a goroutine of this thread once ctx has ended, maybe at once. Returns stop, which takes it back.

    stop() returns whether it was in time; it does not wait for an fn that is running.

    >>> import grt
    >>> ctx, cancel = with_cancel(background())
    >>> stop = after_func(ctx, lambda: print("ended"))
    >>> cancel(); grt.gosched()
    ended
    >>> stop()
    False
    """
    if not callable(fn):
        raise TypeError(f"after_func takes a function without arguments, not {fn!r}")
    ending = checked(ctx)._ending
    call = Call(ending, fn, sys._getframe(1))
    if ending is not None:
        ending.attach(call)
    return call.stop


def checked(ctx: Context) -> Context:
    if not isinstance(ctx, Context):
        raise TypeError(f"a context is wanted here, as grt.context.background() is one, not {ctx!r}")
    return ctx
