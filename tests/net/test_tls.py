"""TLS: who is trusted, what is agreed on, and how streams end; reading and writing is in test_conformance."""

import os
import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import grt
from grt.testing import bubble
from tests.goroutines import blocked, living
from tests.net.certificates import client_context, made, needs_openssl, server_context
from tests.net.test_dial import dial_when_up, unused_port

pytestmark = needs_openssl


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
    host, port = serve(quiet, server_context(server))
    with pytest.raises(ssl.SSLCertVerificationError, match=rf"->{host}:{port}: .*{said}"):
        dial((host, port), **options)


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
        tried = [tls.try_write(bytes(1_000_000)) for _ in range(10)]
        assert 0 < tried[0] <= 5 * 16384 and sum(tried) < 500_000 and tried[-1] == 0  # a pipe holds 64 KiB
        writing = grt.go(tls.write, b"the end")  # which sends what is left first
        assert other.read_exactly(sum(tried) + 7) == bytes(sum(tried)) + b"the end"
        writing.result()
        tls.close()
        with pytest.raises(grt.Closed):
            tls.try_write(b"x")


def over_a_pipe():
    """Both ends of a stream over TLS, the first the client's."""
    near, far = grt.pipe()
    serving = grt.go(grt.start_tls, far, server_context(), True)
    return grt.start_tls(near, client_context(), server_hostname="localhost"), serving.result()


@pytest.mark.parametrize("reader_waits", [False, True])
def test_what_a_write_that_was_cut_has_left_is_sent_while_the_answer_is_awaited(reader_waits):
    tls, other = over_a_pipe()
    with tls, other, grt.timeout(60):
        reading = blocked(tls.read) if reader_waits else None
        tls.set_write_deadline(time.monotonic() + 0.05)
        with pytest.raises(TimeoutError) as caught:
            tls.write(bytes(200_000))
        taken = vars(caught.value)["sent"]
        if reading is None:
            reading = blocked(tls.read)
        assert taken > 64 * 1024 and other.read_exactly(taken) == bytes(taken)
        other.write(b"all is here")
        assert reading.result() == b"all is here"


def test_a_deadlock_is_found_also_where_a_write_has_left_something():
    with pytest.raises(grt.Deadlock), bubble():
        tls, other = over_a_pipe()
        with tls, other:
            with grt.timeout(0.01), pytest.raises(TimeoutError):
                tls.write(bytes(200_000))
            tls.read()


def test_nobody_tries_to_send_what_is_left_of_a_connection_that_has_ended():
    tls, other = over_a_pipe()
    tls.set_write_deadline(time.monotonic())
    before = set(living())
    for way in (other.transport.close, tls.close):
        with pytest.raises((TimeoutError, grt.Closed)):
            tls.write(bytes(200_000))
        way()
        with grt.timeout(60):
            while set(living()) - before:
                grt.sleep(0.001)
    other.close()


@pytest.mark.parametrize("reader_stays", [False, True])
def test_a_write_goes_on_in_the_midst_of_a_renegotiation_that_the_server_has_asked_for(reader_stays):
    addr = ("127.0.0.1", unused_port())
    command = ["openssl", "s_server", "-accept", str(addr[1]), "-tls1_2", "-cert", str(made() / "localhost.pem"),
               "-key", str(made() / "localhost.key")]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        try:
            with dial_when_up(addr, tls=client_context(), server_hostname="localhost") as conn, grt.timeout(60):
                conn.write(b"before\n")
                grt.blocking(read_up_to, server, b"before")
                os.write(server.stdin.fileno(), b"R\n")
                while not has_come(conn):
                    grt.sleep(0.001)
                os.kill(server.pid, signal.SIGSTOP)
                reading = blocked(conn.read)
                grt.sleep(0.05)
                if not reader_stays:
                    reading.cancel()
                    reading.join()
                assert conn.try_write(b"not now") == 0
                grt.go(os.kill, server.pid, signal.SIGCONT)
                conn.write(b"after\n")
                grt.blocking(read_up_to, server, b"after")
                reading.cancel()
                reading.join()
        finally:
            server.kill()


def has_come(conn):
    try:
        return bool(conn.raw.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def read_up_to(program, text):
    while text not in (line := program.stdout.readline()):
        assert line


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
