"""What stands in for a thread while a goroutine computes there: channels that others want are sent on.

Without it every channel that a VM has would wait for the end of its computing, and several VMs that share the jobs of
one channel would work one after the other; the main program, which all messages go through, would hold up all VMs.
Threads: one of its own. It takes no part while the thread that it relieves waits, or switches between goroutines.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import peek
from grt.vm.crossing import Station
from grt.vm.wire import Wire

__all__ = ["relieve", "step_in"]

PACE = 0.002, 0.05  # seconds between two looks: while the thread computes, and, growing to it, while it waits
LIVELY = 400_000  # switches a second of a thread that does nothing else: it needs no relief, and a look costs it time


def relieve(step: Callable[[], object]) -> threading.Event:
    """Has step called every now and then while the calling thread runs one goroutine without a switch.

    That ends when what it returns is set.
    """
    over = threading.Event()
    threading.Thread(target=watch, args=(peek(), step, over), name="grt relief", daemon=True).start()
    return over


def step_in(wires: list[Wire], station: Station) -> bool:
    """Does once what the goroutines of wires and of station do; returns whether a wire's other end has gone."""
    gone = False
    for wire in wires:
        with contextlib.suppress(OSError, Closed):  # nothing has come, or it has ended: who reads will see
            gone |= wire.take_in() is True
    station.catch_up()
    for wire in wires:
        with contextlib.suppress(OSError, Closed):
            wire.write_frames()
    return gone


def watch(proc: Any, step: Callable[[], object], over: threading.Event) -> None:
    pause, picks = PACE[1], -1
    while not over.wait(pause):
        if proc.loop.waiting or proc.picks - picks > LIVELY * pause:
            pause = min(2 * pause, PACE[1])
        else:
            pause = PACE[0]
            if proc.picks == picks:
                step()
        picks = proc.picks
