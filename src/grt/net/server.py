"""A server: a goroutine for each connection, a limit on how many, deadlines against slow clients, an orderly end.

Invariants: `serving` holds each connection from its acceptance until its handler has ended, however that ended, and
only then is it closed and its place given to the next.
Threads: any; `guard` protects what is served, and nothing blocks under it.
"""

import contextlib
import operator
import signal as signals
import socket
import threading
from collections.abc import Callable
from typing import Any

from grt import signal
from grt._core.chan import Chan, chan
from grt._core.errors import Closed, refuse_async
from grt._core.go import current, go, sleep
from grt._core.goroutine import Goroutine
from grt._core.select import select
from grt._core.semaphore import Semaphore
from grt._core.timers import deadline_of, now
from grt.address import Address
from grt.net.conn import Conn
from grt.net.listener import Listener
from grt.net.networks import listen
from grt.net.tls import GONE, server_context, warn_of_peer, wrap_listener
from grt.sync import Event
from grt.vm.workers import Workers, attempt, end

__all__ = ["Server"]

LOOKS = 0.001, 0.1  # seconds between two looks at what is still served, doubling
FIRST = 1.0  # seconds that a new connection has for its first request before it counts as idle
LAST = 1.0  # seconds that handlers have to end in once they were cancelled
OPTIONS = "limit", "idle_timeout", "read_timeout", "write_timeout", "tls"  # which VMs are given
GRACE = 10.0  # seconds that requests have to end in after a signal, as container managers have it


