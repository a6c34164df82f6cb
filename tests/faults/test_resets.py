"""A reset in every state of a connection, peers that take a byte at a time, and peers that are half gone."""

import socket
import struct
import time

import pytest

import grt
from tests.goroutines import blocked, living
from tests.net.certificates import client_context, needs_openssl, server_context

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the close to come sends a reset
GENEROUS = 60
LARGE = bytes(64 << 20)  # more than any socket holds


@pytest.fixture(autouse=True)
def _no_goroutine_is_left():
    with grt.timeout(GENEROUS):
        yield
        assert len(living()) == 1


@pytest.fixture
def ends():
    """A connection, and the plain socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        conn = grt.dial("tcp", server.getsockname())
        peer, _ = server.accept()
    with conn, peer:
        yield conn, peer


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


def read_on(conn):
    while conn.read():
        pass


def write_on(conn):
    while True:
        conn.write(b"x" * 1000)
        grt.sleep(0.001)


STATES = {
    "nothing has been said": lambda conn, peer: None,
    "something has come": lambda conn, peer: peer.send(b"x" * 1000),
    "something is on its way": lambda conn, peer: conn.write(b"x" * 1000),
    "we have said that we are done": lambda conn, peer: conn.close_write(),
    "the peer has": lambda conn, peer: peer.shutdown(socket.SHUT_WR),
    "both sides are full": lambda conn, peer: full(conn, peer),
}


def full(conn, peer):
    peer.setblocking(False)
    for send in (lambda: peer.send(bytes(65536)), lambda: conn.raw.send(bytes(65536))):
        try:
            while True:
                send()
        except BlockingIOError:
            pass


CALLS = {
    "read": read_on,
    "read_exactly": lambda conn: conn.read_exactly(1 << 30),
    "read_into": lambda conn: [None for _ in iter(lambda: conn.read_into(bytearray(65536)), 0)],
    "write": write_on,
    "write much": lambda conn: conn.write(LARGE),
    "writev": lambda conn: conn.writev([LARGE, LARGE]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("waits", [False, True])
def test_a_reset_ends_every_call_in_every_state(ends, state, call, waits):
    conn, peer = ends
    STATES[state](conn, peer)
    calling = grt.go(CALLS[call], conn)
    if waits:
        grt.sleep(0.001)
    reset(peer)
    try:
        calling.result()
    except ConnectionError:
        return
    except EOFError:
        pass
    assert "read" in call and state == "the peer has"  # what it had said is read before it is told of the reset


def test_a_reset_during_send_file(ends, tmp_path):
    conn, peer = ends
    with (tmp_path / "file").open("w+b") as file:
        file.truncate(len(LARGE))
        sending = blocked(conn.send_file, file)
        reset(peer)
        with pytest.raises(ConnectionError) as ended:
            sending.result()
        assert 0 < ended.value.sent == file.tell() < len(LARGE)  # type: ignore[attr-defined]


def test_a_reset_before_the_connection_is_accepted():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        for said in (b"", b"x"):
            client = socket.create_connection(listener.addr)
            client.sendall(said)
            reset(client)
            with grt.dial("tcp", listener.addr) as near:  # the next client is served whatever became of that one
                near.write(b"me")
                far = listener.accept()
                try:
                    found = far.read()
                except ConnectionResetError:
                    far.close()
                    found = (far := listener.accept()).read()
                if found == said != b"me":
                    far.close()
                    found = (far := listener.accept()).read()
                far.close()
                assert found == b"me"


def test_a_reset_while_we_close(ends):
    conn, peer = ends
    conn.write(b"x" * 100_000)
    conn.close()
    reset(peer)


@needs_openssl
@pytest.mark.parametrize("call", ["handshake", "read", "write much", "close_write"])
def test_a_reset_under_tls(call):
    def handshake(conn):
        conn.handshake()
        read_on(conn)

    calls = {**CALLS, "handshake": handshake, "close_write": lambda conn: (conn.close_write(), read_on(conn))}
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        if call == "handshake":
            client = grt.dial("tcp", listener.addr)
        else:
            dialling = grt.go(grt.dial, "tcp", listener.addr, tls=client_context())
        with listener.accept() as conn:
            if call != "handshake":
                conn.handshake()  # type: ignore[attr-defined]
                client = dialling.result()
            calling = blocked(calls[call], conn)
            client.abort()
            with pytest.raises(ConnectionError):
                calling.result()


def test_a_peer_that_takes_a_byte_at_a_time_does_not_hold_a_write_beyond_its_deadline(ends):
    conn, peer = ends
    writing = grt.go(conn.write, LARGE)
    taken = 0

    def sip():
        nonlocal taken
        peer.setblocking(False)
        while not writing.done:
            try:
                taken += len(peer.recv(1))
            except BlockingIOError:
                pass
            grt.sleep(0.001)

    sipping = grt.go(sip)
    conn.set_write_deadline(time.monotonic() + 0.05)
    with pytest.raises(TimeoutError, match="write deadline has passed") as late:
        writing.result()
    sipping.join()
    assert taken < late.value.sent < len(LARGE)  # type: ignore[attr-defined]
    conn.set_write_deadline(None)
    peer.settimeout(GENEROUS)
    rest = late.value.sent - taken  # type: ignore[attr-defined]
    while rest:  # all that counts as sent is there, and no more
        rest -= len(peer.recv(min(rest, 1 << 20)))
    conn.write(b"!")
    assert peer.recv(10) == b"!"


@pytest.mark.parametrize("half", ["reads no more", "writes no more"])
def test_a_peer_that_is_half_gone_is_served_with_the_other_half(ends, half):
    conn, peer = ends
    if half == "writes no more":
        peer.shutdown(socket.SHUT_WR)
        assert conn.read() == b""
        conn.write(b"still here")
        assert peer.recv(100) == b"still here"
        return
    peer.shutdown(socket.SHUT_RD)
    peer.send(b"still here")
    assert conn.read() == b"still here"
