"""Each example runs as its reader would run it: a process of its own, met by real clients."""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.goroutines import LOCKS_HELD

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMOS = ["demo1.py", "demo2.py"]
STRICT = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1", "GRT_STALL": "0"}  # a busy machine is no stall
PATIENCE = 60


def start(*command):
    return subprocess.Popen(
        [sys.executable, *command], env=STRICT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def running(demo):
    """The demo as a process that accepts connections, and its port."""
    return running_with(demo)


@contextmanager
def running_with(demo, *args):
    port = free_port()
    with start(EXAMPLES / demo, f"127.0.0.1:{port}", *args) as process:
        try:
            with suppress(ConnectionResetError):  # a forwarder without a target: it listens
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


def run(name, *arguments):
    """The exit status, output and error output of an example that ends by itself."""
    with start(EXAMPLES / name, *arguments) as process:
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return process.returncode, output, errors


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("sieve.py", ["many"], "'many'"),
        ("parallel_primes.py", ["many"], "'many'"),
        ("producer_consumer.py", ["many"], "'many'"),
        ("sieve.py", ["-1"], "there are no -1 primes"),
        ("crawler.py", ["https://127.0.0.1/"], "http://"),
        ("crawler.py", ["--at-once", "0"], "at least one page"),
        ("worker_pool.py", ["--workers", "0"], "at least one worker"),
        ("worker_pool.py", ["--rate", "0"], "a rate from"),
        ("worker_pool.py", ["--rate", "inf"], "a rate from"),
        ("chat.py", [":1", ":2"], ":2"),
    ],
)
def test_an_example_says_what_is_wrong_with_its_arguments(name, arguments, said):
    status, output, errors = run(name, *arguments)
    assert (status, output) == (2, "")
    assert said in errors and "Traceback" not in errors


