"""Addresses as people write them, and what they are told when they write them wrong."""

import doctest
import socket

import pytest

import grt.address
from grt.address import join, split


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":8888", ("", 8888)),
        ("localhost:http", ("localhost", 80)),
        ("[::1]:443", ("::1", 443)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        (("::1", 0), ("::1", 0)),
    ],
)
def test_an_address_is_split_into_host_and_port(written, meant):
    assert split(written) == meant


@pytest.mark.parametrize(("protocol", "port"), [("tcp", 601), ("udp", 514)])
def test_services_are_those_of_the_protocol(protocol, port, monkeypatch):
    monkeypatch.setattr(socket, "getservbyname", lambda name, kind: {"tcp": 601, "udp": 514}[kind])
    assert split("host:syslog", protocol) == ("host", port)


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 443), ("example.org", 1)])
def test_join_is_the_inverse_of_split(address):
    assert split(join(address)) == address


@pytest.mark.parametrize(
    ("written", "error", "told"),
    [
        ("localhost", ValueError, "write 'localhost:8888'"),
        ("[::1]", ValueError, r"write '\[::1\]:8888'"),
        ("http://localhost:80", ValueError, "is a URL: write 'host:port'"),
        ("8888", ValueError, "write ':8888'"),
        ("::1:80", ValueError, r"'\[::1\]:80'"),
        ("host:", ValueError, "'' is neither a port number"),
        ("host:no-such-service", ValueError, "'no-such-service'"),
        ("host:65536", ValueError, "65536 is not between 0 and 65535"),
        (("host", -1), ValueError, "-1"),
        (("host", "80"), ValueError, "a string and a number"),
        (80, TypeError, "not 80"),
        (None, TypeError, "not None"),
    ],
)
def test_a_wrong_address_is_named_with_the_way_out(written, error, told):
    with pytest.raises(error, match=told):
        split(written)


def test_the_examples_are_true():
    assert doctest.testmod(grt.address).failed == 0
