"""Scopes: stretches of a goroutine's way whose blocking calls end early: timeouts, groups, contexts in use.

Scopes nest: a goroutine knows its innermost one, and each the one around it. What ends a call is the earliest of their
deadlines, and the scope that it belongs to makes the exception, which names it.

Invariants: a goroutine's `deadline` is the earliest of its scopes'. Only its own thread changes it, so an end that
another thread asks for either finds the scope open or does nothing: it never hits a call behind the scope.
Threads: the goroutine's own; `end` may be called from any.
Rejected: ending a scope by Goroutine.throw (what is thrown stays pending after the scope is left).
"""

from types import TracebackType
from typing import Any

from grt._core.go import current
from grt._core.goroutine import Goroutine, peek
from grt._core.timers import deadline_of

__all__ = ["NEVER", "Scope", "restrict", "timeout"]

NEVER = deadline_of(None)  # the moment that does not come
PAST = -NEVER  # the one that has always been


class Scope:
    """What `timeout` and its like have in common. They open and shut it, and say in `error` why a call ended."""

    __slots__ = ("deadline", "expired", "goroutine", "outer")

    def __init__(self) -> None:
        self.goroutine: Goroutine | None = None  # whose scope it is, while it is open
        self.outer: Scope | None = None  # the one around it
        self.deadline = NEVER  # the moment at which its calls end
        self.expired = False  # whether this scope, and not an inner or outer one, ended a call

    def open(self, deadline: float) -> None:
        """Makes it the current goroutine's innermost scope."""
        if self.goroutine is not None:
            raise RuntimeError(f"{self!r} is entered already: make one for each block")
        g = current()
        self.goroutine = g
        self.outer = g.scope
        self.deadline = deadline
        self.expired = False
        g.set_deadline(min(deadline, g.deadline), self)

    def shut(self) -> None:
        """Takes it away again."""
        g = self.goroutine
        assert g is not None
        self.goroutine = None
        innermost: Scope | None = g.scope
        if innermost is self:
            innermost = self.outer
        else:  # left before those inside it: a generator's scope, for instance
            inner = innermost
            while inner is not None and inner.outer is not self:
                inner = inner.outer
            if inner is not None:
                inner.outer = self.outer
        self.outer = None
        restrict(g, innermost)

    def end(self) -> None:
        """Ends the blocking call that is going on inside, and each that is still begun there. Any thread may ask."""
        g = self.goroutine
        if g is None:
            return
        proc: Any = g.proc
        if peek() is proc:
            self.end_here()
        else:
            proc.loop.call_soon(self.end_here)

    def end_here(self) -> None:
        g = self.goroutine
        if g is None:
            return
        self.deadline = PAST
        restrict(g, g.scope)
        if g.deadline == PAST:
            g.expire()  # as its timer does: that wins if it is parked, and nobody has won yet

    def earliest(self) -> "Scope":
        """The one with the earliest deadline of this and those around it; of equals the outermost."""
        found = self
        scope = self.outer
        while scope is not None:
            if scope.deadline <= found.deadline:
                found = scope
            scope = scope.outer
        return found

    def expiry(self) -> BaseException:
        """The exception for a call of this goroutine, whose innermost scope it is, that the deadline ends."""
        owner = self.earliest()
        owner.expired = True
        return owner.error()

    def error(self) -> BaseException:
        """The exception for a call that this very scope ends."""
        raise NotImplementedError


def restrict(g: Goroutine, innermost: Scope | None) -> None:
    """Makes innermost the scope of g, and the deadline what it and those around it ask for."""
    g.set_deadline(NEVER if innermost is None else innermost.earliest().deadline, innermost)


class timeout(Scope):
    """Ends every blocking call inside with TimeoutError once so many seconds have passed since its beginning.

    >>> import grt
    >>> with grt.timeout(5):
    ...     grt.sleep(0.001)

    Scopes nest: the earliest deadline counts, and `expired` tells afterwards whose it was. A goroutine that is started
    inside is not concerned.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        if seconds is not None and not isinstance(seconds, (int, float)):
            raise TypeError(f"grt.timeout takes a number of seconds or None, not {seconds!r}")
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"<grt.timeout of {self.seconds} s>"

    def __enter__(self) -> "timeout":
        self.open(deadline_of(self.seconds))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()

    def error(self) -> TimeoutError:
        return TimeoutError(f"timed out: the {self.seconds} s of grt.timeout are over")
