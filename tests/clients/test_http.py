"""examples/http_static.py, with curl, wrk and with what no client would send."""

import os
import random
import shutil
import subprocess

import pytest

from examples import http_static
from tests.clients.streams import feed, junk_of
from tests.examples.test_examples import PATIENCE, dial, running_with

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(3_000_000))
    (tmp_path / "page.html").write_text("<p>hello")
    (tmp_path / "empty").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("<p>index")
    (tmp_path.parent / "secret").write_text("secret")
    return tmp_path


@pytest.fixture
def port(folder):
    with running_with("http_static.py", folder) as (process, port):
        yield port
        process.terminate()
        assert process.wait(PATIENCE) == 0 and process.stderr.read() == ""


def curl(*args):
    return subprocess.run(["curl", "-sS", *map(str, args)], capture_output=True, timeout=PATIENCE, check=True).stdout


@needs_curl
def test_curl_gets_files(port, folder):
    at = f"http://127.0.0.1:{port}"
    assert curl(f"{at}/large") == (folder / "large").read_bytes()
    assert curl(f"{at}/page.html?x=1") == b"<p>hello" and curl(f"{at}/sub/") == b"<p>index"
    assert curl(f"{at}/empty") == b""
    assert b"Content-Type: text/html" in curl("-I", f"{at}/page.html")


@needs_curl
def test_curl_keeps_one_connection_for_many(port):
    at = f"http://127.0.0.1:{port}/page.html"
    said = curl("-w", "%{num_connects} ", "-o", os.devnull, at, "-o", os.devnull, at, "-o", os.devnull, at)
    assert said == b"1 0 0 "


@needs_curl
@pytest.mark.parametrize(
    ("span", "first", "last"), [("0-9", 0, 10), ("2999990-", 2_999_990, 3_000_000), ("-5", 2_999_995, 3_000_000)]
)
def test_curl_gets_a_range(port, folder, span, first, last):
    said = curl("-r", span, "-D", "-", f"http://127.0.0.1:{port}/large")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 206") and body == (folder / "large").read_bytes()[first:last]
    assert f"Content-Range: bytes {first}-{last - 1}/3000000".encode() in head


@needs_curl
@pytest.mark.parametrize(
    ("path", "args", "status"),
    [
        ("/nothing", [], 404), ("/../secret", ["--path-as-is"], 404), ("/%2e%2e/secret", ["--path-as-is"], 404),
        ("/large", ["-X", "DELETE"], 405), ("/large", ["-r", "5000000-"], 416), ("/a%00b", [], 400),
        ("/page.html", ["-d", "x" * 2_000_000, "-X", "GET", "-H", "Expect: 100-continue"], 413),
        ("/page.html/x", [], 404),
    ],
)  # fmt: skip
def test_curl_is_told_what_is_wrong(port, path, args, status, tmp_path):
    if args[:1] == ["-d"]:
        (tmp_path / "data").write_text(args[1])
        args = ["--data-binary", f"@{tmp_path / 'data'}", *args[2:]]
    said = curl(*args, "-o", os.devnull, "-w", "%{http_code}", f"http://127.0.0.1:{port}{path}")
    assert said == b"%d" % status


@needs_curl
def test_curl_waits_for_100_continue(port):
    said = curl(
        "-X", "GET", "-d", "x" * 2000, "-H", "Expect: 100-continue", "-D", "-", f"http://127.0.0.1:{port}/page.html"
    )
    assert said.startswith(b"HTTP/1.1 100") and b"HTTP/1.1 200" in said and said.endswith(b"<p>hello")


def test_a_range_beyond_all_numbers_is_no_range(port):
    wanted = b"bytes=0-" + b"9" * 5000
    said = answers(port, b"GET /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: %b\r\n\r\n" % wanted)
    assert said.startswith(b"HTTP/1.1 200") and said.endswith(b"<p>hello")


@needs_wrk
def test_wrk_sees_no_error(port):
    command = ["wrk", "-t1", "-c50", "-d2s", f"http://127.0.0.1:{port}/page.html"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    assert "Requests/sec" in said and "Socket errors" not in said and "Non-2xx" not in said


def answers(port, request):
    with dial(port) as client:
        client.sendall(request)
        received = b""
        while data := client.recv(65536):
            received += data
    return received


def test_a_pipeline_is_answered_in_order(port):
    said = answers(port, b"GET /page.html HTTP/1.1\r\nHost: x\r\n\r\nHEAD /large HTTP/1.1\r\nHost: x\r\n\r\n"
                   b"GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")  # fmt: skip
    assert said.count(b"HTTP/1.1 200") == 3
    assert said.index(b"<p>hello") < said.index(b"Content-Length: 3000000") < said.index(b"Content-Length: 0")


@pytest.mark.parametrize("wrong", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0\r\n\r\n", b"G" * 200_000])
def test_what_is_no_http_is_answered_with_an_error(port, wrong):
    try:
        assert answers(port, wrong).startswith((b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 505"))
    except ConnectionResetError:
        assert len(wrong) > 65536  # hung up on before it had said it all


def test_a_client_that_goes_in_the_midst_of_a_file_leaves_nothing_behind(port):
    for _ in range(5):
        with dial(port) as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(10)
    assert b"<p>hello" in answers(port, b"GET /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


WORDS = [
    b"GET", b"HEAD", b" ", b"/", b"page.html", b"HTTP/1.1", b"\r\n", b"Host: x", b"Range: bytes=", b"0-", b"-1",
    b":", b"Content-Length: ", b"5", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"%00", b"\xff", b"..",
]  # fmt: skip


def junk(rng):
    head = b"GET /page.html HTTP/1.1\r\nHost: x\r\n" if rng.random() < 0.5 else b""
    return head + junk_of(WORDS, rng, 30, 0.2) + b"\r\n\r\n"


@pytest.mark.timeout(1200)
def test_no_stream_of_bytes_breaks_it(folder):
    server = http_static.server_of(folder)
    feed(server.serve_conn, junk, 500)  # h11 takes its time
    assert server.connections == 0
