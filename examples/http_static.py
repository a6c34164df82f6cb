"""Serves the files of a folder over HTTP/1.1: keep-alive, pipelines, HEAD, ranges, 100-continue.

    pip install h11
    python examples/http_static.py :8000 docs

h11 parses; the kernel sends the files (sendfile). A request has ten seconds to come, a client a minute to think of one.
"""

import mimetypes
import re
import stat
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import h11

import grt

BODY = 1 << 20  # bytes of a request's body that are read past; no file needs any


class Answer(Exception):
    """A response other than a file, without which a request ends here."""

    def __init__(self, status: int, *headers: tuple[str, str]) -> None:
        self.status = HTTPStatus(status)
        self.headers = headers


def next_event(conn: grt.Conn, parser: h11.Connection) -> Any:
    while (event := parser.next_event()) is h11.NEED_DATA:
        if parser.they_are_waiting_for_100_continue:
            conn.write(parser.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue")))
        parser.receive_data(conn.read())
    return event


def read_request(conn: grt.Conn, parser: h11.Connection) -> Any:
    """The next request, its body read past; None when the client has closed."""
    request = next_event(conn, parser)
    if isinstance(request, h11.ConnectionClosed):
        return None
    size = 0
    while not isinstance(event := next_event(conn, parser), h11.EndOfMessage):
        size += len(event.data)
        if size > BODY:
            raise Answer(413)
    return request


def file_of(root: Path, request: h11.Request) -> tuple[Path, int]:
    """The path that a request names, and its size."""
    if request.method not in (b"GET", b"HEAD"):
        raise Answer(405, ("Allow", "GET, HEAD"))
    name = unquote_to_bytes(request.target.split(b"?")[0])
    if b"\0" in name or not name.startswith(b"/"):
        raise Answer(400)
    try:
        path = (root / name.decode("utf-8", "surrogateescape").lstrip("/")).resolve()
        if not path.is_relative_to(root):
            raise Answer(404)
        if path.is_dir():
            path /= "index.html"
        found = path.stat()
    except (OSError, RuntimeError):  # a link that leads to itself
        raise Answer(404) from None
    if not stat.S_ISREG(found.st_mode):
        raise Answer(404)
    return path, found.st_size


def span_of(request: h11.Request, size: int) -> tuple[int, int, HTTPStatus]:
    """(first, count, status) of the bytes that a request asks for. Several ranges, or nonsense, mean the whole."""
    wanted = dict(request.headers).get(b"range", b"").decode("latin-1")
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", wanted)
    if match is None or match.groups() == ("", ""):
        return 0, size, HTTPStatus.OK
    first, last = match.groups()
    if not first:
        first, last = max(size - int(last), 0), size - 1
    first, last = int(first), min(int(last or size), size - 1)
    if first > last:
        raise Answer(416, ("Content-Range", f"bytes */{size}"))
    return first, last - first + 1, HTTPStatus.PARTIAL_CONTENT


def send_file(conn: grt.Conn, parser: h11.Connection, request: h11.Request, root: Path) -> None:
    path, size = file_of(root, request)
    first, count, status = span_of(request, size)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = [("Content-Type", kind), ("Content-Length", str(count)), ("Accept-Ranges", "bytes")]
    if status == HTTPStatus.PARTIAL_CONTENT:
        headers.append(("Content-Range", f"bytes {first}-{first + count - 1}/{size}"))
    try:
        file = path.open("rb")
    except OSError as error:
        raise Answer(403 if isinstance(error, PermissionError) else 404) from None
    with file:
        head = parser.send(h11.Response(status_code=status, headers=headers, reason=status.phrase))
        conn.write(head)
        if request.method == b"GET" and count:
            body: Any = range(count)  # of which h11 asks only how long it is, for the kernel sends it
            parser.send_with_data_passthrough(h11.Data(data=body))
            if conn.send_file(file, first, count) < count:
                raise ConnectionAbortedError(f"{path} became shorter while it was sent")
    parser.send(h11.EndOfMessage())


def refuse(conn: grt.Conn, parser: h11.Connection, answer: Answer, head: bool = False) -> None:
    body = f"{answer.status.value} {answer.status.phrase}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *answer.headers]
    if parser.their_state is not h11.DONE:  # the rest of what it says is not wanted
        headers.append(("Connection", "close"))
    message = parser.send(h11.Response(status_code=answer.status, headers=headers, reason=answer.status.phrase))
    if not head:
        message += parser.send(h11.Data(data=body))
    conn.write(message + parser.send(h11.EndOfMessage()))


def server_of(root: Path) -> grt.Server:
    def handle(conn: grt.Conn) -> None:
        parser = h11.Connection(h11.SERVER)
        while parser.trailing_data[0] or server.next_request(conn):
            request = None
            try:
                request = read_request(conn, parser)
                if request is None:
                    return
                send_file(conn, parser, request, root)
            except Answer as answer:
                refuse(conn, parser, answer, request is not None and request.method == b"HEAD")
            except h11.RemoteProtocolError as error:
                if parser.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    refuse(conn, parser, Answer(error.error_status_hint))
            if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
                return
            parser.start_next_cycle()

    server = grt.Server(handle, idle_timeout=60, read_timeout=10)
    return server


if __name__ == "__main__":
    address, folder = [*sys.argv[1:], ":8000", "."][:2] if len(sys.argv) < 3 else sys.argv[1:3]
    server_of(Path(folder).resolve()).run("tcp", address)
