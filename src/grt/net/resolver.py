"""Names to addresses, without blocking the thread's other goroutines.

The system's own resolver blocks, so it is asked by a thread of the pool; numeric addresses ask nobody. Who asks for
a name that is being asked for already waits for the same answer.
Threads: any; `guard` protects what is being asked.
"""

import os
import socket
import threading
from typing import Any

from grt._core.semaphore import Semaphore
from grt.offload import blocking
from grt.scope import timeout as time_limit
from grt.sync import Event

__all__ = ["Found", "lookup", "numeric_host", "resolve"]

LIMIT = 32  # questions at once: a resolver that hangs leaves the other half of the pool to others
AT_ONCE = Semaphore(LIMIT)

Found = list[tuple[int, str]]  # (address family, numeric host)


class Question:
    """A name that is being asked for."""

    __slots__ = ("answer", "begun", "left", "over")

    def __init__(self) -> None:
        self.answer: Found | Exception | None = None  # None still when who asked has left before it came
        self.begun = False  # whether a thread is, or was, about it
        self.left = False  # whether nobody waits for that to begin any more
        self.over = Event()

    def ask(self, host: str, family: int, places: Semaphore) -> Found | Exception | None:
        """In a thread of the pool, which keeps its place until the system has answered, whoever waits for that."""
        with guard:
            if self.left:
                return None
            self.begun = True
        try:
            return answer(host, family)
        finally:
            places.release()

    def leave(self, places: Semaphore) -> None:
        with guard:
            self.left = not self.begun
        if self.left:
            places.release()


guard = threading.Lock()  # guards all questions
questions: dict[tuple[str, int], Question] = {}


def resolve(host: str, family: int) -> Found:
    """The addresses of host in the order in which to try them; socket.gaierror names what could not be found."""
    try:
        return ask(host, family, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    except UnicodeError as error:  # a part of it is empty, or too long
        raise socket.gaierror(socket.EAI_NONAME, f"not the name of a host, {error}: {host!r}") from None
    found = None
    while found is None:
        found = asked_once(host, family)
    if isinstance(found, Exception):
        raise type(found)(*found.args)  # one of its own for each who asked
    return list(found)


def asked_once(host: str, family: int) -> Found | Exception | None:
    with guard:
        question = questions.get((host, family))
        asks = question is None
        if question is None:
            question = questions[host, family] = Question()
    if not asks:
        question.over.wait()
        return question.answer
    places = AT_ONCE
    try:
        places.acquire()
        try:
            question.answer = blocking(question.ask, host, family, places)
        finally:
            question.leave(places)
    finally:
        with guard:
            del questions[host, family]
        question.over.set()
    return question.answer


def ask(host: str, family: int, flags: int) -> Found:
    found: Found = []
    for kind, _, _, _, address in socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, 0, flags):
        numeric = (int(kind), numeric_host(address))
        if numeric not in found:
            found.append(numeric)
    return found


def numeric_host(address: Any) -> str:
    """The host in a socket address of the system's, with IPv6's scope where it has one: "fe80::1%eth0"."""
    host, scope = str(address[0]), address[3] if len(address) > 3 else 0
    if not scope or "%" in host:
        return host
    try:
        return f"{host}%{socket.if_indextoname(scope)}"
    except OSError:  # that interface has gone
        return f"{host}%{scope}"


def answer(host: str, family: int) -> Found | Exception:
    """`ask` in another thread. An error is returned: nobody need hear of it if the asker has gone."""
    try:
        return ask(host, family, 0)
    except socket.gaierror as missing:
        return socket.gaierror(missing.errno, f"{missing.strerror}: {host!r}")
    except Exception as unexpected:
        return unexpected


def lookup(host: str, timeout: float | None = None) -> list[str]:
    """The numeric addresses of host, in the order in which to try them; only the calling goroutine waits.

    >>> import grt
    >>> grt.lookup("127.0.0.1")
    ['127.0.0.1']

    The system is asked, so /etc/hosts counts. Raises socket.gaierror for an unknown name, TimeoutError after timeout
    seconds.
    """
    with time_limit(timeout) as limit:
        try:
            return [found for _, found in resolve(host, socket.AF_UNSPEC)]
        except TimeoutError:
            if not limit.expired:
                raise
            raise TimeoutError(f"lookup {host!r}: no answer within {timeout} s") from None


def forget_questions() -> None:
    """In the child of a fork, where nobody is left to answer them."""
    global AT_ONCE, guard
    AT_ONCE = Semaphore(LIMIT)
    guard = threading.Lock()
    questions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_questions)
