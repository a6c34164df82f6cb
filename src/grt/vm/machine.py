"""VMs: isolated interpreters, each a process with goroutines of its own, for all cores on every Python.

Invariants: the VMs are the main program's, all of them: a VM starts none. When a VM's process has ended, however, its
descriptors are closed, its calls have failed and its channels are settled, before `join` returns.
Threads: any.
"""

import atexit
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from grt._core.chan import Chan
from grt._core.errors import Cancelled, Closed
from grt._core.go import current, go, go_for, gosched
from grt._core.goroutine import Goroutine
from grt.offload import blocking
from grt.scope import timeout as time_limit
from grt.vm import guest
from grt.vm.broker import Broker
from grt.vm.crossing import Station, lock, set_station
from grt.vm.errors import RemoteTraceback
from grt.vm.parcel import open_parcel, pack, whole
from grt.vm.relief import relieve, step_in
from grt.vm.wire import Wire

__all__ = ["VM"]

GRACE = 10.0  # seconds that `close` gives the goroutines of a VM to end, unless told otherwise
LEAVING = 5.0  # seconds from the end of a VM's wire to that of its process

_numbers = itertools.count(1)
_living: "set[VM]" = set()
_broker = Broker()
_station = Station(0, partial(_broker.handle_locked, 0), partial(_broker.handle_locked, 0))
_broker.ports[0] = _station.handle_locked
_courier: Goroutine | None = None  # runs the station while there are VMs
_in_fork = False  # whether a fork has made this process: the server that forks VMs serves its parent alone


class VM:
    """An isolated interpreter, in a process of its own.

    What it is given and what it gives back is sent: pickled, but for channels, connections and listeners, which cross
    as such. Functions are found by name, so the module that has them must be importable there; a program's own file is
    imported again, so what starts it belongs under `if __name__ == "__main__":`.

    >>> import grt, math
    >>> with grt.vm.VM() as vm:
    ...     vm.go(math.factorial, 5).result()
    120
    """

    def __init__(self, *, procs: int = 1) -> None:
        """Starts it. procs is the number of its threads that run goroutines."""
        if guest.number:
            raise RuntimeError(f"VM {guest.number} cannot start another: the main program starts all")
        self.number = next(_numbers)  # the first is 1; the main program is 0
        self.status: int | None = None  # its exit status, negative for a signal's number; None while it lives
        self._inherited = False  # whether this is the child of a fork
        self._abandoned = False  # whether its block was left by an exception
        self._calls: dict[int, Chan[Any]] = {}
        self._last_call = itertools.count(1)
        self._ended: Chan[None] = Chan()
        ours, theirs = socket.socketpair(), socket.socketpair()
        try:
            self._process: Any = blocking(start, self.number, ours[1], theirs[1], procs)
        except BaseException:
            for end in (*ours, *theirs):
                end.close()
            raise
        ours[1].close()
        theirs[1].close()
        for end in (ours[0], theirs[0]):
            end.setblocking(False)
        self.pid: int = self._process.pid
        self._wire = Wire(ours[0].detach(), theirs[0].detach())
        self._wire.name_of, self._wire.find = self._name_of, find
        self._wire.handle, self._wire.handle_call = partial(_broker.handle, self.number), self._handle_call
        self._wire.station = _station
        _broker.ports[self.number] = self._wire.post
        self._loop: Any = current().proc.loop  # of the thread that serves it
        _living.add(self)
        take_over()
        go(self._wire.write)
        go(self._serve)
        try:
            gosched()  # what has not begun is not ended with its thread
        except BaseException:
            self.kill()
            raise

    def __repr__(self) -> str:
        return f"<VM {self.number}, pid {self.pid}{'' if self.status is None else f', {self.epitaph}'}>"

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.status is None

    @property
    def running(self) -> int:
        """How many of its goroutines, started by `go`, have not ended."""
        return len(self._calls)

    @property
    def epitaph(self) -> str:
        """How it has ended, in words."""
        if self._inherited:
            return f"VM {self.number} is the parent's of this process, which a fork has made"
        status = self.status or 0
        if status < 0:
            return f"VM {self.number} was killed by {signal.Signals(-status).name} (exit status {status})"
        return f"VM {self.number} has ended (exit status {status})"

    def go(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Goroutine:
        """Starts fn(*args, **kwargs) there as a goroutine; what it returns stands for it here.

        Its `result` gives what fn returns, or raises what it raises, with the traceback there as its cause; `cancel`
        cancels it there. Raises TypeError if fn or an argument cannot be sent, and grt.Closed if the VM has ended.
        """
        if self.status is not None:
            raise Closed(self.epitaph)
        call, reply = next(self._last_call), Chan[Any](1)
        parcel = pack((fn, tuple(map(whole, args)), kwargs))
        self._calls[call] = reply
        self._wire.send(("go", call, parcel))
        caller = sys._getframe(1)
        forget = partial(self._forget, call)
        return go_for(forget, caller.f_code, caller.f_lasti, self._await, (call, reply), {})

    def _forget(self, call: int, *ended: object) -> None:
        """The goroutine that stood for call has ended: if no answer has come, it was cancelled, started or not."""
        if self._calls.pop(call, None) is not None:
            self._wire.send(("cancel", call))

    def _await(self, call: int, reply: Chan[Any]) -> Any:
        answer, _ = reply.recv_ok()
        self._calls.pop(call, None)
        if answer is None:
            gosched()  # when the program ends it was cancelled meanwhile, and nobody asks
            raise Cancelled(self.epitaph) if self._abandoned else Closed(self.epitaph)
        kind, parcel = answer
        value = open_parcel(parcel)
        if kind == "done":
            return value
        error, text = value
        raise error from RemoteTraceback(self, text)

    def close(self, timeout: float | None = GRACE) -> None:
        """Cancels what still runs there, and waits for its end; kills it after timeout seconds."""
        if self.status is None:
            self._wire.send(("exit",))
        try:
            self.join(timeout)
        except TimeoutError:
            self.kill()
            self.join()

    def kill(self) -> None:
        """Ends it at once (SIGKILL). Never blocks; `join` waits for its end."""
        if self.status is None:
            self._process.kill()

    def join(self, timeout: float | None = None) -> None:
        """Waits for its end; raises TimeoutError after timeout seconds."""
        with time_limit(timeout):
            self._ended.recv_ok()

    def __enter__(self) -> "VM":
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        if kind is not None:
            self._abandon()
        self.close()

    # -- behind it

    def _abandon(self) -> None:
        """Ends it at once, and with it what it was asked for: that counts as cancelled."""
        self._abandoned = True
        self.kill()

    def _serve(self) -> None:
        """Does what it says, to its end."""
        try:
            self._wire.read()
            blocking(self._process.join, LEAVING)
        finally:
            self._bury()

    def _handle_call(self, message: Any) -> None:
        kind, call, parcel = message
        reply = self._calls.get(call)
        if reply is not None:
            reply.try_send((kind, parcel))

    def _name_of(self, channel: Chan[Any]) -> Any:
        name = _station.name_of(channel)
        _broker.refer(self.number, name[0])
        return name

    def _bury(self) -> None:
        """Nothing blocks here: the program may be ending."""
        self._process.kill()
        self._process.join()
        self.status = self._process.exitcode
        self._process.close()
        _broker.bury(self.number, self.epitaph, self.status != 0)
        self._wire.finish()
        self._wire.close()
        for reply in list(self._calls.values()):
            reply.close()
        _living.discard(self)
        if not _living:
            stop_courier()
        self._ended.close()


def find(name: Any) -> Chan[Any]:
    channel = _station.find(name)
    _broker.refer(0, name[0])
    return channel


def start(number: int, conn: socket.socket, fd_conn: socket.socket, procs: int) -> Any:
    """A process that has been started, by a server that forks where there is one: that takes a few milliseconds."""
    import multiprocessing  # here, for it is large, and most programs do without

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "a program that starts VMs is imported again by each of them, so what starts it, as grt.run(main), "
            'belongs under `if __name__ == "__main__":`'
        )
    if getattr(sys.modules["__main__"], "__file__", None) == "<stdin>":
        raise RuntimeError("VMs import the program's file, and one that is read from stdin has none: save it first")
    forked = not _in_fork and "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forked else "spawn")
    if forked:
        context.set_forkserver_preload(["__main__", "grt.vm.guest"])
    process = context.Process(target=guest.main, args=(number, conn, fd_conn, procs), name=f"VM {number}")
    atexit.unregister(kill_all)
    atexit.register(kill_all)  # anew, so that it is called before multiprocessing waits for processes
    process.start()
    return process


