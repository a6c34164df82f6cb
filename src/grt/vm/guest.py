"""What runs in a VM: it calls what the main program sends, and answers.

Invariants: a VM does not outlive the main program, however that ends; Ctrl-C is the main program's business.
"""

import os
import signal
import socket
import sys
import traceback
from functools import partial
from typing import Any

from grt._core.chan import Chan
from grt._core.go import go, go_for
from grt._core.goroutine import Goroutine
from grt.debug.stall import stall_watch
from grt.goroutine import run
from grt.vm.crossing import Station, set_station
from grt.vm.errors import RemoteError
from grt.vm.parcel import open_parcel, pack
from grt.vm.relief import relieve, step_in
from grt.vm.wire import Wire

__all__ = ["main", "number"]

ORPHANED = 70  # exit status of one whose main program has gone: EX_SOFTWARE

number = 0  # of the VM that this process is; 0 for the main program


def main(vm: int, conn: socket.socket, fd_conn: socket.socket, procs: int) -> None:
    """The whole life of a VM's process."""
    global number
    number = vm
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)  # a line at a time: those of several VMs do not mix
    for end in (conn, fd_conn):
        end.setblocking(False)
    run(serve, vm, conn.detach(), fd_conn.detach(), procs=procs)


def serve(vm: int, fd: int, fd_fd: int) -> None:
    stall_watch(None)  # to compute is what VMs are for, and the others are sent what they need all the same
    wire = Wire(fd, fd_fd)
    station = Station(vm, wire.post, wire.announce)
    orders: Chan[Any] = Chan(sys.maxsize)
    calls: dict[int, Goroutine] = {}

    wire.name_of, wire.find = station.name_of, station.find
    wire.handle, wire.station = station.handle, station
    wire.handle_call = partial(take_order, orders, calls)
    set_station(station)
    os.register_at_fork(after_in_child=wire.abandon)  # else the main program would wait for the child's end, too

    def step() -> None:
        if step_in([wire], station):
            os._exit(ORPHANED)

    writer = go(wire.write)
    go(station.run)
    reader = go(read, wire)
    over = relieve(step)
    obey(orders, calls, wire)
    over.set()
    station.hand_back()
    wire.finish()
    writer.join()
    reader.cancel()
    reader.join()
    wire.close()


def read(wire: Wire) -> None:
    wire.read()
    os._exit(ORPHANED)


def take_order(orders: Chan[Any], calls: dict[int, Goroutine], order: Any) -> None:
    """Has `obey` see order. A call is cancelled at once: it may be waiting for its turn, behind others that compute."""
    g = calls.get(order[1]) if order[0] == "cancel" else None
    if g is None:
        orders.try_send(order)
    else:
        g.cancel()


def obey(orders: Chan[Any], calls: dict[int, Goroutine], wire: Wire) -> None:
    """Makes the calls that are ordered, until the VM is to end, and ends what is left of them."""
    for order in orders:
        if order[0] == "go":
            _, call, parcel = order
            at_end = partial(forget, calls, call)
            g: Any = go_for(at_end, obey.__code__, 0, answer, (wire, call, parcel), {})
            calls[call] = g
            if g.done:  # in another thread, meanwhile
                calls.pop(call, None)
        elif order[0] == "exit":
            break
        elif order[1] in calls:
            calls[order[1]].cancel()
        order = parcel = g = None  # what they refer to is the call's own
    left = list(calls.values())
    for g in left:
        g.cancel()
    for g in left:
        g.join()


def forget(calls: dict[int, Goroutine], call: int, *_ended: object) -> None:
    calls.pop(call, None)


def answer(wire: Wire, call: int, parcel: Any) -> None:
    """Makes a call, and sends what comes of it."""
    try:
        fn, args, kwargs = open_parcel(parcel)
        message = "done", call, pack(fn(*args, **kwargs))
    except BaseException as error:
        message = "failed", call, packed_error(error)
    wire.send(message)


def packed_error(error: BaseException) -> Any:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        parcel = pack((error, text))
        open_parcel(parcel)  # some pickle, and then cannot be made again
    except Exception:
        parcel = pack((RemoteError(f"{type(error).__qualname__}: {error}"), text))
    return parcel
