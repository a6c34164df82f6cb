"""Each example runs as its reader would run it: a process of its own, met by real clients."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMOS = ["demo1.py", "demo2.py"]
STRICT = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}
PATIENCE = 60


def start(*command):
    return subprocess.Popen(
        [sys.executable, *command], env=STRICT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def running(demo):
    """The demo as a process that accepts connections, and its port."""
    port = free_port()
    with start(EXAMPLES / demo, f"127.0.0.1:{port}") as process:
        try:
            dial(port).close()
            yield process, port
        finally:
            process.kill()


def dial(port):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def read_all(sock):
    received = bytearray()
    while data := sock.recv(1 << 16):
        received += data
    return bytes(received)


@pytest.mark.parametrize("demo", DEMOS)
def test_a_demo_echoes_to_many_at_once(demo):
    with running(demo) as (_, port):
        clients = [dial(port) for _ in range(50)]
        for number, client in enumerate(clients):
            client.sendall(b"hello %d" % number)
        for number, client in enumerate(clients):
            with client:
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"hello %d" % number


@pytest.mark.parametrize("demo", DEMOS)
def test_a_demo_returns_more_than_the_kernel_buffers(demo):
    sent = os.urandom(16 << 20)
    with running(demo) as (_, port), dial(port) as client:

        def send():
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_all(client) == sent
        sender.join()


@pytest.mark.parametrize("demo", DEMOS)
def test_a_demo_ends_at_ctrl_c(demo):
    with running(demo) as (process, port), dial(port):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, -signal.SIGINT)


@pytest.mark.parametrize("demo", DEMOS)
def test_a_port_in_use_is_named(demo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with start(EXAMPLES / demo, address) as process:
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert address in errors


def thousand(*arguments):
    return start(EXAMPLES / "thousand.py", *arguments)


def test_the_main_job_ends_without_errors():
    with thousand("--connections", "100", "--requests", "20") as job:
        output, errors = job.communicate(timeout=PATIENCE)
    assert (job.returncode, errors) == (0, "")
    assert "100 connections, 2,000 requests" in output
    assert "errors       0\n" in output


def test_the_main_job_ends_at_ctrl_c_with_its_server():
    with thousand("--connections", "20", "--requests", "1000000") as job:
        time.sleep(2)
        job.send_signal(signal.SIGINT)
        _, errors = job.communicate(timeout=PATIENCE)  # the server holds the same pipe: it must have ended too
    assert (job.returncode, errors) == (1, "stopped\n")


def test_the_main_job_refuses_more_connections_than_files():
    with thousand("--connections", "2000000000") as job:
        _, errors = job.communicate(timeout=PATIENCE)
    assert job.returncode == 1
    assert "--connections" in errors


def test_the_main_job_fails_when_a_byte_comes_back_changed(tmp_path, monkeypatch):
    liar = tmp_path / "liar.py"
    liar.write_text((EXAMPLES / "demo2.py").read_text().replace("write(data)", "write(data[:-1] + b'?')"))
    program = tmp_path / "job.py"
    program.write_text(f"import thousand; thousand.DEMO2 = {str(liar)!r}; thousand.main(3, 50)")
    monkeypatch.setitem(STRICT, "PYTHONPATH", str(EXAMPLES))
    with start(program) as job:
        output, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 1
    assert "came back changed" in output
