"""examples/tls_proxy.py and port_forward.py: openssl and curl through them, much data, and peers that vanish."""

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

import grt
from examples import tls_proxy as example
from grt.net import TLSConn
from tests.clients.streams import WHOLE, feed
from tests.examples.test_examples import PATIENCE, dial, free_port, running_with
from tests.net.certificates import client_context, made, needs_openssl, server_context

FORWARDED = 1 << 30 if WHOLE else 64 << 20  # bytes each way
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@contextlib.contextmanager
def backend(handle):
    """A server of blocking threads, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def echo(client):
    with client:
        try:
            while data := client.recv(65536):
                client.sendall(data)
        except OSError:
            pass


def web(client):
    with client:
        while b"\r\n\r\n" not in client.recv(65536):
            pass
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


@contextlib.contextmanager
def tls_proxy(target):
    pem, key = made() / "localhost.pem", made() / "localhost.key"
    with running_with("tls_proxy.py", f"127.0.0.1:{target}", pem, key) as (process, port):
        yield process, port


@needs_openssl
@needs_curl
def test_curl_speaks_https_to_a_server_that_does_not():
    with backend(web) as target, tls_proxy(target) as (_, port):
        command = ["curl", "-sS", "--cacert", made() / "ca.pem", f"https://localhost:{port}/", "--resolve"]
        done = subprocess.run(
            [*command, f"localhost:{port}:127.0.0.1"], capture_output=True, timeout=PATIENCE, check=True
        )
    assert done.stdout == b"hello"


@needs_openssl
def test_s_client_gets_back_what_it_sends():
    with backend(echo) as target, tls_proxy(target) as (_, port):
        command = ["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", made() / "ca.pem",
                   "-verify_hostname", "localhost", "-connect", f"127.0.0.1:{port}"]  # fmt: skip
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as client:
            assert client.stdin is not None and client.stdout is not None
            for number in range(100):
                client.stdin.write(b"line %d\n" % number)
                client.stdin.flush()
                assert client.stdout.readline() == b"line %d\n" % number
            client.kill()


@needs_openssl
@needs_curl
def test_a_client_that_never_finishes_its_handshake_holds_up_nobody():
    with backend(web) as target, tls_proxy(target) as (process, port):
        with dial(port) as slow:
            slow.sendall(b"\x16\x03\x01")
            command = ["curl", "-sS", "-k", f"https://127.0.0.1:{port}/"]
            assert subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True).stdout == b"hello"
        with dial(port) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while plain.recv(100):
                pass
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in process.stderr.read()


@needs_openssl
@pytest.mark.timeout(1200)
def test_no_stream_of_bytes_breaks_the_tls_proxy(capsys):
    outgoing, context = ssl.MemoryBIO(), server_context()
    client = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()

    def junk(rng):
        said = bytearray(hello[: rng.randrange(len(hello))] if rng.random() < 0.3 else hello)
        for _ in range(rng.randrange(8)):
            if said:
                said[rng.randrange(len(said))] = rng.randrange(256)
        return bytes(said) + rng.randbytes(rng.choice([0, 0, 100]))

    server = grt.Server(lambda client: example.proxy(client, "127.0.0.1:1"))
    feed(lambda conn: server.serve_conn(TLSConn(conn, context, server_side=True)), junk, 500)
    assert server.connections == 0
    assert "Traceback" not in capsys.readouterr().err


def memory_of(process):
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(1200)
def test_much_passes_both_ways_and_memory_stays():
    digests = {}

    def sink_and_source(client):
        with client, contextlib.suppress(OSError):  # whoever only looked whether the forwarder is up
            reading = threading.Thread(target=receive, args=(client, "there"))
            reading.start()
            try:
                send(client)
            finally:
                reading.join()

    def send(conn):
        piece, left = bytes(range(256)) * 1024, FORWARDED
        while left > 0:
            conn.sendall(piece[:left])
            left -= len(piece)
        conn.shutdown(socket.SHUT_WR)

    def receive(conn, name):
        count, digest = 0, hashlib.blake2b()
        while data := conn.recv(1 << 18):
            count += len(data)
            digest.update(data)
        if count:
            digests[name] = count, digest.hexdigest()

    with backend(sink_and_source) as target, running_with("port_forward.py", f"127.0.0.1:{target}") as (process, port):
        with dial(port) as client:
            before = memory_of(process) if os.path.exists("/proc") else 0
            sending = threading.Thread(target=send, args=(client,))
            sending.start()
            receive(client, "back")
            sending.join()
            after = memory_of(process) if os.path.exists("/proc") else 0
        deadline = time.monotonic() + PATIENCE
        while "there" not in digests:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert digests["there"] == digests["back"] and digests["back"][0] == FORWARDED
    assert after - before < 8 << 20


def test_a_reset_is_passed_on_and_the_next_client_served():
    with backend(echo) as target, running_with("port_forward.py", f"127.0.0.1:{target}") as (process, port):
        for _ in range(3):
            client = dial(port)
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        with dial(port) as client:
            client.sendall(b"still there")
            assert client.recv(100) == b"still there"
        process.terminate()
        assert process.wait(PATIENCE) == 0 and process.stderr.read() == ""


@pytest.mark.parametrize(
    ("target", "said"), [(lambda: f"127.0.0.1:{free_port()}", "Connection refused"), (lambda: "x", "has no port")]
)
def test_a_target_that_is_not_there_is_told_and_the_client_reset(target, said):
    with running_with("port_forward.py", target()) as (process, port):
        # The reset may come before the client sees that it was connected.
        with pytest.raises(ConnectionResetError), dial(port) as client:
            client.sendall(b"x")
            client.recv(1)
        process.terminate()
        process.wait(PATIENCE)
        errors = process.stderr.read()
        assert said in errors and "Traceback" not in errors
