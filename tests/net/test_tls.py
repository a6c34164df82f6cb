"""TLS: who is trusted, what is agreed on, and how streams end; reading and writing is in test_conformance."""

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import grt
from grt.net import TLSConn
from tests.goroutines import blocked
from tests.net.certificates import client_context, made, needs_openssl, server_context

pytestmark = needs_openssl


@pytest.fixture
def serve():
    """Starts a server of a handler; returns its address."""
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


def echo(conn):
    for data in conn:
        conn.write(data)


def dial(address, **options):
    return grt.dial("tcp", address, timeout=60, **{"tls": client_context(), **options})


def accept(listener: grt.Listener) -> Any:
    return listener.accept()


def quiet(conn):
    """A handler that does not mind how the client ends."""
    try:
        conn.read()
    except OSError:
        pass


# -- who is trusted


def test_a_server_that_is_who_it_says_is_talked_to(serve):
    with dial(serve(echo), server_hostname="localhost") as conn:
        conn.write(b"secret")
        assert conn.read() == b"secret"
        assert conn.tls.version() == "TLSv1.3" and repr(conn).startswith("<grt.Conn tls over tcp 127.0.0.1:")


def test_the_addresss_host_is_the_name_that_is_checked(serve):
    with dial(serve(echo)) as conn:
        conn.write(b"x")
        assert conn.read() == b"x"