def interrupted(process):
    """The exit status and the error output after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


@pytest.mark.parametrize("command", [("sieve.py", "100000000"), ("worker_pool.py", "--jobs", "100000000")])
def test_an_example_that_prints_ends_quietly_at_ctrl_c(command):
    with start("-u", EXAMPLES / command[0], *command[1:]) as process:
        try:
            assert process.stdout.readline()
            assert interrupted(process) == (0, "")
        finally:
            process.kill()


def test_the_crawler_ends_quietly_at_ctrl_c():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        start(EXAMPLES / "crawler.py", f"http://127.0.0.1:{silent.getsockname()[1]}/") as process,
    ):
        try:
            silent.settimeout(PATIENCE)
            with silent.accept()[0]:
                assert interrupted(process) == (0, "")
        finally:
            process.kill()


def test_the_chat_ends_quietly_at_ctrl_c():
    with running("chat.py") as (process, port), guests(port, "ada", "bob"), dial(port) as nobody_yet:
        assert nobody_yet.recv(100) == b"* your name?\n"
        assert interrupted(process) == (0, "")


def test_the_sieve_lets_primes_through():
    assert run("sieve.py", "12") == (0, "2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n31\n37\n", "")


def test_the_pool_does_each_job_once():
    status, output, errors = run("worker_pool.py", "--jobs", "30", "--workers", "5", "--rate", "1000")
    assert (status, errors) == (0, "")
    done = [line.partition("the square of ")[2] for line in output.splitlines()]
    assert sorted(done) == sorted(f"{job} is {job * job}" for job in range(30))


@pytest.mark.skipif(LOCKS_HELD, reason="this greenlet switches with the interpreter's locks held")
def test_the_crawler_visits_each_page_of_its_own_site_once():
    status, output, errors = run("crawler.py")
    assert (status, errors) == (0, "")
    visits = [line.split(" ", 2) for line in output.splitlines()]
    assert len({address for address, _, _ in visits}) == len(visits) == 81
    assert Counter(code for _, _, code in visits) == {"200 OK": 40, "404 Not Found": 41}


PAGES = [*map(str, range(10)), "missing", "broken"]


class Site(BaseHTTPRequestHandler):
    """Links to ten pages, to one that is not there, to one that breaks off, and to another site."""

    busy = most = 0
    lock = threading.Lock()
    overlap = threading.Event()

    def do_GET(self):
        with self.lock:
            Site.busy += 1
            Site.most = max(Site.most, Site.busy)
            if Site.busy > 1:
                self.overlap.set()
        if self.path != "/":
            self.overlap.wait(30)
        time.sleep(0.02)  # so that more overlap than may
        with self.lock:
            Site.busy -= 1
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/broken":
            return self.wfile.write(b"")
        self.send_response(200)
        self.end_headers()
        paths = {"/": [*PAGES, "/#top", "http://127.0.0.1:1/", "mailto:x@y"], "/3": ["http://["]}.get(self.path)
        if paths:
            self.wfile.write("".join(f"<a class=x href='{path}'>" for path in paths).encode())

    def log_message(self, *_):
        pass


@pytest.mark.skipif(LOCKS_HELD, reason="this greenlet switches with the interpreter's locks held")
def test_the_crawler_stays_on_the_site_and_within_its_bound():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        status, output, errors = run("crawler.py", address, "--at-once", "3")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
    assert (status, errors) == (0, "")
    found = dict(line.split(" ", 1) for line in output.splitlines())
    assert set(found) == {address, *(address + path for path in PAGES)}
    assert "404" in found[address + "missing"] and "ValueError" in found[address + "3"]
    assert 1 < Site.most <= 3


def test_the_crawler_tells_of_a_site_that_is_not_there():
    status, output, errors = run("crawler.py", f"http://127.0.0.1:{free_port()}/")
    assert (status, errors) == (0, "")
    assert "ConnectionRefusedError" in output


class Guest:
    """A client of the chat."""

    def __init__(self, port, name):
        self.sock = dial(port)
        self.lines = self.sock.makefile("r", encoding="utf-8", newline="\n")
        assert self.read() == "* your name?"
        self.say(name)

    def say(self, line):
        self.sock.sendall(f"{line}\n".encode())

    def read(self):
        return self.lines.readline().rstrip("\n")

    def close(self):
        self.lines.close()
        self.sock.close()


@contextmanager
def guests(port, *names):
    """Guests who have come one after the other, and have heard of each other."""
    here = []
    try:
        for name in names:
            here.append(Guest(port, name))
            assert [guest.read() for guest in here] == [f"* {name} is here"] * len(here)
        yield here
    finally:
        for guest in here:
            guest.close()


def test_what_is_said_in_a_room_is_heard_there_and_nowhere_else():
    with running("chat.py") as (_, port), guests(port, "ada", "bob", "eve") as (ada, bob, eve):
        ada.say("hello")
        assert [guest.read() for guest in (ada, bob, eve)] == ["ada: hello"] * 3
        bob.say("/join garden")
        assert [guest.read() for guest in (ada, bob, eve)] == ["* bob goes to garden"] * 3
        assert bob.read() == "* bob is here"
        bob.say("alone?")
        assert bob.read() == "bob: alone?"
        ada.say("/who")
        assert ada.read() == "* here: ada, eve"
        bob.say("/who")
        assert bob.read() == "* here: bob"


def test_a_name_is_one_guests_only():
    with running("chat.py") as (_, port), guests(port, "ada"), closing(Guest(port, "ada")) as other:
        assert other.read() == "* that one is taken: your name?"
        other.say("bob")
        assert other.read() == "* bob is here"


@pytest.mark.parametrize("linger", [None, struct.pack("ii", 1, 0)], ids=["closed", "reset"])
def test_a_guest_who_vanishes_is_dropped(linger):
    with running("chat.py") as (_, port), guests(port, "ada", "bob") as (ada, bob):
        if linger:
            bob.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        bob.close()
        assert ada.read() == "* bob has left"
        ada.say("/who")
        assert ada.read() == "* here: ada"


def test_a_guest_who_does_not_read_keeps_nobody_waiting():
    with running("chat.py") as (_, port), guests(port, "ada", "bob", "eve") as (ada, bob, _):
        for number in range(300):  # far more than the buffers between the server and eve hold
            line = f"{number} " + "x" * 60_000
            ada.say(line)
            assert [ada.read(), bob.read()] == [f"ada: {line}"] * 2


def test_a_line_may_come_in_pieces():
    with running("chat.py") as (_, port), guests(port, "ada", "bob") as (ada, bob):
        for piece in (b"he", b"llo\nand ", b"more\n"):
            ada.sock.sendall(piece)
            time.sleep(0.05)
        assert [bob.read(), bob.read()] == ["ada: hello", "ada: and more"]


def test_two_vms_and_a_channel():
    status, output, errors = run("producer_consumer.py", "3")
    lines = output.splitlines()
    assert (status, errors, len(lines)) == (0, "", 4)
    pids = {line.split()[1] for line in lines[:3]} | {line.split()[-1] for line in lines[:3]}
    assert len(pids) == 2 and lines[3].startswith("3 messages went from VM ")


def test_primes_are_counted_on_all_cores():
    status, output, errors = run("parallel_primes.py", "50_000", "2")
    assert (status, errors) == (0, "")
    assert "5,133 primes, counted by 2 VMs" in output
