"""What crosses: large buffers, connections, listeners."""

import os
import pickle
import socket

import pytest

import grt
from grt.vm.parcel import LARGE, open_parcel, pack
from tests.vm import work


@pytest.mark.parametrize("value", [None, True, 1, 2.0, "spam", b"eggs", b"x" * (LARGE - 1)])
def test_what_is_small_and_cannot_change_is_packed_on_the_way(value):
    assert pack(value) is value and open_parcel(value) is value


@pytest.mark.parametrize("size", [LARGE, 5 * LARGE + 1])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_buffers_come_whole(vm, kind, size):
    value = kind(os.urandom(size))
    got = vm.go(work.double, value).result()
    assert type(got) is kind and got == 2 * value


def test_a_large_view_is_mapped_and_the_receiver_s_own(vm):
    value = bytearray(2 * LARGE)
    got = vm.go(work.first_byte_changed, memoryview(value)).result()
    assert (got[0], value[0], got.nbytes) == (7, 0, 2 * LARGE)
    assert vm.go(work.describe, memoryview(value)).result() == ("memoryview", b"\0\0\0", 2 * LARGE)


def test_buffers_within_a_value_travel_apart(vm):
    parts = [pickle.PickleBuffer(bytearray(bytes([i]) * LARGE)) for i in range(3)]
    found = vm.go(describe_all, parts).result()
    assert found == [("memoryview", bytes([i]) * 3, LARGE) for i in range(3)]
    parcel = pack(parts)
    assert len(parcel.data) < 1000 and parcel.sizes == [LARGE] * 3


def describe_all(values):
    return [work.describe(value) for value in values]


def test_a_connection_moves(vm):
    with grt.listen("tcp", "127.0.0.1:0") as listener, grt.dial("tcp", listener.addr) as client:
        conn = listener.accept()
        client.write(b"read before ")
        assert conn.peek(4) == b"read"
        g = vm.go(work.serve_one, conn)
        assert conn.closed
        assert client.read_exactly(12) == b"READ BEFORE "
        client.write(b"hello")
        assert client.read_exactly(5) == b"HELLO"
        client.close_write()
        assert client.read() == b""
        g.result()


def test_a_listener_is_shared(vm):
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        g = vm.go(work.accept_one, listener)
        with grt.dial("tcp", listener.addr) as client:
            assert client.read() == b"from a VM"
        g.result()
        with grt.dial("tcp", listener.addr) as client, listener.accept() as conn:
            conn.write(b"from here")
            assert client.read() == b"from here"


def test_unix_connections_cross_in_a_channel(vm, tmp_path):
    conns = grt.chan()
    g = vm.go(serve_from, conns)
    with grt.listen("unix", str(tmp_path / "socket")) as listener:
        for _ in range(3):
            with grt.dial("unix", str(tmp_path / "socket")) as client:
                conns.send(listener.accept())
                client.write(b"spam")
                assert client.read() == b"SPAM"
    conns.close()
    g.result()


def serve_from(conns):
    for conn in conns:
        work.serve_one(conn)


def test_what_cannot_cross_is_told(vm):
    near, far = grt.pipe()
    with near, far, pytest.raises(TypeError, match="cannot be pickled"):
        vm.go(work.serve_one, near)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(grt.chan())
    with grt.listen("tcp", "127.0.0.1:0") as listener, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(listener)


def test_what_fails_half_way_gives_nothing_away(vm):
    with grt.listen("tcp", "127.0.0.1:0") as listener, socket.create_connection(listener.addr):
        with listener.accept() as conn:
            with pytest.raises(TypeError, match="I stay here"):
                vm.go(work.double, [conn, bytearray(LARGE), work.Reluctant()])
            assert not conn.closed


def test_what_nobody_opens_is_closed(vm):
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        channel = grt.chan(5)
        with grt.dial("tcp", listener.addr) as client:
            vm.go(work.try_recv, channel).result()
            channel.send(listener.accept())
            del channel
            assert client.read() == b""