@pytest.mark.parametrize(
    ("server", "options", "said"),
    [
        ("localhost", {"server_hostname": "elsewhere.invalid"}, "Hostname mismatch"),
        ("stranger", {"server_hostname": "localhost"}, "Hostname mismatch"),
        ("localhost", {"tls": True, "server_hostname": "localhost"}, "unable to get local issuer"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused(serve, server, options, said):
    with pytest.raises(ssl.SSLCertVerificationError, match=said):
        dial(serve(quiet, server_context(server)), **options)


def test_a_client_is_asked_for_its_certificate(serve):
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(made() / "ca.pem")

    def who(conn):
        try:
            conn.handshake()
        except ssl.SSLError:
            return
        conn.write(conn.tls.getpeercert()["subject"][0][0][1].encode())

    address = serve(who, context)
    known = client_context()
    known.load_cert_chain(made() / "client.pem", made() / "client.key")
    with dial(address, tls=known) as conn:
        assert conn.read() == b"client"
    with dial(address) as conn, pytest.raises((ssl.SSLError, ConnectionResetError)):
        conn.read()


# -- what is agreed on


def test_alpn_chooses_a_protocol(serve):
    context = server_context()
    context.set_alpn_protocols(["h2", "spam"])

    def tell(conn):
        conn.handshake()
        conn.write(conn.alpn.encode())

    client = client_context()
    client.set_alpn_protocols(["spam"])
    with dial(serve(tell, context), tls=client) as conn:
        assert conn.alpn == "spam" and conn.read() == b"spam"


def test_the_name_that_a_client_asks_for_reaches_the_server(serve):
    asked = []
    context = server_context()
    context.sni_callback = lambda tls, name, _: asked.append(name)
    with dial(serve(echo, context), server_hostname="localhost"):
        pass
    assert asked == ["localhost"]


def test_a_session_is_resumed(serve):
    address, context = serve(echo), client_context()
    with dial(address, tls=context) as conn:
        conn.write(b"x")
        assert conn.read() == b"x" and not conn.tls.session_reused
        session = conn.session
    with dial(address, tls=context, session=session) as conn:
        assert conn.tls.session_reused


def test_a_live_connection_goes_over_to_tls():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        near, far = grt.dial("tcp", listener.addr), listener.accept()

    def server():
        assert far.read_line() == b"STARTTLS\n"
        far.write(b"go on\n")
        with grt.start_tls(far, server_context(), server_side=True) as tls:
            tls.write(tls.read_line().upper())

    serving = grt.go(server)
    near.write(b"STARTTLS\n")
    assert near.read_line() == b"go on\n"
    with grt.start_tls(near, client_context(), server_hostname="localhost") as tls:
        tls.write(b"spam\n")
        assert tls.read_line() == b"SPAM\n"
    serving.result()
    assert near.closed and far.closed


def test_no_more_is_tried_while_something_is_left_to_be_sent():
    near, far = grt.pipe()
    serving = grt.go(grt.start_tls, far, server_context(), True)
    tls = grt.start_tls(near, client_context(), server_hostname="localhost")
    with tls, serving.result() as other:
        tried = [tls.try_write(bytes(100_000)) for _ in range(10)]
        assert tried[0] == 100_000 and sum(tried) < 500_000 and tried[-1] == 0
        writing = grt.go(tls.write, b"the end")  # which sends what is left first
        assert other.read_exactly(sum(tried) + 7) == bytes(sum(tried)) + b"the end"
        writing.result()
        tls.close()
        with pytest.raises(grt.Closed):
            tls.try_write(b"x")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_thread_reads_and_another_writes(serve, version):
    def echo(conn):
        for data in conn:
            conn.write(data)

    def both(conn):
        with ThreadPoolExecutor(2) as threads:
            writing = threads.submit(grt.run, lambda: [conn.write(part) for part in parts])
            reading = threads.submit(grt.run, lambda: [conn.read_exactly(3000) for _ in parts])
            writing.result()
            return reading.result()

    context = client_context()
    context.maximum_version = version
    parts = [i.to_bytes(4, "big") * 750 for i in range(200)]
    addr = serve(echo)
    for _ in range(20):
        with grt.dial("tcp", addr, tls=context, server_hostname="localhost") as conn:
            assert grt.blocking(both, conn) == parts


# -- how it ends


def test_no_goodbye_makes_a_stream_that_was_cut_seem_whole():
    near, far = grt.pipe()
    serving = grt.go(grt.start_tls, far, server_context(), True)
    tls = grt.start_tls(near, client_context(), server_hostname="localhost")
    with tls, serving.result() as other:
        writing = blocked(tls.write, bytes(200_000))
        received = other.read_exactly(40_000)  # a pipe holds 64 KiB: now all but a few bytes of the first piece fit
        grt.gosched()
        tls.set_write_deadline(time.monotonic())
        with pytest.raises(TimeoutError):
            writing.result()
        received += other.read_exactly(40_000)
        tls.close()
        with pytest.raises(ssl.SSLEOFError, match="was cut short"):
            while data := other.read():
                received += data
    assert len(received) < 200_000


def test_a_close_says_goodbye(serve):
    with dial(serve(lambda conn: conn.write(b"all"))) as conn:
        assert conn.read() == b"all" and conn.read() == b""


def test_a_stream_that_was_cut_is_told_from_one_that_has_ended(serve):
    def cut(conn):
        conn.write(b"half")
        conn.transport.close()

    with dial(serve(cut)) as conn:
        assert conn.read() == b"half"
        with pytest.raises(ssl.SSLEOFError, match="was cut short: no close_notify"):
            conn.read()


def test_a_handshake_that_is_never_finished_ends_at_its_deadline():
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        with grt.dial("tcp", listener.addr) as client, accept(listener) as conn:
            client.write(b"\x16\x03\x01")
            with pytest.raises(TimeoutError):
                conn.handshake(0.01)
            conn.set_deadline(time.monotonic() + 0.01)
            with pytest.raises(TimeoutError):
                conn.read()


def test_a_handshake_that_was_cut_in_its_last_flight_is_made_on():
    near, far = grt.pipe()
    with TLSConn(near, client_context(), server_hostname="localhost") as tls:
        shaking = blocked(tls.handshake)
        tls.set_write_deadline(time.monotonic())
        serving = grt.go(grt.start_tls, far, server_context(), True)
        with pytest.raises(TimeoutError):
            shaking.result()
        tls.set_write_deadline(None)
        with grt.timeout(30):
            tls.handshake()
            with serving.result() as other:
                other.write(b"hello")
                assert tls.read() == b"hello"


def test_a_dial_to_one_who_never_answers_the_handshake_times_out():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        with pytest.raises(TimeoutError, match="no answer within"):
            grt.dial("tcp", listener.addr, timeout=0.05, tls=client_context())
        with accept(listener) as conn:
            assert conn.read_exactly(3)[:1] == b"\x16" and drained(conn)


def drained(conn):
    for _ in conn:
        pass
    return True


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, bytes(range(256))])
def test_what_is_no_tls_is_refused_with_an_alert(said):
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        with grt.dial("tcp", listener.addr) as client, accept(listener) as conn:
            client.write(said)
            client.close_write()
            with pytest.raises(ssl.SSLError):
                conn.handshake(60)
            conn.close()
            try:
                assert client.read()[:1] in (b"\x15", b"")
            except ConnectionResetError:
                pass


@pytest.mark.parametrize("makes_one", [False, True])
def test_a_server_is_given_a_context_or_makes_one(makes_one):
    def shout(conn):
        while server.next_request(conn):
            conn.write(conn.read_line().upper())

    server = grt.Server(shout, tls=server_context if makes_one else server_context())
    listener = grt.listen("tcp", "127.0.0.1:0")
    serving = grt.go(server.serve, listener)
    with dial(listener.addr) as conn:
        conn.write(b"spam\n")
        assert conn.read_line() == b"SPAM\n"
    server.shutdown()
    serving.result()


def test_a_server_is_not_upset_by_what_is_no_tls_nor_by_who_leaves_without_goodbye(serve, monkeypatch, caplog):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)
    served = []

    def handler(conn):
        echo(conn)
        served.append(conn)

    address = serve(handler)
    with grt.dial("tcp", address) as scanner:
        scanner.write(b"GET / HTTP/1.0\r\n\r\n")
        scanner.close_write()
        assert drained(scanner)
    grt.dial("tcp", address).close()
    with grt.dial("tcp", address) as transport:
        rude = grt.start_tls(transport, client_context(), server_hostname="localhost")
        rude.write(b"spam")
        assert rude.read() == b"spam"
        transport.close_write()
        assert drained(transport)
        rude.close()
    with dial(address, server_hostname="localhost") as polite:
        polite.write(b"spam")
        polite.close_write()
        assert b"".join(polite) == b"spam"
    assert not reported and len(served) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "handshake has failed" in caplog.text and str(address[1]) in caplog.text


