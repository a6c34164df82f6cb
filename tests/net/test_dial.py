"""listen and dial: addresses, families, and what is said when they fail."""

import contextlib
import errno
import re
import socket
import sys
import time

import pytest

import grt
from grt.net.tcp import Route, dial_tcp
from tests.child import finish, spawn
from tests.faults.cable import UNSHARE, needs_veth
from tests.goroutines import blocked

LOCAL = "127.0.0.1:0"


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def dial_when_up(addr, **options):
    limit = time.monotonic() + 60
    while True:
        try:
            return grt.dial("tcp", addr, **options)
        except ConnectionRefusedError:
            assert time.monotonic() < limit
            grt.sleep(0.01)


# -- what fails


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1"])
def test_a_deadline_that_is_over_says_whose_it_was(address):
    with pytest.raises(TimeoutError) as raised, grt.timeout(0):
        grt.dial("tcp", address)
    assert str(raised.value) == "timed out: the 0 s of grt.timeout are over"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a Unix socket refuses when its backlog is full")
def test_so_does_one_that_ends_the_wait_for_a_place_in_a_backlog(tmp_path):
    path = str(tmp_path / "socket")
    with grt.listen("unix", path, backlog=1), contextlib.ExitStack() as clients:
        with pytest.raises(TimeoutError) as raised, grt.timeout(0.2):
            for _ in range(10):
                clients.enter_context(grt.dial("unix", path))
    assert str(raised.value) == "timed out: the 0.2 s of grt.timeout are over"


def test_a_contexts_cause_is_left_as_it_is():
    cause = ConnectionError("peer gone")
    ctx, cancel = grt.context.with_cancel_cause(grt.context.background())
    cancel(cause)
    with pytest.raises(ConnectionError) as raised, grt.context.use(ctx):
        grt.dial("tcp", "127.0.0.1:1")
    assert raised.value is cause and str(cause) == "peer gone"


def test_a_refused_dial_names_the_address():
    port = unused_port()
    with pytest.raises(ConnectionRefusedError, match=f"dial tcp 127.0.0.1:{port}"):
        grt.dial("tcp", f"127.0.0.1:{port}")


def test_dialling_a_listener_that_is_closed_is_refused(listener):
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        grt.dial("tcp", listener.addr)


def test_this_ends_address_can_be_chosen(listener):
    with grt.dial("tcp", listener.addr, local="127.0.0.5:0") as near, listener.accept() as far:
        assert near.local_addr == far.remote_addr and near.local_addr[0] == "127.0.0.5"
    port = unused_port()
    with grt.dial("tcp", listener.addr, local=("", port)) as near, listener.accept() as far:
        assert near.local_addr == far.remote_addr == ("127.0.0.1", port)


@pytest.mark.skipif(sys.platform != "linux", reason="only there the range of ports can be set")
def test_nobody_is_connected_to_oneself():
    needs_veth()
    program = """
        import grt
        from tests.faults.cable import ip

        ip("ip link set lo up")
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as ports:
            ports.write("40000 40001")
        for _ in range(3):
            try:
                grt.dial("tcp", "127.0.0.1:40000", timeout=30)
            except ConnectionRefusedError as error:
                print(error)
    """
    status, out, err = finish(spawn(program, under=UNSHARE))
    assert (status, err) == (0, "") and out.count("dial tcp 127.0.0.1:40000") == 3


def test_all_addresses_are_tried_from_a_port_that_is_chosen(listener, full):
    port = unused_port()
    routes: list[Route] = [(socket.AF_INET, address, ("127.0.0.1", port)) for address in (full, listener.addr)]
    with grt.timeout(60), dial_tcp(routes, None) as near, listener.accept() as far:
        assert far.remote_addr == near.local_addr == ("127.0.0.1", port)


def test_a_name_is_dialled_in_the_family_of_this_ends_address(listener):
    with grt.dial("tcp", f"localhost:{listener.addr[1]}", local="127.0.0.5:0") as near:
        assert near.local_addr[0] == "127.0.0.5"


