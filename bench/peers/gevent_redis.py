"""examples/redis_server.py on gevent: the same commands, a greenlet for each client.

Usage: gevent_redis.py PORT [tuned]. A file made of a socket does not show what it has buffered, so that each answer is
sent by itself; tuned, a reader of our own keeps the answers back until it has to read.
"""

import io
import socket
import sys
from pathlib import Path

from gevent.server import StreamServer

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from redis_server import LIMIT, Broken, answer, length


class Socket(io.RawIOBase):
    """What a tuned BufferedReader reads from."""

    def __init__(self, conn):
        self.conn = conn
        self.replies = bytearray()

    def readable(self):
        return True

    def readinto(self, buffer):
        self.flush()
        return self.conn.recv_into(buffer)

    def flush(self):
        if self.replies:
            self.conn.sendall(self.replies)
            self.replies = bytearray()


def command(stream, line):
    if line[:1] != b"*":
        return line.split()
    sizes = range(length(line, b"*", 1 << 20))
    return [stream.read(length(stream.readline(), b"$", LIMIT) + 2)[:-2] for _ in sizes]


def serve(conn, _address):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = conn.makefile("rb", 65536)
    try:
        while line := stream.readline():
            if words := command(stream, line):
                conn.sendall(answer(words))
    except Broken as broken:
        conn.sendall(f"-ERR {broken}\r\n".encode())
    stream.close()
    conn.close()


def serve_tuned(conn, _address):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sink = Socket(conn)
    stream = io.BufferedReader(sink, 65536)
    try:
        while line := stream.readline():
            if words := command(stream, line):
                sink.replies += answer(words)
    except Broken as broken:
        sink.replies += f"-ERR {broken}\r\n".encode()
    sink.flush()
    conn.close()


handler = serve_tuned if sys.argv[2:] == ["tuned"] else serve
StreamServer(("127.0.0.1", int(sys.argv[1])), handler, backlog=4096).serve_forever()