class Server:
    """Serves connections: calls handler(conn), in a goroutine of its own, for each that a listener accepts.

    >>> import grt
    >>> def shout(conn):
    ...     for data in conn:
    ...         conn.write(data.upper())
    >>> server = grt.Server(shout)
    >>> listener = grt.listen("tcp", "127.0.0.1:0")
    >>> _ = grt.go(server.serve, listener)
    >>> with grt.dial("tcp", listener.addr) as conn:
    ...     conn.write(b"hello")
    ...     conn.read()
    b'HELLO'
    >>> server.shutdown(timeout=5)
    0

    The connection is closed when the handler returns. An exception that it raises is reported through
    grt.excepthook, unless it only says that the peer has gone, and the others are served on. A TLS handshake that
    fails is the peer's affair: a line of the logger "grt", a warning.

    limit is how many connections are served at a time: the others wait to be accepted. A handler that answers
    requests says by `next_request` when it waits for one; idle_timeout is how many seconds it may wait then. From the
    first byte of a request on, it may take read_timeout seconds to come, and write_timeout until the client has taken
    the answer. Who is slower is hung up on.

    tls is an ssl.SSLContext, or a function that makes one: the connections are TLS then.

    vms is how many VMs serve in the place of this process, each with a core of its own; limit is for each then. The
    handler is found by name there, so it must be at the top of a module; so must tls, a function. `restart` replaces
    them one by one, and has that function called again.
    """

    __slots__ = (
        "__weakref__", "cuts", "cutting", "guard", "handler", "idle_timeout", "limit", "listeners", "over", "places",
        "read_timeout", "serving", "stopping", "tls", "vms", "workers", "write_timeout",
    )  # fmt: skip

    def __init__(
        self,
        handler: Callable[[Any], object],
        *,
        limit: int | None = None,
        idle_timeout: float | None = None,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        tls: Any = None,
        vms: int = 0,
    ) -> None:
        if not callable(handler):
            raise TypeError(f"grt.Server needs a function that takes a connection, not {handler!r}")
        refuse_async(handler)
        if limit is not None and operator.index(limit) < 1:
            raise ValueError(f"limit is how many connections are served at once, at least 1, not {limit}")
        for seconds in (idle_timeout, read_timeout, write_timeout):
            deadline_of(seconds)  # raises TypeError for what is no number
            if seconds is not None and seconds <= 0:
                raise ValueError(f"a timeout of grt.Server is a positive number of seconds, or None, not {seconds!r}")
        self.handler = handler
        self.limit = limit
        self.places = None if limit is None else Semaphore(limit)
        self.idle_timeout = idle_timeout
        self.read_timeout = read_timeout
        self.write_timeout = write_timeout
        if operator.index(vms) < 0:
            raise ValueError(f"grt.Server needs a number of VMs, 0 for this process alone, not {vms}")
        if tls is not None and not callable(tls):
            server_context(tls)  # raises TypeError if it is none
            if vms:
                raise TypeError(f"each VM makes a context of its own: tls must be a function that does, not {tls!r}")
        self.vms = vms
        self.tls = tls
        self.workers: Workers | None = None  # the VMs that serve
        self.over = Event()  # set when they have ended, or are to end at once
        self.guard = threading.Lock()  # guards all below
        self.listeners: set[Listener] = set()
        self.serving: dict[Conn, Served] = {}
        self.stopping = False
        self.cutting = False  # whether what is still served is ended
        self.cuts = 0  # how many connections that were

    def __repr__(self) -> str:
        return f"<grt.Server of {getattr(self.handler, '__qualname__', self.handler)}: {len(self.serving)} connections>"

    @property
    def connections(self) -> int:
        """How many are being served."""
        return len(self.serving)

    # -- serving

    def serve(self, listener: Listener) -> None:
        """Serves what listener accepts, until `shutdown`, or until the listener is closed. Closes it then."""
        if self.vms:
            return self.serve_in_vms([listener] * self.vms)
        with self.guard:
            if not self.stopping:
                self.listeners.add(listener)
        try:
            with listener:
                if self.tls is not None:
                    wrap_listener(listener, server_context(self.tls))
                while not self.stopping:
                    self.serve_next(listener)
        except Closed:
            if not listener.closed:
                raise
        finally:
            with self.guard:
                self.listeners.discard(listener)

    def serve_in_vms(self, listeners: "list[Listener]") -> None:
        """Has each of listeners served by a VM of its own, until `shutdown`. Closes them then."""
        options = {name: getattr(self, name) for name in OPTIONS}
        try:
            with self.guard:
                if self.stopping:
                    return
                if self.workers is not None:
                    raise RuntimeError(f"{self!r} serves already; one whose VMs serve has one address")
                self.workers = Workers(serve_in_vm, listeners, self.handler, options)
            try:
                self.workers.start()
                self.over.wait()
                self.workers.end()
            finally:
                self.workers.kill()
        finally:
            for listener in set(listeners):
                listener.close()

    def restart(self, timeout: float | None = GRACE) -> int:
        """Replaces the VMs that serve, one after the other, by fresh ones; no connection is refused meanwhile.

        What a VM serves has timeout seconds to end, and is cut then; returns how many connections that were.
        """
        self.check_place()
        workers = self.workers
        if workers is None:
            raise RuntimeError(f"{self!r} has no VMs that could be restarted: give it vms=, and have it serve")
        return workers.restart(timeout)

    def serve_next(self, listener: Listener) -> None:
        if self.places is not None:
            self.places.acquire()
        conn = None
        try:
            conn = listener.accept()
            served = self.admit(conn)
            served.goroutine = go(self.handle, served)
        except BaseException:
            if conn is not None:
                self.finish(conn)
            elif self.places is not None:
                self.places.release()
            raise

    def serve_conn(self, conn: Conn) -> None:
        """Serves one connection, that came in another way, in the calling goroutine; closes it then."""
        if self.places is not None:
            self.places.acquire()
        try:
            served = self.admit(conn)
        except Closed:
            self.finish(conn)
            return
        served.goroutine = current()
        self.handle(served)

    def admit(self, conn: Conn) -> "Served":
        """Notes that conn is served. Raises grt.Closed when a shutdown is over."""
        served = Served(conn)
        with self.guard:
            self.serving[conn] = served
            over = self.cutting
        if over:
            raise Closed(f"{self!r} has been shut down")
        return served

    def handle(self, served: "Served") -> None:
        conn = served.conn
        served.begun = True
        try:
            self.handler(conn)
        except GONE as error:
            if str(error.filename).startswith("dial "):  # it is another that is not there
                raise
        except Closed:
            if not conn.closed:
                raise
        except TimeoutError:
            if now() < served.limit:
                raise
        except OSError as error:
            if not warn_of_peer(conn, error):
                raise
        finally:
            self.finish(conn)

    def finish(self, conn: Conn) -> None:
        try:
            conn.close()
        finally:
            with self.guard:
                served = self.serving.pop(conn, None)
            if served is not None:
                served.goroutine = None  # an exception that it ends by leads here: no circle, so it is reported at once
                if self.places is not None:
                    self.places.release()

    def next_request(self, conn: Conn) -> bool:
        """Waits, in a handler, for the first byte of the next request; returns False when there will be none.

        That is when the client has closed, when it says nothing for idle_timeout seconds, or when the server is being
        shut down: meanwhile the connection counts as idle. Once it has begun, the request has read_timeout seconds to
        come, and its answer write_timeout to go; then reads, and writes, raise TimeoutError, and the connection is
        closed.

        >>> def handler(conn):
        ...     while server.next_request(conn):
        ...         conn.write(b"you said " + conn.read_line())
        """
        served = self.serving.get(conn)
        if served is None and _in_vm is not None and _in_vm is not self:
            return _in_vm.next_request(conn)
        if served is None:
            raise ValueError(f"{conn!r} is not served by {self!r}")
        served.asks, served.waits = True, True
        try:
            if self.stopping and not served.is_new():
                return False
            if self.idle_timeout is not None:
                conn.set_read_deadline(now() + self.idle_timeout)
            if not conn.peek(1):
                return False
            served.fresh = False
            served.limit = min(deadline_of(self.read_timeout), deadline_of(self.write_timeout))
            if self.idle_timeout is not None or self.read_timeout is not None:
                conn.set_read_deadline(None if self.read_timeout is None else now() + self.read_timeout)
            if self.write_timeout is not None:
                conn.set_write_deadline(now() + self.write_timeout)
            return True
        except (Closed, *GONE, TimeoutError):
            return False
        finally:
            served.waits = False

    # -- the end

    def shutdown(self, timeout: float | None = None) -> int:
        """Stops accepting, closes what is idle, waits for the rest, and cuts what is left after timeout seconds.

        Returns how many connections were cut: their handlers were cancelled. A connection is idle while its handler
        waits in `next_request`, or, if it does not use that, waits for a first byte. One that has just connected
        has a second for its first request, or its handshake, which may be on its way, before it counts as idle. A VM
        whose handler never gives way is ended 3 seconds later, which counts as one. To be interrupted cuts all in VMs.
        """
        deadline = deadline_of(timeout)
        self.check_place()
        with self.guard:
            self.stopping = True
            listeners = list(self.listeners)
        if self.vms:
            return self.finish_vms(timeout)
        for listener in listeners:
            listener.close()
        self.await_end(deadline, close_idle=True)
        return self.cut()

    def check_place(self) -> None:
        if _in_vm is not None and self.vms:
            raise RuntimeError(f"{self!r}: the main program ends and restarts its VMs, not one of them")

    def finish_vms(self, timeout: float | None) -> int:
        try:
            return 0 if self.workers is None or self.over.is_set() else self.workers.finish(timeout)
        finally:
            self.over.set()

    def await_end(self, deadline: float, close_idle: bool) -> None:
        pause = LOOKS[0]
        while self.serving and (left := deadline - now()) > 0:
            if close_idle:
                with self.guard:
                    served = list(self.serving.values())
                for one in served:
                    if one.is_idle():
                        one.conn.close()
            sleep(min(pause, left))
            pause = min(pause * 2, LOOKS[1])

    def cut(self) -> int:
        """Ends what is still served, by closing connections and cancelling handlers; returns how many that were."""
        with self.guard:
            self.cutting = True
            left = list(self.serving.values())
            self.cuts += len(left)
        for served in left:
            served.conn.close()
            if served.goroutine is not None:
                served.goroutine.cancel()
                if not served.begun:  # and never will, so nobody else does this
                    self.finish(served.conn)
        self.await_end(now() + LAST, close_idle=False)
        return len(left)

    def run(self, network: str, address: str | Address, *, grace: float | None = GRACE, **options: Any) -> None:
        """The whole life of a server program: listens, serves, and on SIGTERM or SIGINT shuts down in grace seconds.

        With VMs, SIGHUP restarts them. options are those of grt.listen. To be called in the main thread.
        """
        with contextlib.ExitStack() as stack:
            listeners = self.listen_for_all(stack, network, address, options)
            asked: Chan[int] = chan(1)
            signal.notify(asked, signals.SIGTERM, signals.SIGINT)
            if self.vms:
                hangup: Chan[int] = chan(1)
                signal.notify(hangup, signals.SIGHUP)
                stack.callback(signal.stop, hangup)
                stack.callback(end, go(self.restart_when_asked, hangup, grace))
            try:
                serving = go(self.serve_in_vms, listeners) if self.vms else go(self.serve, listeners[0])
                over: Chan[None] = chan(1)
                go(forward_end, serving, over)
                chosen, _ = select(asked.recv, over.recv)
                if chosen == 0:
                    signal.stop(asked)  # a second one does what it always does
                    self.shutdown(grace)
                serving.result()
            finally:
                signal.stop(asked)
                self.shutdown(0)

    def listen_for_all(
        self, stack: contextlib.ExitStack, network: str, address: "str | Address", options: "dict[str, Any]"
    ) -> "list[Listener]":
        """A listener for each VM: of its own, so that the kernel spreads connections, where several can be had."""
        several = self.vms > 1 and network.startswith("tcp") and hasattr(socket, "SO_REUSEPORT")
        if several and not options.get("reuse_port"):
            listen(network, address, **options).close()  # raises if others listen there, whom ours would join
            options = {**options, "reuse_port": True}
        listeners = [stack.enter_context(listen(network, address, **options))]
        while len(listeners) < self.vms:
            more = listen(network, listeners[0].addr, **options) if several else listeners[0]
            listeners.append(stack.enter_context(more))
        return listeners

    def restart_when_asked(self, hangup: "Chan[int]", grace: float | None) -> None:
        for _ in hangup:
            attempt(self.restart, grace)


