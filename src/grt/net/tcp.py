"""TCP: connections and listeners, and how they come to be.

A host with several addresses is connected to as RFC 8305 has it (Happy Eyeballs): the families take turns, a further
attempt begins when the one before has failed or has taken a while, the first that succeeds wins.
"""

import errno
import itertools
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from grt import sock
from grt._core.chan import Chan, chan
from grt.address import Address, join
from grt.groups import group
from grt.net.conn import Conn
from grt.net.listener import Listener

__all__ = ["TCPConn", "TCPListener", "dial_tcp", "listen_tcp"]

LONGEST = 32767  # seconds of silence that can be asked for
KEEPALIVE = 15  # seconds of silence before and between probes, as Go has it
Route = tuple[int, Address, Address | None]  # address family, numeric address, that of this end if it is given
ATTEMPTS = 3  # until it counts as refused that a connection has become one to itself
PATIENCE = 0.25  # seconds until the next address is tried beside the one before: RFC 8305's Connection Attempt Delay


class TCPConn(Conn):
    """A TCP connection: addresses are (host, port). Small writes are not delayed, and silence is probed."""

    __slots__ = ()

    network = "tcp"

    def set_no_delay(self, on: bool) -> None:
        """Whether small writes are sent at once (the default), or may wait to be joined."""
        sock.set_option(self.number(), socket.IPPROTO_TCP, socket.TCP_NODELAY, on)

    def set_keepalive(self, seconds: float | None) -> None:
        """After how many seconds of silence the peer is probed, and how often then; None never does. 15 by default."""
        if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
            raise ValueError(f"keepalive is a number of seconds above 0, or None for never, not {seconds!r}")
        if seconds is not None and seconds > LONGEST:
            raise ValueError(f"keepalive is {LONGEST} seconds at most, or None for never, not {seconds!r}")
        fd = self.number()
        sock.set_option(fd, socket.SOL_SOCKET, socket.SO_KEEPALIVE, seconds is not None)
        if seconds is not None:
            set_probes(fd, max(1, round(seconds)))


class TCPListener(Listener):
    """Accepts TCP connections."""

    __slots__ = ()

    network = "tcp"

    def adopt(self, fd: int, peer: Any) -> TCPConn:
        return TCPConn(fd, peer)


# -- listening


def listen_tcp(family: int, address: Address, backlog: int, reuse_port: bool, dual: bool) -> TCPListener:
    """Listens on a numeric (host, port); "" for the host is every host of this machine.

    dual is whether an IPv6 socket takes IPv4, too: that matters to "::", and to an IPv4 address written as IPv6.
    """
    host, port = address
    if host:
        return listen_on(family, address, backlog, reuse_port, dual)
    if family == socket.AF_INET:
        return listen_on(family, ("0.0.0.0", port), backlog, reuse_port, dual)
    try:  # IPv6's wildcard takes IPv4 too, where there is IPv6
        return listen_on(socket.AF_INET6, ("::", port), backlog, reuse_port, dual)
    except OSError as error:
        if family == socket.AF_INET6 or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return listen_on(socket.AF_INET, ("0.0.0.0", port), backlog, reuse_port, dual)


def listen_on(family: int, address: Address, backlog: int, reuse_port: bool, dual: bool) -> TCPListener:
    fd = -1
    try:
        fd = sock.open(family)
        sock.set_option(fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.set_option(fd, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.set_option(fd, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        set_stream_options(fd)  # accepted connections inherit them: no system call each
        sock.bind(fd, address)
        sock.listen(fd, backlog)
        return TCPListener(fd, sock.local_address(fd))
    except BaseException as error:
        if fd >= 0:
            sock.close(fd)
        if isinstance(error, OSError):
            error.filename = f"listen tcp {join(address)}"
        raise


# -- dialling


def dial_tcp(routes: list[Route], seconds: float | None) -> TCPConn:
    """Connects by the first of routes that leads to an answer; raises what the last one gave.

    seconds is what there is for all of them, None for ever.
    """
    if len(routes) == 1:
        return dial_one(*routes[0])
    patience = PATIENCE if seconds is None else min(PATIENCE, seconds / len(routes))
    race = Race(len(routes))
    try:
        with group() as attempts:
            running = []
            for route in in_turns(routes):
                running.append(attempts.go(race.attempt, dial_one, *route))
                if race.wait(patience):
                    break
            while not race.decided():
                race.wait(None)
            for attempt in running:
                attempt.cancel()
    except BaseException:
        race.call_off()
        raise
    if race.winner is None:
        raise race.errors[-1]
    return race.winner


def in_turns(routes: list[Route]) -> list[Route]:
    """The families of addresses one after the other, beginning with the first's."""
    first = [route for route in routes if route[0] == routes[0][0]]
    other = [route for route in routes if route[0] != routes[0][0]]
    return [route for pair in itertools.zip_longest(first, other) for route in pair if route is not None]


class Race:
    """Attempts to connect, of which one wins."""

    __slots__ = ("errors", "guard", "news", "runners", "winner")

    def __init__(self, runners: int) -> None:
        self.runners = runners
        self.guard = threading.Lock()  # guards the two below; nothing blocks under it
        self.winner: TCPConn | None = None
        self.errors: list[OSError] = []
        self.news: Chan[None] = chan(runners)  # one for each attempt that has ended

    def attempt(self, connect: Callable[..., TCPConn], *args: Any) -> None:
        try:
            conn = connect(*args)
        except OSError as error:
            with self.guard:
                self.errors.append(error)
        else:
            with self.guard:
                won = self.winner is None
                if won:
                    self.winner = conn
            if not won:
                conn.close()
        self.news.try_send(None)

    def wait(self, seconds: float | None) -> bool:
        """Waits until an attempt has ended, or so long; returns whether one has won."""
        try:
            self.news.recv(timeout=seconds)
        except TimeoutError:
            if seconds is None:
                raise
        return self.winner is not None

    def decided(self) -> bool:
        return self.winner is not None or len(self.errors) == self.runners

    def call_off(self) -> None:
        if self.winner is not None:
            self.winner.close()


def dial_one(family: int, address: Address, local: Address | None) -> TCPConn:
    for _ in range(ATTEMPTS):
        conn = dial_once(family, address, local)
        if local is not None or conn.local_addr != address:
            return conn
        conn.abort()  # the system has chosen the very port that it was to connect to, on which nobody listens
    raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED), f"dial tcp {join(address)}")


def dial_once(family: int, address: Address, local: Address | None) -> TCPConn:
    conn = None
    try:
        fd = sock.open(family)
        conn = TCPConn(fd, address)
        set_stream_options(fd)
        if local is not None:
            sock.set_option(fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for its port's attempts side by side, too
            sock.bind(fd, local)
        conn.connect(address)
        return conn
    except BaseException as error:
        if conn is not None:
            conn.close()
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = f"dial tcp {join(address)}{f' from {join(local)}' if local else ''}"
        raise


def set_stream_options(fd: int) -> None:
    """No delay for small writes, and probes that find out about a peer that has vanished."""
    sock.set_option(fd, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.set_option(fd, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    set_probes(fd, KEEPALIVE)


def set_probes(fd: int, seconds: int) -> None:
    for option in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):
            sock.set_option(fd, socket.IPPROTO_TCP, getattr(socket, option), seconds)
