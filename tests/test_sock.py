"""The public face of layer 1's sockets."""

import doctest

from grt import sock
from grt._core import sock as core


def test_every_call_of_the_core_is_public():
    assert sock.__all__ == core.__all__
    assert all(getattr(sock, name) is getattr(core, name) for name in sock.__all__)


def test_the_example_is_true():
    assert doctest.testmod(sock).failed == 0
