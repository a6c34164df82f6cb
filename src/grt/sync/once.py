"""Once: something that happens a single time, whoever comes first.

Threads: any, under `_mutex`, which whoever calls fn holds meanwhile.
"""

from collections.abc import Callable

from grt._core.errors import refuse_async
from grt._core.go import current
from grt._core.goroutine import Goroutine
from grt._core.semaphore import Mutex

__all__ = ["Once"]


class Once:
    """Calls a function a single time, whoever comes first; the others wait until that call has ended.

    >>> import grt
    >>> once = grt.sync.Once()
    >>> once.do(lambda: print("set up"))
    set up
    >>> once.do(lambda: print("set up"))
    """

    __slots__ = ("__weakref__", "_caller", "_mutex", "done")

    def __init__(self) -> None:
        self.done = False  # whether the call has ended
        self._mutex = Mutex()
        self._caller: Goroutine | None = None  # who is calling it now

    def __repr__(self) -> str:
        return f"<Once {'done' if self.done else 'not done'} at {id(self):#x}>"

    def do(self, fn: Callable[[], object], timeout: float | None = None) -> None:
        """Calls fn() if nobody has before; returns when that first call has ended.

        An exception of fn goes to the one who called it; done it is all the same. Raises TimeoutError if the call
        of another has not ended after timeout seconds, and RuntimeError if fn, or what it calls, asks for itself.
        """
        if not callable(fn):
            raise TypeError(f"once.do needs a function that it may call, once.do(fn), but got {fn!r}")
        refuse_async(fn)
        if self.done:
            return
        if self._caller is current():
            raise RuntimeError(f"{self!r} is asked for by the very function that it calls")
        self._mutex.lock(timeout)
        try:
            if not self.done:
                self._caller = current()
                try:
                    fn()
                finally:
                    self._caller = None
                    self.done = True
        finally:
            self._mutex.unlock()
