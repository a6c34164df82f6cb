"""A pool of VMs: as many as there are cores, each call to the one that has the least to do."""

import operator
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import Goroutine
from grt._core.semaphore import pace
from grt.vm.machine import GRACE, VM

__all__ = ["Pool"]


class Pool:
    """Several VMs that share the work. One that dies is replaced; what it was doing raises grt.Closed.

    >>> import grt, math
    >>> with grt.vm.Pool(2) as pool:
    ...     list(pool.map(math.factorial, [3, 4, 5]))
    [6, 24, 120]
    """

    def __init__(self, size: int | None = None) -> None:
        """Starts size VMs, one for each usable core by default."""
        self.size = len(usable_cores()) if size is None else operator.index(size)
        if self.size < 1:
            raise ValueError(f"a pool needs at least one VM, not {size}")
        self.closed = False
        self.vms: list[VM] = []
        try:
            while len(self.vms) < self.size:
                self.vms.append(VM())
        except BaseException:
            self.kill()
            raise

    def __repr__(self) -> str:
        return f"<Pool of {self.size} VMs{' closed' if self.closed else ''}>"

    def go(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Goroutine:
        """Starts fn(*args, **kwargs) in the VM with the fewest calls; see VM.go."""
        return self.least_busy().go(fn, *args, **kwargs)

    def least_busy(self) -> VM:
        """The VM with the fewest calls; a new one in place of each that has died."""
        if self.closed:
            raise Closed("the pool is closed")
        for at, vm in enumerate(self.vms):
            if not vm.alive:
                self.vms[at] = VM()
        return min(self.vms, key=lambda vm: vm.running)

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        """What fn returns for the items of iterables, in their order, as the built-in map; all start at once.

        The first that raises ends it, and cancels those that are left.
        """
        calls: list[Goroutine] = []
        try:
            for items in zip(*iterables, strict=False):
                pace()
                calls.append(self.go(fn, *items))
            for call in calls:
                yield call.result()
        finally:
            for call in calls:
                call.cancel()

    def close(self, timeout: float | None = GRACE) -> None:
        """Cancels what still runs, and waits for the end of all; kills them after timeout seconds."""
        self.closed = True
        for vm in self.vms:
            vm.close(timeout)

    def kill(self) -> None:
        """Ends all at once."""
        self.closed = True
        for vm in self.vms:
            vm.kill()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        if kind is not None:
            for vm in self.vms:
                vm._abandon()
        self.close()


def usable_cores() -> "set[int] | range":
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)
