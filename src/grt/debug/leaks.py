"""The leak report: goroutines and connections that are still there when the program ends.

Threads: any may switch it on; the reports are made by the thread that ends.
"""

import atexit
import gc
import os
import sys
from collections.abc import Iterable
from typing import Any

from grt._core.goroutine import Goroutine
from grt._core.netfd import NetFD
from grt._core.procs import procs

__all__ = ["at_end_of_run", "report_leaks"]

_on = "leaks" in os.environ.get("GRT_DEBUG", "").split(",")


def report_leaks(on: bool = True) -> None:
    """Makes the program print, when it ends, the goroutines that are still alive and where they were started.

    That is when the main function of `grt.run` has returned, before they are cancelled, and at the interpreter's
    exit; there, connections and listeners that nobody has closed are listed too. GRT_DEBUG=leaks in the environment
    does the same.
    """
    global _on
    _on = on


def at_end_of_run(left: Iterable[Goroutine]) -> None:
    """What `grt.run` calls with the goroutines that it is about to cancel."""
    if _on:
        tell("goroutines are still alive at the end of grt.run, which cancels them", list(left))


def at_exit() -> None:
    if _on:
        tell("goroutines are still alive", [g for proc in procs() for g in proc.living() if g is not proc.main])
        tell(
            "connections or listeners were not closed",
            [thing for thing in gc.get_objects() if isinstance(thing, NetFD) and not thing.closed],
        )


def tell(what: str, left: list[Any]) -> None:
    """Prints what is left, if anything."""
    if left:
        print(f"grt: {len(left)} {what}:", *map(line, left), sep="\n  ", file=sys.stderr, flush=True)


def line(thing: Any) -> str:
    if isinstance(thing, Goroutine) and thing.started_at is not None:
        return "{!r}, started at {}:{}".format(thing, *thing.started_at)
    return repr(thing)


atexit.register(at_exit)