# The server that serves in this VM: in the place of the one that the program's own file makes here, too, as it is
# imported, and that handlers ask by its name.
_in_vm: Server | None = None


def serve_in_vm(listener: Listener, ready: Any, stop: Any, handler: Any, options: Any) -> int:
    """What a VM of a server does."""
    global _in_vm
    _in_vm = server = Server(handler, **options)
    if server.tls is not None:
        server.tls = server_context(server.tls)  # before it is said that this VM serves
    serving = go(server.serve, listener)
    ready.send(None)
    timeout = stop.recv()
    go(hurry, server, stop)
    server.shutdown(timeout)
    serving.result()
    return server.cuts


def hurry(server: Server, stop: Any) -> None:
    """Whoever asks again, with less time, is not to wait for the time that was given before."""
    for timeout in stop:
        server.shutdown(timeout)


def forward_end(goroutine: Goroutine, over: Any) -> None:
    goroutine.join()
    over.send(None)


class Served:
    """A connection and its handler."""

    __slots__ = ("asks", "begun", "conn", "fresh", "goroutine", "limit", "since", "waits")

    def __init__(self, conn: Conn) -> None:
        self.conn = conn
        self.since = now()
        self.begun = False  # whether its handler has
        self.fresh = True  # whether no request has begun, as far as its handler lets us know
        self.goroutine: Goroutine | None = None
        self.asks = False  # whether its handler uses `next_request`
        self.waits = False  # whether it is in there
        self.limit = deadline_of(None)  # from when on a timeout is the server's business: a deadline of its passes

    def is_new(self) -> bool:
        return self.fresh and now() - self.since < FIRST

    def is_idle(self) -> bool:
        return (self.waits if self.asks else self.conn.idle) and not self.is_new()
