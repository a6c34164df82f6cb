"""Addresses as people write them: "host:port", "[::1]:80", ":8888"."""

import socket
from typing import Any

__all__ = ["join", "show", "split"]

Address = tuple[str, int]


def split(address: str | Address, protocol: str = "tcp") -> Address:
    """(host, port) of "host:port"; the host is "" where none is named. A (host, port) pair is checked and returned.

    protocol is the one whose services may be written by name: "localhost:http".

    >>> split(":8888"), split("[::1]:80"), split(("127.0.0.1", 0))
    (('', 8888), ('::1', 80), ('127.0.0.1', 0))
    """
    if isinstance(address, tuple):
        if len(address) != 2 or not isinstance(address[0], str) or not isinstance(address[1], int):
            raise ValueError(f"address {address!r}: expected (host, port), a string and a number")
        host, port = address
    elif isinstance(address, str):
        host, colon, service = address.rpartition(":")
        if "://" in address:
            raise ValueError(f"address {address!r} is a URL: write 'host:port'")
        if not colon or address.endswith("]"):
            if address.isdigit():
                raise ValueError(f"address {address!r} is a port alone: write ':{address}' for all hosts")
            raise ValueError(f"address {address!r} has no port: write {address + ':8888'!r}, or ':8888' for all hosts")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"address {address!r} is ambiguous: write an IPv6 host in brackets, '[{host}]:{service}'")
        port = number_of(service, protocol, address)
    else:
        raise TypeError(f"an address is 'host:port' or (host, port), not {address!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"address {address!r}: port {port} is not between 0 and 65535")
    return host, port


def number_of(service: str, protocol: str, address: str) -> int:
    if service.isascii() and service.isdigit():
        return int(service)
    try:
        return socket.getservbyname(service, protocol)
    except OSError:
        raise ValueError(f"address {address!r}: {service!r} is neither a port number nor a known service") from None


def join(address: Address) -> str:
    """ "host:port", with an IPv6 host in brackets.

    >>> join(("::1", 80))
    '[::1]:80'
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def show(address: Any) -> str:
    """An address of any kind, as people write it."""
    return join(address) if isinstance(address, tuple) else str(address)
