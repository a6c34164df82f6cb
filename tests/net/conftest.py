"""Connections to test on."""

import pytest

import grt


@pytest.fixture
def listener():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        yield listener


@pytest.fixture
def pair(listener):
    """Both ends of a connection."""
    with grt.dial("tcp", listener.addr) as near, listener.accept() as far:
        yield near, far
