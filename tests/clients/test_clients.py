"""Other people's clients talk to a server of goroutines."""

import shutil
import subprocess
import threading
from contextlib import contextmanager

import pytest

import grt

PATIENCE = 60


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


def echo(conn):
    with conn:
        for data in conn:
            conn.write(data)


def web(conn):
    """As much of HTTP as one GET needs."""
    with conn:
        request = b""
        while b"\r\n\r\n" not in request:
            request += conn.read()
        body = request.split()[1]
        conn.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)


def pong(conn):
    """As much of RESP as redis-benchmark's PING tests need: an array of one bulk string, or the word alone."""
    with conn:
        pending = b""
        for data in conn:
            pending += data
            *commands, pending = pending.split(b"\r\n")
            conn.write(b"".join(answer(word) for word in commands))


def answer(word):
    if word.upper() == b"PING":
        return b"+PONG\r\n"
    if word.upper() == b"CONFIG":
        return b"-ERR unknown command\r\n"
    return b""


@contextmanager
def serving(handler):
    """A server in a thread of its own, and its port."""
    opened = threading.Event()
    found = []

    def main():
        with grt.listen("tcp", "127.0.0.1:0") as listener:
            found.append(listener)
            opened.set()
            for conn in listener:
                grt.go(handler, conn)

    thread = threading.Thread(target=grt.run, args=(main,))
    thread.start()
    opened.wait()
    try:
        yield found[0].addr[1]
    finally:
        found[0].close()
        thread.join()


def run(*command, given=b""):
    ran = subprocess.run(command, input=given, capture_output=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@needs("curl")
def test_curl_gets_a_page():
    with serving(web) as port:
        assert run("curl", "-sS", f"http://127.0.0.1:{port}/hello") == b"/hello"


@needs("curl")
def test_curl_gets_many_pages_at_once():
    with serving(web) as port:
        pages = run("curl", "-sS", "-Z", "--parallel-max", "50", f"http://127.0.0.1:{port}/[1000-1199]")
    assert sorted(pages.split(b"/")[1:]) == [b"%d" % number for number in range(1000, 1200)]


@needs("nc")
def test_netcat_gets_back_what_it_sends():
    data = b"line\n" * 10_000
    with serving(echo) as port:
        assert run("nc", "-N", "127.0.0.1", str(port), given=data) == data


@needs("redis-benchmark")
def test_redis_benchmark_is_answered():
    with serving(pong) as port:
        said = run("redis-benchmark", "-p", str(port), "-t", "ping", "-n", "5000", "-c", "50", "-P", "4", "-q")
    assert said.count(b"requests per second") == 2
