"""`dial` and `listen`: what a network's name and an address lead to."""

import errno
import os
import socket
from typing import Any

from grt.address import Address, join, split
from grt.net.conn import Conn
from grt.net.listener import BACKLOG, Listener
from grt.net.resolver import resolve
from grt.net.tcp import dial_tcp, listen_tcp
from grt.net.tls import client_context, shake_hands, wrap_listener
from grt.net.unix import dial_unix, listen_unix, path_of
from grt.scope import timeout as time_limit

__all__ = ["dial", "listen"]

FAMILIES = {"tcp": socket.AF_UNSPEC, "tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}


def listen(
    network: str,
    address: str | Address,
    backlog: int = BACKLOG,
    *,
    reuse_port: bool = False,
    tls: Any = None,
) -> Listener:
    """Listens for connections: listen("tcp", ":8888"), on every host of this machine, IPv4 and IPv6.

    network is "tcp", "tcp4", "tcp6" or "unix"; with the last, address is a path. Port 0 lets the system choose
    (`listener.addr` tells). With reuse_port several processes may listen on one port, and the kernel spreads the
    connections. tls is an ssl.SSLContext: what is accepted is TLS then. Raises OSError with the address in its
    message.
    """
    listener: Listener
    if network == "unix":
        if reuse_port:
            raise ValueError("reuse_port is for TCP: a Unix socket's path leads to one listener")
        listener = listen_unix(path_of(address), backlog)
    else:
        family = family_of(network)
        host, port = split(address)
        if host:
            family, host = resolve(host, family)[0]
        listener = listen_tcp(family, (host, port), backlog, reuse_port, network == "tcp")
    return listener if tls is None else wrap_listener(listener, tls)


def dial(
    network: str,
    address: str | Address,
    timeout: float | None = None,
    *,
    local: str | Address | None = None,
    tls: Any = None,
    server_hostname: str | None = None,
    session: Any = None,
) -> Conn:
    """Connects: dial("tcp", "example.org:80", timeout=3). The addresses of a name are tried as RFC 8305 has it.

    network is "tcp", "tcp4", "tcp6" or "unix"; with the last, address is a path. local is the address of this end
    ("10.0.0.2:0"), chosen by the system if there is none. tls=True, or an ssl.SSLContext, makes it TLS: the
    certificate must be for server_hostname, or else the address's host; session is that of an earlier connection, to
    be resumed. The handshake is part of what timeout limits.

    Raises OSError (ConnectionRefusedError, ssl.SSLError, ...) with the address in its message, socket.gaierror for an
    unknown name, TimeoutError after timeout seconds.
    """
    target = path_of(address) if network == "unix" else split(address)
    context = client_context(tls) if tls else None
    with time_limit(timeout) as limit:
        try:
            conn = connect(network, target, timeout, None if local is None else split(local))
            if context is None:
                return conn
            host = server_hostname or (target[0] if isinstance(target, tuple) else None)
            return shake_hands(conn, context, host or "localhost", session)
        except TimeoutError:
            if not limit.expired:
                raise
            where = target if isinstance(target, str) else join(target)
            raise TimeoutError(f"dial {network} {where}: no answer within {timeout} s") from None


def connect(network: str, target: Any, timeout: float | None, local: Address | None) -> Conn:
    if network == "unix":
        if local is not None:
            raise ValueError("local is for TCP: this end of a Unix socket has no address")
        return dial_unix(target)
    host, port = target
    hosts = resolve(host or "localhost", family_of(network))
    own: dict[int, Any] = own_ends(*local) if local is not None else dict.fromkeys(FAMILIES.values())
    routes = [(family, (host, port), own[family]) for family, host in hosts if family in own]
    if not routes and local is not None:
        what = f"dial tcp {join(target)} from {join(local)}"
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT), what)
    return dial_tcp(routes, timeout)


def own_ends(host: str, port: int) -> dict[int, Address]:
    """What an end of a connection has for its address, by family."""
    if not host:
        return {socket.AF_INET: ("0.0.0.0", port), socket.AF_INET6: ("::", port)}
    return {family: (found, port) for family, found in reversed(resolve(host, socket.AF_UNSPEC))}


def family_of(network: Any) -> int:
    try:
        return FAMILIES[network]
    except (KeyError, TypeError):
        datagrams = str(network).startswith(("udp", "unixgram"))
        hint = "; datagrams have grt.dial_packet and grt.listen_packet" if datagrams else ""
        raise ValueError(f"network {network!r} is not known: use 'tcp', 'tcp4', 'tcp6' or 'unix'{hint}") from None