def test_a_shutdown_does_not_wait_for_a_client_that_never_begins_its_handshake():
    listener = grt.listen("tcp", "127.0.0.1:0", tls=server_context())
    server = grt.Server(echo)
    serving = grt.go(server.serve, listener)
    with grt.dial("tcp", listener.addr) as scanner, grt.timeout(60):
        while server.connections == 0:
            grt.sleep(0.001)
        assert server.shutdown() == 0
        assert scanner.read() == b""
    serving.result()


def test_a_reset_ends_the_handshake_and_a_read():
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        client = grt.dial("tcp", listener.addr)
        with accept(listener) as conn:
            waiting = blocked(conn.handshake)
            client.abort()
            with pytest.raises(ConnectionResetError):
                waiting.result()


def test_a_cancelled_handshake_closes_what_it_was_to_protect():
    near, far = grt.pipe()
    with far:
        waiting = blocked(grt.start_tls, near, client_context(), False, "localhost")
        waiting.cancel()
        with pytest.raises(grt.Cancelled):
            waiting.result()
        assert near.closed and far.read_exactly(1) == b"\x16"


def test_something_that_is_no_context_is_refused():
    with pytest.raises(TypeError, match=r"tls is True or an ssl\.SSLContext"):
        with grt.listen("tcp", "127.0.0.1:0") as listener:
            grt.dial("tcp", listener.addr, tls="yes")
    with pytest.raises(TypeError, match=r"tls is an ssl\.SSLContext"):
        grt.listen("tcp", "127.0.0.1:0", tls=True)
    near, far = grt.pipe()
    with far, pytest.raises(TypeError, match=r"needs an ssl\.SSLContext, not None"):
        grt.start_tls(near, None)  # type: ignore[arg-type]
    assert near.closed


def test_a_client_that_checks_names_names_the_host():
    near, far = grt.pipe()
    with far, pytest.raises(ValueError, match="server_hostname"):
        grt.start_tls(near, client_context())
    assert near.closed


def test_a_failed_handshake_leaves_no_descriptor(serve):
    address = serve(quiet)
    with socket.socket() as probe:
        lowest = probe.fileno()
    for _ in range(3):
        with pytest.raises(ssl.SSLError):
            dial(address, tls=True)
    grt.sleep(0.01)
    with socket.socket() as probe:
        assert probe.fileno() <= lowest + 1
