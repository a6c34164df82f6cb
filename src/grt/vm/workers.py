"""VMs that serve: each accepts from a listener that the main program keeps, so nobody is refused in between.

Invariants: for each listener there is one VM that accepts, or one that is about to. A VM that is replaced stops
accepting when its successor has begun, and ends when what it serves has ended.
Threads: any; `mutex` is held by whoever replaces VMs.
"""

from collections.abc import Callable, Sequence
from typing import Any

from grt._core.chan import Chan, chan
from grt._core.errors import Cancelled
from grt._core.go import go, sleep
from grt._core.goroutine import Goroutine
from grt._core.semaphore import Mutex
from grt.scope import timeout as time_limit
from grt.vm.machine import VM

__all__ = ["Workers", "attempt", "end"]

LATE = 3.0  # seconds beyond its time that a VM has to say how it has ended: one that computes never does
PAUSE = 0.1, 5.0  # seconds until a VM that has died is replaced, doubling while they die at once


class Worker:
    """A VM that serves."""

    __slots__ = ("ended", "serving", "stop", "vm")

    def __init__(self, serve: Callable[..., int], listener: Any, args: Sequence[Any]) -> None:
        """Starts it; returns when it accepts."""
        self.vm = VM()
        self.serving: Goroutine | None = None
        try:
            ready: Chan[None] = chan(1)
            self.stop: Chan[float | None] = chan(1)  # told how many seconds there are to end in
            self.serving = self.vm.go(serve, listener, ready, self.stop, *args)
            go(end_with, self.serving, ready)
            if not ready.recv_ok()[1] and self.vm.alive:
                self.serving.result()  # raises what it ended by; a VM that has died is replaced
        except BaseException:
            self.end()
            raise

    def kill(self) -> None:
        """Ends it at once, which is nobody's failure. Never blocks."""
        if self.serving is not None:
            self.serving.cancel()
        self.vm.kill()

    def end(self) -> None:
        """Ends it at once, and waits for that."""
        self.kill()
        self.vm.join()

    def finish(self, timeout: float | None) -> int:
        """Has it stop; returns how many connections were cut: 1 if it cannot say, for it did not end in time."""
        assert self.serving is not None
        try:
            self.stop.send(timeout)
            with time_limit(None if timeout is None else timeout + LATE) as limit:
                try:
                    cut: int = self.serving.result()
                except TimeoutError:
                    if not limit.expired:
                        raise
                    cut = 1
                    self.kill()
            self.vm.close()
            return cut
        finally:
            self.kill()

    def await_end(self, timeout: float | None) -> None:
        """Waits until it has ended, for which it is told already, and ends it then."""
        try:
            self.vm.join(timeout)
        except TimeoutError:
            self.kill()


class Workers:
    """One VM for each of some listeners. serve(listener, ready, stop, *args) is what each runs.

    It sends to ready when it accepts; when it receives a number of seconds from stop it accepts no more, has what it
    serves end within these, and returns how many connections it had to cut.
    """

    __slots__ = ("args", "keepers", "listeners", "mutex", "retiring", "serve", "stopping", "workers")

    def __init__(self, serve: Callable[..., int], listeners: Sequence[Any], *args: Any) -> None:
        self.serve = serve
        self.listeners = listeners
        self.args = args
        self.mutex = Mutex()
        self.stopping = False
        self.workers: list[Worker] = []
        self.retiring: set[Worker] = set()  # those that were replaced, and finish what they serve
        self.keepers: list[Goroutine] = []
        try:
            for listener in listeners:
                self.workers.append(Worker(serve, listener, args))
        except BaseException:
            for worker in self.workers:
                worker.end()
            raise
        self.keepers = [go(self.keep, at) for at in range(len(listeners))]

    def keep(self, at: int) -> None:
        """Replaces the VM of a listener whenever it has died."""
        pause = PAUSE[0]
        while not self.stopping:
            worker = self.workers[at]
            worker.vm.join()
            with self.mutex:
                if not self.stopping and self.workers[at] is worker:
                    sleep(pause)
                    pause = min(2 * pause, PAUSE[1])
                    attempt(self.replace, at)

    def replace(self, at: int) -> None:
        self.workers[at] = Worker(self.serve, self.listeners[at], self.args)

    def restart(self, timeout: float | None) -> int:
        """Replaces all, one after the other; returns how many connections were cut after timeout seconds each."""
        cut = 0
        for at in range(len(self.listeners)):
            with self.mutex:
                if self.stopping:
                    break
                old = self.workers[at]
                self.replace(at)
            self.retiring.add(old)
            try:
                if old.vm.alive:
                    cut += old.finish(timeout)
            finally:
                self.retiring.discard(old)
        return cut

    def finish(self, timeout: float | None) -> int:
        """Ends all; returns how many connections were cut. At once, if who waits for it is interrupted."""
        try:
            with self.mutex:
                self.stopping = True
            for keeper in self.keepers:
                keeper.cancel()
            for listener in self.listeners:
                listener.close()
            ending = [go(worker.finish, timeout) for worker in self.workers if worker.vm.alive]
            for g in [*ending, *(go(worker.await_end, timeout) for worker in self.retiring)]:
                g.join()
        except BaseException:
            self.kill()
            raise
        return sum(map(cut_by, ending))  # what the others cut is told to whoever replaced them

    def kill(self) -> None:
        """Ends all at once. Never blocks."""
        self.stopping = True
        for keeper in self.keepers:
            keeper.cancel()
        for worker in (*self.workers, *self.retiring):
            worker.kill()

    def end(self) -> None:
        """Ends all at once, and waits for that."""
        self.kill()
        for worker in (*self.workers, *self.retiring):
            worker.vm.join()


def attempt(fn: Callable[..., object], *args: Any) -> None:
    """Calls fn in a goroutine of its own and waits for its end: what it raises is reported, and ends nobody else."""
    attempting = go(fn, *args)
    try:
        attempting.join()
    except BaseException:
        end(attempting)
        raise


def end(goroutine: Goroutine) -> None:
    goroutine.cancel()
    goroutine.join()


def cut_by(ending: Goroutine) -> int:
    """What Worker.finish has returned."""
    try:
        cut: int = ending.result()
    except (Exception, Cancelled):  # it has died: what it served is cut, however much that was
        return 1
    return cut


def end_with(serving: Goroutine, ready: Chan[None]) -> None:
    """Ends the wait for one that has failed to begin."""
    serving.join()
    if not ready.closed:
        ready.close()