def take_over() -> None:
    """Starts the courier, in the calling thread, which has a VM, if there is none."""
    global _courier
    with lock:
        if _courier is None and _living:
            set_station(_station)
            _courier = go(carry)


def carry() -> None:
    """What the courier does; what VMs send each other goes through here, also while its thread computes."""
    me = current()
    over = relieve(lambda: step_in([vm._wire for vm in list(_living)], _station))
    try:
        _station.run()
    finally:
        over.set()
        if _courier is me:
            hand_over(me.proc.loop)


def hand_over(ending: Any) -> None:
    """The courier's thread, whose loop that is, ends: has another thread with VMs start the next one."""
    global _courier
    _courier = None
    for vm in list(_living):
        if vm._loop is not ending:
            vm._loop.call_soon(take_over)
            break


def stop_courier() -> None:
    global _courier
    _station.untie_all()
    _broker.routes.clear()
    if _courier is not None:
        _courier.cancel()
        _courier = None


def kill_all() -> None:
    for vm in list(_living):
        vm.kill()


def forget_all() -> None:
    """In the child of a fork: the VMs, and their ends, are its parent's, and this process keeps none of them alive."""
    global _courier, _in_fork
    _courier, _in_fork = None, True
    inherited = list(_living)
    _living.clear()
    for vm in inherited:
        vm._inherited, vm.status = True, 0
        vm._wire.abandon()
        vm._ended.close()
        _broker.ports.pop(vm.number, None)
    for vm in inherited:
        _broker.bury(vm.number, vm.epitaph, True)
    stop_courier()
    children = getattr(sys.modules.get("multiprocessing.process"), "_children", None)
    if children is not None:
        children.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_all)
