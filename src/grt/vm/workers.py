"""VMs that serve: each accepts from a listener that the main program keeps, so nobody is refused in between.

Invariants: for each listener there is one VM that accepts, or one that is about to. A VM that is replaced stops
accepting when its successor has begun, and ends when what it serves has ended.
Threads: any; `mutex` is held by whoever starts or replaces VMs.
"""

from collections.abc import Callable, Sequence
from typing import Any

from grt._core.chan import Chan, chan
from grt._core.errors import Cancelled
from grt._core.go import go, sleep
from grt._core.goroutine import Goroutine
from grt._core.semaphore import Mutex
from grt._core.timers import now
from grt.scope import timeout as time_limit
from grt.vm.machine import VM

__all__ = ["Workers", "attempt", "end"]

LATE = 3.0  # seconds beyond its time that a VM has to say how it has ended: one that computes never does
PAUSE = 0.1, 5.0  # seconds until a VM that has died is replaced, doubling while they die within the longest of these


class Worker:
    """A VM that serves."""

    __slots__ = ("killed", "ready", "serving", "stop", "vm")

    def __init__(self, serve: Callable[..., int], listener: Any, args: Sequence[Any]) -> None:
        """Starts it."""
        self.vm = VM()
        self.killed = False
        self.ready: Chan[None] = chan(1)
        self.stop: Chan[float | None] = chan(1)  # told how many seconds there are to end in
        try:
            self.serving: Goroutine = self.vm.go(serve, listener, self.ready, self.stop, *args)
        except BaseException:
            self.vm.kill()
            self.vm.join()
            raise
        go(end_with, self.serving, self.ready)

    def begin(self) -> None:
        """Waits until it accepts."""
        try:
            if not self.ready.recv_ok()[1] and self.vm.alive and not self.killed:
                self.serving.result()  # raises what it ended by; a VM that has died is replaced
        except (Exception, Cancelled):
            self.kill()
            self.vm.join()
            raise
        except BaseException:  # the program ends, and nothing can wait any more
            self.kill()
            raise

    def kill(self) -> None:
        """Ends it at once, which is nobody's failure. Never blocks."""
        self.killed = True
        self.serving.cancel()
        self.vm.kill()

    def finish(self, timeout: float | None) -> int:
        """Has it stop; returns how many connections were cut: 1 if it cannot say, for it has not ended by itself."""
        try:
            self.stop.send(timeout)
            with time_limit(None if timeout is None else timeout + LATE) as limit:
                try:
                    self.serving.join()
                except TimeoutError:
                    if not limit.expired:
                        raise
                    self.kill()
            self.vm.close()
            return self.cut()
        finally:
            self.kill()

    def cut(self) -> int:
        try:
            cut: int = self.serving.result()
        except (Exception, Cancelled):
            return 1
        return cut

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

    __slots__ = ("args", "beginning", "keepers", "listeners", "mutex", "retiring", "serve", "stopping", "workers")

    def __init__(self, serve: Callable[..., int], listeners: Sequence[Any], *args: Any) -> None:
        self.serve = serve
        self.listeners = listeners
        self.args = args
        self.mutex = Mutex()
        self.stopping = False
        self.workers: list[Worker] = []
        self.beginning: set[Worker] = set()  # those that do not accept yet
        self.retiring: set[Worker] = set()  # those that were replaced, and finish what they serve
        self.keepers: list[Goroutine] = []

    def start(self) -> None:
        """Starts all; returns when they accept."""
        with self.mutex:
            for listener in self.listeners:
                if self.stopping:
                    return
                self.workers.append(self.begin(listener))
            self.keepers = [go(self.keep, at) for at in range(len(self.listeners))]

    def begin(self, listener: Any) -> Worker:
        worker = Worker(self.serve, listener, self.args)
        self.beginning.add(worker)
        try:
            worker.begin()
        finally:
            self.beginning.discard(worker)
        return worker

    def keep(self, at: int) -> None:
        """Replaces the VM of a listener whenever it has died."""
        pause = PAUSE[0]
        while not self.stopping:
            worker, begun = self.workers[at], now()
            worker.vm.join()
            if now() - begun > PAUSE[1]:
                pause = PAUSE[0]
            sleep(pause)
            pause = min(2 * pause, PAUSE[1])
            with self.mutex:
                if not self.stopping and self.workers[at] is worker:
                    attempt(self.replace, at)

    def replace(self, at: int) -> None:
        self.workers[at] = self.begin(self.listeners[at])

    def restart(self, timeout: float | None) -> int:
        """Replaces all, one after the other; returns how many connections were cut after timeout seconds each."""
        cut = 0
        for at in range(len(self.listeners)):
            with self.mutex:
                if self.stopping or at == len(self.workers):
                    break
                old = self.workers[at]
                self.replace(at)
                self.retiring.add(old)
                self.keepers[at].cancel()  # which waits for the end of the old one
                self.keepers[at] = go(self.keep, at)
            try:
                if old.vm.alive:
                    cut += old.finish(timeout)
            finally:
                self.retiring.discard(old)
        return cut

    def finish(self, timeout: float | None) -> int:
        """Ends all; returns how many connections were cut. At once, if who waits for it is interrupted."""
        self.stopping = True
        try:
            self.await_beginning(timeout)
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
        return sum(g.result() for g in ending)  # what the others cut is told to whoever replaced them

    def await_beginning(self, timeout: float | None) -> None:
        """Waits until those that begin have begun; what has not after timeout seconds is ended."""
        with time_limit(timeout) as limit:
            try:
                self.mutex.lock()
            except TimeoutError:
                if not limit.expired:
                    raise
                for worker in self.beginning:
                    worker.kill()
            else:
                self.mutex.unlock()

    def kill(self) -> None:
        """Ends all at once. Never blocks."""
        self.stopping = True
        for keeper in self.keepers:
            keeper.cancel()
        self.keepers = []  # whose frames lead here
        for worker in (*self.workers, *self.beginning, *self.retiring):
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


def end_with(serving: Goroutine, ready: Chan[None]) -> None:
    """Ends the wait for one that has failed to begin."""
    serving.join()
    if not ready.closed:
        ready.close()
