"""Synchronisation between goroutines, of one thread or of several: Go's sync, and what threading has beside it.

All are fair, first come first served. What never waits (unlock, done, set, notify, the try_ ones) may be called from
any thread, and where nothing may block. A signal's handler and a finalizer, which can come in the midst of anything,
may call Event.set and what Mutex and Semaphore have, in the compiled build; in the pure one, and for all else, let
them leave it to the loop: `grt.current_loop().call_soon(event.set)`.
"""

from grt._core.semaphore import Mutex, Semaphore
from grt.sync.barrier import Barrier
from grt.sync.cond import Cond
from grt.sync.event import Event
from grt.sync.once import Once
from grt.sync.rwmutex import RWMutex
from grt.sync.waitgroup import WaitGroup

__all__ = ["Barrier", "Cond", "Event", "Mutex", "Once", "RWMutex", "Semaphore", "WaitGroup"]
