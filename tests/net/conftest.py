"""Connections to test on."""

import pytest

import grt
from tests.net.certificates import client_context, needs_openssl, server_context

GENEROUS = 60  # seconds that nothing here should take


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


def over_tcp():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        return grt.dial("tcp", listener.addr), listener.accept()


def over_tcp6():
    with grt.listen("tcp6", "[::1]:0") as listener:
        return grt.dial("tcp6", listener.addr), listener.accept()


def over_unix(tmp_path):
    with grt.listen("unix", tmp_path / "socket") as listener:
        return grt.dial("unix", tmp_path / "socket"), listener.accept()


def encrypted(near, far):
    accepting = grt.go(grt.start_tls, far, server_context(), server_side=True)
    return grt.start_tls(near, client_context(), server_hostname="localhost"), accepting.result()


KINDS = {
    "tcp": lambda path: over_tcp(),
    "tcp6": lambda path: over_tcp6(),
    "unix": over_unix,
    "pipe": lambda path: grt.pipe(),
    "tls": lambda path: encrypted(*over_tcp()),
    "tls over a pipe": lambda path: encrypted(*grt.pipe()),
    "tls over tls": lambda path: encrypted(*encrypted(*over_tcp())),
}


@pytest.fixture(params=[pytest.param(kind, marks=[needs_openssl] if "tls" in kind else []) for kind in KINDS])
def ends(request, tmp_path):
    with grt.timeout(GENEROUS):
        near, far = KINDS[request.param](tmp_path)
        with near, far:
            yield near, far
