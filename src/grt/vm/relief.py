"""What stands in for a VM's thread while a goroutine computes there: channels that others want are sent on.

Without it every channel that a VM has would wait for the end of its computing, and several VMs that share the jobs of
one channel would work one after the other.
Threads: one of its own. It takes no part while the VM's thread waits, or switches between goroutines.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import peek

__all__ = ["relieve"]

PACE = 0.002, 0.05  # seconds between two looks: while the thread computes, and, growing to it, while it waits


def relieve(step: Callable[[], object]) -> None:
    """Has step called every now and then while the calling thread runs one goroutine without a switch."""
    threading.Thread(target=watch, args=(peek(), step), name="grt relief", daemon=True).start()


def watch(proc: Any, step: Callable[[], object]) -> None:
    pause, picks = PACE[1], -1
    while True:
        time.sleep(pause)
        if proc.loop.waiting:
            pause = min(2 * pause, PACE[1])
        else:
            pause = PACE[0]
            if proc.picks == picks:
                with contextlib.suppress(OSError, Closed):  # the wire has ended, and so will the VM
                    step()
        picks = proc.picks
