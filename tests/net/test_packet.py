"""Datagrams: UDP and Unix, connected or not, to one and to many."""

import errno
import os
import socket
import sys
import time

import pytest

import grt
from tests.child import finish, spawn
from tests.faults.cable import UNSHARE, needs_veth
from tests.goroutines import blocked
from tests.net.test_dial import link_local

GROUP = "239.255.77.77"


@pytest.fixture
def packets():
    with grt.listen_packet("udp", "127.0.0.1:0") as packets:
        yield packets


def test_each_send_is_one_receive(packets):
    with grt.dial_packet("udp", packets.addr) as near:
        for data in (b"one", b"", b"x" * 60_000):
            near.send(data)
        assert [packets.recv() for _ in range(3)] == [b"one", b"", b"x" * 60_000]


def test_an_answer_goes_to_the_sender(packets):
    with grt.listen_packet("udp", "127.0.0.1:0") as other:
        other.send_to(b"ping", packets.addr)
        data, sender = packets.recv_from()
        assert (data, sender) == (b"ping", other.addr)
        packets.send_to(b"pong", sender)
        assert other.recv_from() == (b"pong", packets.addr)


def test_what_is_longer_than_asked_for_is_cut(packets):
    with grt.dial_packet("udp", packets.addr) as near:
        near.send(b"0123456789")
        near.send(b"next")
        assert packets.recv(4) == b"0123" and packets.recv() == b"next"


