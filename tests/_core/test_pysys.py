"""The system calls in plain Python: the same names as the twin in C, and descriptors that others opened or closed."""

import inspect
import os
import re
import socket
from pathlib import Path

import pytest

import grt._core
from grt._core import pysys

DECLARED = re.compile(r'^    (?:const )?[\w ]+?(?P<name>\w+) "\w+"(?:\((?P<parameters>.*)\))?', re.MULTILINE)
ONLY_PLAIN = {"compiled"}  # what stands in for `import cython`


def declared():
    """Name -> parameters' names of all that csys.pxd declares; None for a constant."""
    text = (Path(grt._core.__file__).parent / "csys.pxd").read_text()
    found = {}
    for match in DECLARED.finditer(text):
        listed = match["parameters"]
        found[match["name"]] = (
            None if listed is None else [one.split()[-1].lstrip("*") for one in listed.split(",") if one]
        )
    found.update(dict.fromkeys(re.findall(r'^        (\w+) "\w+"$', text, re.MULTILINE)))
    return found


def test_the_twins_have_the_same_names():
    assert set(declared()) == set(pysys.__all__) - ONLY_PLAIN


LOCKING = {"guard_lock", "guard_unlock", "mutex_lock", "mutex_unlock"}  # methods of the lock, which take nothing else


@pytest.mark.parametrize("name", sorted({name for name, parameters in declared().items() if parameters} - LOCKING))
def test_the_twins_take_the_same_parameters(name):
    assert list(inspect.signature(getattr(pysys, name)).parameters) == declared()[name]


def test_a_descriptor_opened_elsewhere_can_be_used():
    near, far = socket.socketpair()
    with near, far:
        assert pysys.send(near.fileno(), b"x", 0) == 1
        assert pysys.recv(far.fileno(), 10) == b"x"
        assert pysys.recv(far.fileno(), 10) is None
        for end in (near, far):
            pysys.close(end.detach())


def test_a_number_closed_behind_our_back_and_given_out_anew_is_the_new_socket():
    fd = pysys.socket_open(socket.AF_INET, socket.SOCK_STREAM)
    os.close(fd)
    again = pysys.socket_open(socket.AF_INET6, socket.SOCK_STREAM)
    assert again == fd
    with pytest.raises(OSError, match=r"Invalid argument|not supported"):  # of IPv6: it is not the old one
        pysys.bind(again, ("127.0.0.1", 0))
    pysys.close(again)


def test_a_write_goes_on_from_an_offset():
    near, far = socket.socketpair()
    with near, far:
        assert pysys.send(near.fileno(), b"hello", 3) == 2
        assert far.recv(10) == b"lo"
        pysys.close(near.detach())


def test_a_full_waker_is_a_wake_up_already():
    reader, writer = pysys.waker_open()
    for _ in range(100_000):
        pysys.waker_notify(writer)
    pysys.waker_drain(reader)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)
    os.close(writer)