def test_an_address_that_is_not_this_machines_is_no_end_of_a_connection(listener):
    where = f"dial tcp {listener.addr[0]}:{listener.addr[1]} from"
    with pytest.raises(OSError, match=f"{where} 192.0.2.1:0") as raised:
        grt.dial("tcp", listener.addr, local="192.0.2.1:0")
    assert raised.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError, match=re.escape(f"{where} [::1]:0")) as raised:
        grt.dial("tcp", listener.addr, local="[::1]:0")
    assert raised.value.errno == errno.EAFNOSUPPORT
    with pytest.raises(ValueError, match="has no port"):
        grt.dial("tcp", listener.addr, local="127.0.0.1")
    with pytest.raises(ValueError, match="local is for TCP"):
        grt.dial("unix", "/none", local="127.0.0.1:0")


@pytest.fixture
def full():
    """The address of a listener whose backlog is full: whoever dials it waits for ever."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        while True:  # Linux takes one more than the backlog, others some
            client = socket.socket()
            client.setblocking(False)
            waiting.append(client)
            client.connect_ex(server.getsockname())
            client.settimeout(0.1)
            try:
                client.send(b"x")
            except OSError:
                break
        yield server.getsockname()
        for client in waiting:
            client.close()


def test_a_dial_that_is_never_answered_times_out_and_names_the_address(full):
    with pytest.raises(TimeoutError, match=rf"dial tcp 127\.0\.0\.1:{full[1]}: no answer within 0\.01 s"):
        grt.dial("tcp", full, timeout=0.01)


def test_the_earliest_of_dials_timeout_and_the_scopes_counts(full):
    with pytest.raises(TimeoutError), grt.timeout(0.01) as outer:
        grt.dial("tcp", full, timeout=60)
    assert outer.expired
    with grt.timeout(60) as outer, pytest.raises(TimeoutError):
        grt.dial("tcp", full, timeout=0.01)
    assert not outer.expired


def test_a_cancelled_dial_gives_its_descriptor_back(full):
    g = blocked(grt.dial, "tcp", full)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()


@pytest.mark.parametrize(
    ("network", "address", "said"),
    [
        ("udp", LOCAL, "network 'udp' is not known"),
        (None, LOCAL, "network None is not known"),
        ("tcp", "localhost", "has no port"),
        ("tcp", "::1:80", "is ambiguous"),
        ("tcp", ":65536", "not between 0 and 65535"),
        ("tcp", ("127.0.0.1", -1), "not between 0 and 65535"),
        ("tcp", ("127.0.0.1", "80"), "expected"),
        ("tcp", "127.0.0.1:no-such-service", "neither a port number nor a known service"),
    ],
)
def test_a_bad_address_is_told_in_full(network, address, said):
    for call in (grt.listen, grt.dial):
        with pytest.raises(ValueError, match=said):
            call(network, address)


def test_an_address_of_another_type_is_refused():
    with pytest.raises(TypeError, match="'host:port' or"):
        grt.dial("tcp", 8888)  # type: ignore[arg-type]


def test_an_unknown_name_says_which():
    with pytest.raises(socket.gaierror, match=r"'no-such-host\.invalid'"):
        grt.dial("tcp", "no-such-host.invalid:80")


def test_a_port_in_use_is_told_with_the_address(listener):
    host, port = listener.addr
    with pytest.raises(OSError, match=rf"listen tcp {host}:{port}") as caught:
        grt.listen("tcp", listener.addr)
    assert caught.value.errno == errno.EADDRINUSE


def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(OSError, match=r"listen tcp 198\.51\.100\.1:0") as caught:
        grt.listen("tcp", "198.51.100.1:0")
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_family_that_does_not_fit_the_address_is_refused():
    with pytest.raises(socket.gaierror, match=r"127\.0\.0\.1"):
        grt.listen("tcp6", LOCAL)


# -- addresses


def test_both_ends_agree_on_their_addresses(pair, listener):
    near, far = pair
    assert near.remote_addr == far.local_addr == listener.addr
    assert far.remote_addr == near.local_addr
    assert listener.addr[1] > 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listener_without_a_host_serves_ipv4_and_ipv6(host):
    with (
        grt.listen("tcp", ":0") as listener,
        grt.dial("tcp", (host, listener.addr[1])) as near,
        listener.accept() as far,
    ):
        assert far.remote_addr == near.local_addr and far.remote_addr[0] == host


@pytest.mark.parametrize("open_", [grt.listen, grt.listen_packet])
def test_ipv6s_wildcard_and_ipv4_written_as_ipv6_are_both_families(open_):
    kind = "tcp" if open_ is grt.listen else "udp"
    for host in ("::", "::ffff:127.0.0.1"):
        with open_(kind, (host, 0)) as listener:
            if kind == "udp":
                with grt.dial_packet("udp", ("127.0.0.1", listener.addr[1])) as near:
                    near.send(b"x")
                    assert listener.recv_from() == (b"x", near.addr)
            else:
                with grt.dial("tcp", ("127.0.0.1", listener.addr[1])) as near, listener.accept() as far:
                    assert far.remote_addr == near.local_addr
    with open_(f"{kind}6", "[::]:0") as listener, open_(f"{kind}4", ("0.0.0.0", listener.addr[1])):
        pass


def test_ipv6_works_end_to_end():
    with grt.listen("tcp6", "[::1]:0") as listener, grt.dial("tcp", listener.addr) as near, listener.accept() as far:
        near.write(b"six")
        assert far.read() == b"six"
        assert repr(far).startswith(f"<grt.Conn tcp [::1]:{listener.addr[1]}->[::1]:")


@pytest.mark.parametrize(("network", "other"), [("tcp4", "::1"), ("tcp6", "127.0.0.1")])
def test_a_listener_of_one_family_refuses_the_other(network, other):
    with grt.listen(network, ":0") as listener, pytest.raises(ConnectionRefusedError):
        grt.dial("tcp", (other, listener.addr[1]))


def test_a_name_is_dialled_by_all_its_addresses():
    with grt.listen("tcp4", LOCAL) as listener, grt.dial("tcp", f"localhost:{listener.addr[1]}") as near:
        listener.accept().close()
        assert near.remote_addr == listener.addr


def test_their_reprs_tell_what_they_are(pair, listener):
    near, _ = pair
    (host, port), (_, own) = listener.addr, near.local_addr
    assert repr(listener) == f"<grt.Listener tcp {host}:{port}>"
    assert repr(near) == f"<grt.Conn tcp {host}:{own}->{host}:{port}>"
    near.close()
    assert repr(near) == f"<grt.Conn tcp {host}:{own}->{host}:{port} closed>"
    fresh = grt.dial("tcp", listener.addr)
    assert f":{fresh.fileno()}" not in repr(fresh) and repr(fresh).startswith(f"<grt.Conn tcp {host}:")
    fresh.close()


def test_a_thousand_connections_are_served_at_once(listener):
    def echo(conn):
        with conn:
            for data in conn:
                conn.write(data)

    def serve():
        for conn in listener:
            grt.go(echo, conn)

    def ask(number):
        with grt.dial("tcp", listener.addr) as conn:
            for turn in range(3):
                said = b"%d of %d" % (turn, number)
                conn.write(said)
                assert conn.read_exactly(len(said)) == said

    server = grt.go(serve)
    clients = [grt.go(ask, number) for number in range(1000)]
    for client in clients:
        client.result()
    listener.close()
    server.result()


def link_local():
    """An address of this machine's that is one only together with its interface."""
    try:
        with open("/proc/net/if_inet6") as addresses:
            for line in addresses:
                digits, _, _, scope, _, interface = line.split()
                if scope == "20":
                    host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
                    with socket.socket(socket.AF_INET6) as probe:
                        probe.bind((host, 0, 0, socket.if_nametoindex(interface)))
                    return f"{host}%{interface}"
    except OSError:
        pass
    pytest.skip("this machine has no link-local address")


def test_an_address_of_a_link_goes_with_its_interface():
    host = link_local()
    assert grt.lookup(host) == [host]
    with grt.listen("tcp", f"[{host}]:0") as listener, grt.dial("tcp", listener.addr) as near, listener.accept() as far:
        near.write(b"hello")
        assert far.read() == b"hello" and listener.addr[0] == near.remote_addr[0] == far.remote_addr[0] == host
