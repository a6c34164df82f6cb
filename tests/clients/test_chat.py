"""examples/chat.py and crawler.py with what no client, and no server, would say."""

import pytest

import grt
from examples import chat, crawler
from tests.clients.streams import feed, junk_of

SAID = [b"name", b"\n", b"\r\n", b"/join", b" ", b"/who", b"room", b"\xff\xfe", b"\0", b"/", b"hello"]
SITE = [
    b"HTTP/1.0 200 OK", b"\r\n", b"\r\n\r\n", b"<a href=", b'"', b"'", b">", b"<", b"<![", b"<!", b"<!--", b"<?", b"&#",
    b"http://[", b"//", b"/1", b"\xff", b"</a", b"x=y", b"<script>", b"CDATA[", b"]]", b"n[",
]  # fmt: skip


@pytest.mark.timeout(1200)
def test_no_stream_of_bytes_breaks_the_chat():
    feed(chat.serve, lambda rng: junk_of(SAID, rng), 1000)
    assert not chat.room_of and not chat.lines_for


@pytest.mark.timeout(1200)
def test_no_stream_of_bytes_breaks_the_crawler(monkeypatch):
    seats, visits = grt.sync.Semaphore(8), grt.chan(1)

    def visit(conn):
        monkeypatch.setattr(grt, "dial", lambda *_: conn)
        crawler.visit("http://127.0.0.1/", seats, visits)
        url, _, links = visits.recv(timeout=0)
        assert url == "http://127.0.0.1/" and isinstance(links, list)

    feed(visit, lambda rng: junk_of(SITE, rng), 1000)
