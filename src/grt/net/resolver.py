"""Names to addresses, without blocking the thread's other goroutines.

The system's own resolver blocks, so it is asked in a thread made for the question; numeric addresses ask nobody.
Invariants: the asking goroutine waits like any other, by deadline and cancellation too; a thread whose goroutine has
gone ends by itself and its answer is dropped.
Threads: the answer is made in the resolver's thread and handed over by `fire`.
"""

import socket
import threading
from math import inf
from typing import Any

from grt._core.goroutine import Goroutine, enter, fire

__all__ = ["resolve"]

# Linux would allow many more; a resolver that hangs should not cost a server all its threads.
AT_ONCE = threading.BoundedSemaphore(64)

Found = list[tuple[int, str]]  # (address family, numeric host)


def resolve(host: str, family: int) -> Found:
    """The addresses of host in the order in which to try them; socket.gaierror names what could not be found."""
    try:
        return ask(host, family, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return Question(host, family).answer()


def ask(host: str, family: int, flags: int) -> Found:
    found: Found = []
    for kind, _, _, _, address in socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, 0, flags):
        numeric = (int(kind), str(address[0]))
        if numeric not in found:
            found.append(numeric)
    return found


class Question:
    """One name asked for in a thread of its own."""

    def __init__(self, host: str, family: int) -> None:
        self.host = host
        self.family = family
        self.lock = threading.Lock()  # guards the three below; nothing blocks under it
        self.asker: Goroutine | None = None
        self.found: Found | None = None
        self.error: Exception | None = None

    def answer(self) -> Found:
        g: Any = enter()
        threading.Thread(target=self.work, name=f"grt-resolve-{self.host}", daemon=True).start()
        with self.lock:
            waits = self.found is None and self.error is None
            if waits:
                self.asker = g
                g.arm(self)
        if waits:
            try:
                g.park(inf)
            finally:
                with self.lock:
                    self.asker = None
        if self.error is not None:
            raise self.error
        assert self.found is not None
        return self.found

    def work(self) -> None:
        found: Found | None = None
        error: Exception | None = None
        with AT_ONCE:
            try:
                found = ask(self.host, self.family, 0)
            except socket.gaierror as missing:
                error = socket.gaierror(missing.errno, f"{missing.strerror}: {self.host!r}")
            except Exception as unexpected:
                error = unexpected
        with self.lock:
            self.found, self.error = found, error
            if self.asker is not None:
                fire(self.asker)
