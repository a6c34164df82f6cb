"""Names to addresses, without blocking the thread's other goroutines.

The system's own resolver blocks, so it is asked by a thread of the pool; numeric addresses ask nobody.
"""

import socket

from grt._core.semaphore import Semaphore
from grt.offload import blocking

__all__ = ["resolve"]

AT_ONCE = Semaphore(32)  # questions: a resolver that hangs leaves the other half of the pool to others

Found = list[tuple[int, str]]  # (address family, numeric host)


def resolve(host: str, family: int) -> Found:
    """The addresses of host in the order in which to try them; socket.gaierror names what could not be found."""
    try:
        return ask(host, family, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    with AT_ONCE:
        found = blocking(answer, host, family)
    if isinstance(found, Exception):
        raise found
    return found


def ask(host: str, family: int, flags: int) -> Found:
    found: Found = []
    for kind, _, _, _, address in socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, 0, flags):
        numeric = (int(kind), str(address[0]))
        if numeric not in found:
            found.append(numeric)
    return found


def answer(host: str, family: int) -> Found | Exception:
    """`ask` in another thread. An error is returned: nobody need hear of it if the asker has gone."""
    try:
        return ask(host, family, 0)
    except socket.gaierror as missing:
        return socket.gaierror(missing.errno, f"{missing.strerror}: {host!r}")
    except Exception as unexpected:
        return unexpected
