"""Groups: goroutines that end together, and no later than the block that starts them.

Invariants: a child is in `children` from its start until it is done, and the block ends only when none is left; from
then on `go` starts nothing. A child's error is either raised by the block or reported through grt.excepthook.
Threads: children may be of any thread, each of the one in which `go` was called; `guard` protects what they share.
Rejected: a wrapper around each child's function (a goroutine that is cancelled before its start never runs it: the
scheduler tells of each end instead); cancelling the body by Goroutine.cancel (it could hit a call after the block).
"""

import builtins
import operator
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from grt._core.errors import Cancelled, Failure
from grt._core.go import current, go_for, gosched
from grt._core.goroutine import Goroutine
from grt._core.semaphore import Semaphore, WaitQueue
from grt.scope import NEVER, Scope, restrict

__all__ = ["Group", "group"]

ErrorGroup: Any = getattr(builtins, "BaseExceptionGroup", None)  # from Python 3.11 on


class Group(Scope):
    """Goroutines that end together: made by `grt.group`, entered by `with`."""

    __slots__ = (
        "cancelled", "children", "ended_by", "entered", "errors", "failures", "guard", "idle", "over", "places",
        "stopped",
    )  # fmt: skip

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        if limit is not None and operator.index(limit) < 1:
            raise ValueError(f"limit is how many goroutines of a group run at once, at least 1, not {limit}")
        self.guard = threading.Lock()  # guards the next five; nobody blocks, and nobody else's code runs, with it held
        self.children: set[Goroutine] = set()  # those that have not ended
        self.errors: list[BaseException] = []  # what they, and the block, have raised, in the order in which it came
        self.failures: list[Failure] = []  # of those that they have raised: reported later unless the block raises them
        self.cancelled = False  # whether all of them are to end
        self.entered = False  # whether the block has begun
        self.over = False  # whether it has ended
        self.idle = WaitQueue()  # the block, waiting for the last child
        self.places = None if limit is None else Semaphore(limit)  # for those that may run at once
        self.stopped: BaseException | None = None  # what `error` made: the end of the block's own blocking call
        self.ended_by: BaseException | None = None  # the KeyboardInterrupt or SystemExit of a child

    def __repr__(self) -> str:
        state = "ended" if self.over else "cancelled" if self.cancelled else "running"
        return f"<Group of {len(self.children)} goroutines, {state}, at {id(self):#x}>"

    def go(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Goroutine:
        """Starts fn(*args, **kwargs) as a goroutine of the group and returns it; see `grt.go`.

        Waits for a place first where the group has a limit and as many are running: first come, first served. Once
        the group is cancelled what is started never runs: it is cancelled too. Raises RuntimeError before the block
        and after it. A child may call it as well; but with a limit it holds its own place while it waits for another.
        """
        self.check_open()
        if self.places is not None:
            self.places.acquire()
        caller = sys._getframe(1)
        try:
            child = go_for(self.ended, caller.f_code, caller.f_lasti, fn, args, kwargs)
        except BaseException:
            if self.places is not None:
                self.places.release()
            raise
        with self.guard:
            late = self.cancelled or self.over
            if not self.over and not child.done:
                self.children.add(child)
        if late:
            child.cancel()
            self.check_open()
        return child

    def check_open(self) -> None:
        if self.over:
            raise RuntimeError("this group has ended, and no goroutine of it may outlive its block")
        if not self.entered:
            raise RuntimeError("this group has not been entered: use it as in `with grt.group() as g: g.go(fn)`")

    def cancel(self) -> None:
        """Ends all of it quietly: the children and the block, in which the current or next blocking call raises
        grt.Cancelled for the block to swallow. Any thread may ask; never blocks; asking again does nothing.
        """
        with self.guard:
            if self.cancelled:
                return
            self.cancelled = True
        self.cancel_children()
        self.end()

    def cancel_children(self) -> None:
        with self.guard:
            children = list(self.children)
        for child in children:
            child.cancel()

    def ended(self, child: Goroutine, failure: Failure | None) -> None:
        """Called by the scheduler when child is done."""
        if failure is not None and isinstance(failure.error, Cancelled):
            failure = None
        if failure is not None:
            self.keep_failure(failure)
        with self.guard:
            self.children.discard(child)
            if not self.children:
                self.idle.wake()
        if self.places is not None:
            self.places.release()
        if failure is not None:
            self.cancel()

    def error(self) -> BaseException:
        """For the block's own call that `cancel` ends: one and no more, as for any goroutine that is cancelled."""
        assert self.goroutine is not None
        self.deadline = NEVER
        restrict(self.goroutine, self.goroutine.scope)
        self.stopped = Cancelled(f"{self!r} was cancelled")
        return self.stopped

    def __enter__(self) -> "Group":
        if self.entered:
            raise RuntimeError("this group has been entered before: make one for each block")
        self.open(NEVER)
        self.entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.shut()
        interruption = self.wait_for_children(None if error is self.stopped else error)
        if interruption is not None and not isinstance(interruption, Exception):
            return raise_again(interruption, error)  # what children have raised is left to grt.excepthook
        if self.ended_by is not None:
            gosched()  # raises it here if this is the main goroutine
            raise Cancelled(f"the program is ended, by {self.ended_by!r} in a goroutine of {self!r}")
        for failure in self.failures:
            failure.report = None
        self.failures.clear()
        if len(self.errors) > 1 and ErrorGroup is not None:
            raise ErrorGroup(f"{len(self.errors)} errors in a grt.group", self.errors) from None
        return raise_again(self.errors[0], error) if self.errors else True

    def wait_for_children(self, error: BaseException | None) -> BaseException | None:
        """Waits until they have ended, cancelled if the block was left by error, or once something interrupts the wait.

        Returns what interrupted it last, or else error.
        """
        g = current()
        scope: Scope | None = g.scope
        if error is not None:
            self.keep_error(error)
            self.cancel()
            if scope is not None and scope.earliest().expired:  # which has been said, and the clean-up takes its time
                g.set_deadline(NEVER, None)
        try:
            while True:
                try:
                    self.wait_idle()
                    return error
                except BaseException as interruption:
                    error = interruption
                self.keep_error(error)
                if self.cancelled and not isinstance(error, Exception):
                    self.cancel_children()
                else:
                    self.cancel()
                g.set_deadline(NEVER, None)  # it may have passed, and would end the wait for the clean-up at once
        finally:
            restrict(g, scope)

    def keep_error(self, error: BaseException) -> None:
        """Notes what the block has raised. What ends its goroutine, or the program, goes its own way."""
        with self.guard:
            if isinstance(error, Exception) and all(error is not e for e in self.errors):
                self.errors.append(error)

    def keep_failure(self, failure: Failure) -> None:
        """Notes what a child has raised. Of what ends the program the scheduler has told the main goroutine."""
        error = failure.error
        with self.guard:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self.ended_by = error
                return
            self.failures.append(failure)
            if all(error is not e for e in self.errors):  # it may be another child's, by `result`
                self.errors.append(error)

    def wait_idle(self) -> None:
        while True:
            self.guard.acquire()
            if not self.children:
                self.over = True
                self.guard.release()
                return
            self.idle.wait(self.guard, self, NEVER)


def raise_again(error: BaseException, leaving: BaseException | None) -> bool:
    """Raises error as it is: where it passes now is no context of it. Returns False if it is the one leaving anyway."""
    if error is leaving:
        return False
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context


def group(limit: int | None = None) -> Group:
    """Goroutines that end together, and no later than the block that starts them; limit is how many run at once.

    >>> import grt
    >>> with grt.group() as g:
    ...     spam = g.go("spam".upper)
    ...     eggs = g.go("eggs".upper)
    >>> spam.result(), eggs.result()
    ('SPAM', 'EGGS')

    The block ends when all of its goroutines have ended, also those that these started with `g.go`. The first error, of
    one of them or of the block itself, cancels all others, the block included, and is raised at its end. Several
    errors are raised as an ExceptionGroup; Python 3.10, which has none, raises the first. `g.errors` lists them, in the
    order in which they came.

    A cancellation, a timeout or an interrupt of the block, or while it waits at its end, cancels the goroutines too,
    and goes on when they have cleaned up. A deadline does not cut their clean-up short; a further cancellation is
    passed on to them. A goroutine that alone is cancelled, by its own `cancel`, is no error, and the others go on.
    """
    return Group(limit)
