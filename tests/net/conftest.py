"""Connections to test on."""

import pytest

import grt
from tests.net.certificates import server_context


@pytest.fixture
def listener():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        yield listener


@pytest.fixture
def pair(listener):
    """Both ends of a connection."""
    with grt.dial("tcp", listener.addr) as near, listener.accept() as far:
        yield near, far


@pytest.fixture
def serve():
    """Starts a server of a handler over TLS; returns its address."""
    servers = []

    def serve(handler, context=None):
        listener = grt.listen("tcp", "127.0.0.1:0", tls=context or server_context())
        server = grt.Server(handler)
        servers.append((server, grt.go(server.serve, listener)))
        return listener.addr

    yield serve
    for server, serving in servers:
        server.shutdown(0)
        serving.result()
