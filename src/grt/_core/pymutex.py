"""The lock around what two threads can reach, in plain Python: the twin of cmutex.pxd.

Real on every interpreter: bytecode can be interrupted anywhere.
"""

from threading import Lock as mutex_new

__all__ = ["mutex", "mutex_lock", "mutex_new", "mutex_unlock"]

mutex = mutex_new


def mutex_lock(lock: mutex) -> None:
    lock.acquire()


def mutex_unlock(lock: mutex) -> None:
    lock.release()
