"""Goroutines that tests start, and end again."""

import sys
import time
from collections.abc import Callable
from typing import Any

import greenlet

import grt
from grt import offload

# The interpreter holds locks while list(), b"".join and their like run an iterator's code, where there is no GIL: a
# goroutine that blocks in there needs a greenlet that lets go of them. The compiled build does it by itself.
NO_GIL = not getattr(sys, "_is_gil_enabled", lambda: True)()
LOCKS_HELD = NO_GIL and not grt.__compiled__ and greenlet.__version__ < "3.5.3"


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


def all_idle() -> None:
    """Waits until no thread of grt.blocking's pool makes a call."""
    deadline = time.monotonic() + 60
    while len(offload.pool.idle) < offload.pool.workers:
        assert time.monotonic() < deadline, "a thread of the pool is still busy"
        grt.sleep(0.001)
