"""Goroutines that tests start, and end again."""

from collections.abc import Callable
from typing import Any

import grt


def blocked(fn: Callable[..., object], *args: object) -> grt.Goroutine:
    """Starts fn(*args), and returns its goroutine when that has run up to where it blocks."""
    g = grt.go(fn, *args)
    grt.gosched()
    assert not g.done
    return g


def living() -> list[grt.Goroutine]:
    """The calling thread's goroutines that have not ended; its own stack is the first."""
    proc: Any = grt.current().proc
    found: list[grt.Goroutine] = proc.living()
    return found


def end(*goroutines: grt.Goroutine) -> None:
    """Cancels goroutines and waits for their end."""
    for g in goroutines:
        g.cancel()
    for g in goroutines:
        g.join()
