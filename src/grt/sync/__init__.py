"""Synchronisation between goroutines, of one thread or of several: Go's sync, and what threading has beside it.

All are fair, first come first served. What never waits (unlock, done, set, notify, the try_ ones) may be called from
any thread, and where nothing may block. Of these only Event.set, Mutex and Semaphore are for a signal's handler and
for finalizers: the others take a lock that the same thread may just be holding.
"""

from grt._core.semaphore import Mutex, Semaphore
from grt.sync.barrier import Barrier
from grt.sync.cond import Cond
from grt.sync.event import Event
from grt.sync.once import Once
from grt.sync.rwmutex import RWMutex
from grt.sync.waitgroup import WaitGroup

__all__ = ["Barrier", "Cond", "Event", "Mutex", "Once", "RWMutex", "Semaphore", "WaitGroup"]
