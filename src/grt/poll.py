"""Layer 1, readiness: a `Poller` waits for descriptors and *returns* what happened; it never calls back.

>>> import socket
>>> from grt.poll import Poller, READ
>>> here, there = socket.socketpair()
>>> with Poller() as poller:
...     poller.register(here, READ, data="the near end")
...     _ = there.send(b"hello")
...     for event in poller.wait(timeout=5):
...         print(event.data, "is readable:", here.recv(100))
the near end is readable: b'hello'
>>> here.close(); there.close()

Register with READ, WRITE or both. With EDGE a direction is reported only when there is news: drain it (until the call
would block), `rearm` it, and wait again. HANGUP and ERROR are reported unasked.

Threads: see `grt._core.poller`; one thread waits at a time.
"""

from grt._core.poller import Event, Poller
from grt._core.pypoll import EDGE, ERROR, HANGUP, READ, WRITE  # plain ints; csys/poller.h has the same

__all__ = ["EDGE", "ERROR", "HANGUP", "READ", "WRITE", "Event", "Poller"]