def test_addresses_may_be_strings_and_names(packets):
    with grt.listen_packet("udp4", ":0") as other:
        other.send_to(b"by number", f"127.0.0.1:{packets.addr[1]}")
        other.send_to(b"by name", ("localhost", packets.addr[1]))
        assert {packets.recv(), packets.recv()} == {b"by number", b"by name"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_a_host_both_families_are_received_and_answered(host):
    with grt.listen_packet("udp", ":0") as both, grt.dial_packet("udp", (host, both.addr[1])) as near:
        near.send(b"x")
        data, sender = both.recv_from()
        assert sender == near.addr and sender[0] == host
        both.send_to(data, sender)
        assert near.recv() == b"x"


def test_a_peer_that_does_not_listen_is_told_of():
    with grt.listen_packet("udp", "127.0.0.1:0") as gone:
        at = gone.addr
    with grt.dial_packet("udp", at) as near:
        near.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            near.recv()
        near.send(b"still usable")


def test_a_receive_waits_and_ends_by_deadline_cancellation_and_close(packets):
    packets.set_read_deadline(time.monotonic() + 0.01)
    with pytest.raises(TimeoutError, match=r"udp 127\.0\.0\.1:\d+: the read deadline"):
        packets.recv()
    packets.set_read_deadline(None)
    waiting = blocked(packets.recv)
    waiting.cancel()
    with pytest.raises(grt.Cancelled):
        waiting.result()
    waiting = blocked(packets.recv_from)
    packets.close()
    with pytest.raises(grt.Closed):
        waiting.result()
    with pytest.raises(grt.Closed):
        packets.recv()


def test_as_an_iterator_it_yields_datagrams_until_it_is_closed(packets):
    found = []

    def collect():
        for data, _ in packets:
            found.append(data)

    collecting = grt.go(collect)
    with grt.dial_packet("udp", packets.addr) as near:
        for data in (b"one", b"two"):
            near.send(data)
        while len(found) < 2:
            grt.sleep(0.001)
    packets.close()
    collecting.result()
    assert found == [b"one", b"two"]


def test_who_is_connected_sends_and_who_is_not_sends_to(packets):
    with grt.dial_packet("udp", packets.addr, local="127.0.0.1:0") as near:
        with pytest.raises(ValueError, match=r"use send\(data\)"):
            near.send_to(b"x", packets.addr)
    with pytest.raises(ValueError, match="connected to nobody"):
        packets.send(b"x")


def test_what_fails_names_the_address(packets):
    with pytest.raises(OSError, match=rf"listen udp 127\.0\.0\.1:{packets.addr[1]}"):
        grt.listen_packet("udp", packets.addr)
    with pytest.raises(OSError, match=rf"udp 127\.0\.0\.1:{packets.addr[1]}") as large:
        packets.send_to(bytes(70_000), packets.addr)
    assert large.value.errno == errno.EMSGSIZE
    with pytest.raises(ValueError, match="use 'udp', 'udp4'"):
        grt.listen_packet("tcp", ":0")
    with pytest.raises(ValueError, match=r"grt\.dial_packet"):
        grt.dial("udp", ":0")


def test_a_broadcast_has_to_be_allowed():
    with grt.listen_packet("udp4", ":0") as near:
        with pytest.raises(PermissionError):
            near.send_to(b"x", ("255.255.255.255", 9))
        near.set_broadcast(True)
        try:
            near.send_to(b"x", ("127.255.255.255", near.addr[1]))
        except OSError as error:
            assert error.errno == errno.ENETUNREACH  # noqa: PT017
        else:
            assert near.recv() == b"x"


@pytest.mark.parametrize("network", ["udp4", "udp"])
def test_a_group_receives_what_is_sent_to_it_until_it_is_left(network):
    with grt.listen_packet("udp4", ":0") as member, grt.listen_packet(network, ":0") as near:
        member.join_group(GROUP, "lo")
        near.set_multicast("lo", hops=0)
        near.send_to(b"to all", (GROUP, member.addr[1]))
        assert member.recv() == b"to all"
        member.leave_group(GROUP, "lo")
        near.send_to(b"to nobody", (GROUP, member.addr[1]))
        near.send_to(b"to one", ("127.0.0.1", member.addr[1]))
        assert member.recv() == b"to one"
        with pytest.raises(ValueError, match="is not a multicast address"):
            member.join_group("127.0.0.1")


def test_a_group_of_ipv6():
    with grt.listen_packet("udp6", ":0") as member, grt.listen_packet("udp6", ":0") as near:
        member.join_group("ff01::77", "lo")
        near.set_multicast("lo", hops=0)
        try:
            near.send_to(b"six", ("ff01::77", member.addr[1]))
        except OSError as error:
            assert error.errno == errno.ENETUNREACH  # noqa: PT017
            pytest.skip("no route for IPv6's groups here")
        assert member.recv() == b"six"


GROUPS = """
    import grt
    from tests.faults.cable import ip, set_up

    ip("ip link add near type veth peer name far")
    ip("ip link set far up")
    set_up("near", "10.77.0.1", "fd77::1")
    with grt.timeout(60), grt.listen_packet("udp6", ":0") as member, grt.listen_packet("udp6", ":0") as near:
        member.join_group("ff02::77%near")
        near.set_multicast("near")
        for group in "ff02::77%near", "ff02::77":
            near.send_to(group.encode(), (group, member.addr[1]))
            data, sender = member.recv_from()
            assert data == group.encode() and sender[1] == near.addr[1], sender
        near.set_multicast("near", loop=False)
        near.send_to(b"to others", ("ff02::77", member.addr[1]))
        near.set_multicast("near", loop=True)
        member.leave_group("ff02::77%near")
        near.send_to(b"to nobody", ("ff02::77", member.addr[1]))
        near.send_to(b"to one", ("fd77::1", member.addr[1]))
        assert member.recv() == b"to one"
    with grt.timeout(60), grt.listen_packet("udp4", ":0") as member, grt.listen_packet("udp4", ":0") as near:
        near.set_broadcast(True)
        near.send_to(b"to all", ("10.77.0.255", member.addr[1]))
        assert member.recv_from() == (b"to all", ("10.77.0.1", near.addr[1]))
        with grt.dial_packet("udp", ("10.77.0.255", member.addr[1])) as dialled:
            dialled.send(b"to all, as dialled")
            assert member.recv() == b"to all, as dialled"
    print("done")
"""


def test_groups_of_ipv6_and_broadcasts_on_a_network_that_has_them():
    needs_veth()
    assert finish(spawn(GROUPS, under=UNSHARE)) == (0, "done\n", "")


def test_reuse_port_lets_several_receive_on_one_port():
    with grt.listen_packet("udp", "127.0.0.1:0", reuse_port=True) as one:
        with grt.listen_packet("udp", one.addr, reuse_port=True) as two:
            assert one.addr == two.addr


def test_unix_datagrams(tmp_path):
    server, client = str(tmp_path / "server"), str(tmp_path / "client")
    with grt.listen_packet("unixgram", server) as far:
        with grt.dial_packet("unixgram", server, local=client) as near:
            near.send(b"ping")
            assert far.recv_from() == (b"ping", client)
            far.send_to(b"pong", client)
            assert near.recv() == b"pong" and repr(near) == f"<grt.PacketConn unixgram {client}->{server}>"
        with grt.dial_packet("unixgram", server) as nameless:
            nameless.send(b"x")
            assert far.recv_from() == (b"x", "")
    assert not os.path.exists(server) and not os.path.exists(client)


def test_a_unix_send_waits_while_the_receiver_is_full(tmp_path):
    path = str(tmp_path / "server")
    with grt.listen_packet("unixgram", path) as far, grt.dial_packet("unixgram", path) as near:

        def flood():
            for number in range(1000):
                near.send(b"%d" % number)

        flooding = blocked(flood)
        assert [far.recv() for _ in range(1000)] == [b"%d" % number for number in range(1000)]
        flooding.result()


@pytest.fixture
def clogged(tmp_path):
    """A socket that sends to anybody, and the path of a receiver that takes no more."""
    path = str(tmp_path / "server")
    with grt.listen_packet("unixgram", path) as far, grt.listen_packet("unixgram", str(tmp_path / "near")) as near:
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                near.raw.sendto(b"x", path)
        yield near, path, far


def test_a_send_to_a_full_receiver_ends_by_deadline_timeout_cancellation_and_close(clogged):
    near, path, _ = clogged
    near.set_write_deadline(time.monotonic() + 0.05)
    with pytest.raises(TimeoutError, match="the write deadline"):
        near.send_to(b"x", path)
    near.set_write_deadline(None)
    with grt.timeout(0.05) as limit, pytest.raises(TimeoutError):
        near.send_to(b"x", path)
    assert limit.expired
    waiting = blocked(near.send_to, b"x", path)
    waiting.cancel()
    with pytest.raises(grt.Cancelled):
        waiting.result()
    waiting = blocked(near.send_to, b"x", path)
    near.close()
    with pytest.raises(grt.Closed):
        waiting.result()


def test_a_send_to_a_full_receiver_waits_for_room_and_computes_nothing_meanwhile(clogged):
    near, path, far = clogged
    waiting = grt.go(near.send_to, b"last", path)
    before, begun = time.process_time(), time.monotonic()
    grt.sleep(0.5)
    assert time.process_time() - before < (time.monotonic() - begun) / 2
    while (data := far.recv()) != b"last":
        assert data == b"x"
    waiting.result()


def test_an_end_without_a_host_is_every_host_of_this_machine():
    for network, host in (("udp4", "0.0.0.0"), ("udp6", "::")):
        with grt.listen_packet(network, ":0") as far:
            assert far.addr[0] == host
            port = far.addr[1]
        with grt.listen_packet(network, ":0") as far:
            target = ("127.0.0.2" if network == "udp4" else "::1", far.addr[1])
            with grt.dial_packet(network, target, local=f":{port}") as near:
                near.send(b"x")
                assert far.recv_from()[1][1] == port and near.addr[1] == port


def test_calls_that_are_in_vain_at_once_end_by_their_deadlines(packets):
    """A kernel may call ready what is not."""

    def in_vain():
        packets.raw.sendto(b"x", packets.addr)
        packets.raw.recv(1)
        raise BlockingIOError

    packets.set_read_deadline(time.monotonic() + 0.05)
    with pytest.raises(TimeoutError, match="the read deadline"):
        packets.read_by(in_vain)
    packets.set_read_deadline(None)
    with grt.timeout(0.05) as limit, pytest.raises(TimeoutError):
        packets.read_by(in_vain)
    assert limit.expired


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere none are longer")
def test_a_unix_datagram_of_any_length_is_received_whole(tmp_path):
    path = str(tmp_path / "server")
    with grt.listen_packet("unixgram", path) as far, grt.dial_packet("unixgram", path) as near:
        for length in (200_000, 0, 70_000):
            near.send(b"x" * length)
        assert [len(far.recv()), len(far.recv()), len(far.recv_from()[0])] == [200_000, 0, 70_000]
        near.send(b"x" * 100_000)
        assert len(far.recv(80_000)) == 80_000


def test_a_file_of_unix_datagrams_that_a_dead_program_has_left_is_replaced(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(path)
    with grt.listen_packet("unixgram", path) as far, grt.dial_packet("unixgram", path) as near:
        with pytest.raises(OSError, match=f"in use.*listen unixgram {path}"):
            grt.listen_packet("unixgram", path)
        near.send(b"x")
        assert far.recv() == b"x"
    with grt.listen("unix", path), pytest.raises(OSError, match="in use"):
        grt.listen_packet("unixgram", path)


@pytest.mark.parametrize("peer", ["nu\0ll", b"bytes", "x" * 200])
def test_a_peer_that_can_be_none_leaves_no_file(tmp_path, peer):
    path = str(tmp_path / "socket")
    with pytest.raises((ValueError, TypeError, OSError)):
        grt.dial_packet("unixgram", peer, local=path)
    assert not os.path.exists(path)
    with grt.listen_packet("unixgram", path) as near, pytest.raises((ValueError, TypeError, OSError)):
        near.send_to(b"x", peer)


def test_raw_is_the_socket(packets):
    assert packets.raw.type == socket.SOCK_DGRAM and packets.raw.gettimeout() == 0
    with pytest.raises(BlockingIOError):
        packets.raw.recv(1)
    packets.set_read_buffer(100_000)
    assert packets.raw.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 100_000


def test_a_file_of_unix_datagrams_is_removed_by_who_has_made_it_alone(tmp_path):
    path = str(tmp_path / "socket")
    first = grt.listen_packet("unixgram", path)
    os.unlink(path)
    second = grt.listen_packet("unixgram", path)
    first.close()
    assert os.path.exists(path)
    second.close()
    assert not os.path.exists(path)
    with pytest.raises(FileNotFoundError):
        grt.dial_packet("unixgram", str(tmp_path / "nobody"), local=path)
    assert not os.path.exists(path)


def test_an_address_of_a_link_goes_with_its_interface():
    host = link_local()
    with grt.listen_packet("udp", f"[{host}]:0") as far, grt.dial_packet("udp", far.addr) as near:
        near.send(b"ping")
        data, sender = far.recv_from()
        assert data == b"ping" and sender[0] == far.addr[0] == host
        far.send_to(b"pong", sender)
        assert near.recv() == b"pong"
