"""Synchronisation between goroutines, of one thread or of several."""

from grt._core.semaphore import Mutex, Semaphore

__all__ = ["Mutex", "Semaphore"]
