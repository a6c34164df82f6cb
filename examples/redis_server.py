"""A small Redis: PING, ECHO, GET, SET with EX, DEL, INCR, LPUSH, LRANGE; pipelines and inline commands.

    python examples/redis_server.py :6379
    redis-cli set greeting hello ex 60

A goroutine for each client, and no lock: goroutines take turns where they block, and no command does that.
"""

import re
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import grt

LIMIT, ENOUGH = 512 << 20, 65536  # bytes: of an argument, as in Redis; of answers kept back while a pipeline is read


class Refused(Exception):
    """Becomes an error reply; the connection goes on."""


class Broken(Exception):
    """What came is no Redis protocol: the client is told, and hung up on."""


store: dict[bytes, Any] = {}  # key -> bytes, or a deque of them
ends: dict[bytes, float] = {}  # key -> the moment at which it vanishes, for those with EX


def value_of(key: bytes, kind: type) -> Any:
    if key in ends and time.monotonic() >= ends[key]:
        delete(key)
    value = store.get(key)
    if value is not None and type(value) is not kind:
        raise Refused("WRONGTYPE Operation against a key holding the wrong kind of value")
    return value


def delete(*keys: bytes) -> bytes:
    for key in keys:
        ends.pop(key, None)
    return b":%d\r\n" % sum(store.pop(key, None) is not None for key in keys)


def bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def array(values: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(values), b"".join(map(bulk, values)))


def number(text: bytes) -> int:
    found = int(text) if re.fullmatch(rb"-?\d{1,19}", text) else 1 << 63
    if not -1 << 63 <= found < 1 << 63:
        raise Refused("ERR value is not an integer or out of range")
    return found


def put(key: bytes, value: bytes, *options: bytes) -> bytes:
    ends.pop(key, None)
    if options:
        if len(options) != 2 or options[0].upper() != b"EX" or number(options[1]) <= 0:
            raise Refused("ERR syntax error")
        ends[key] = time.monotonic() + number(options[1])
    store[key] = value
    return b"+OK\r\n"


def incr(key: bytes) -> bytes:
    total = number(value_of(key, bytes) or b"0") + 1
    store[key] = b"%d" % total
    return b":%d\r\n" % total


def lpush(key: bytes, value: bytes, *values: bytes) -> bytes:
    found = store[key] = value_of(key, deque) or deque()
    found.extendleft((value, *values))
    return b":%d\r\n" % len(found)


def lrange(key: bytes, start: bytes, stop: bytes) -> bytes:
    found = list(value_of(key, deque) or ())
    first, last = (at + len(found) if at < 0 else at for at in (number(start), number(stop)))
    return array(found[max(first, 0) : max(last + 1, 0)])


COMMANDS: dict[bytes, Callable[..., bytes]] = {
    b"PING": lambda *message: bulk(*message) if message else b"+PONG\r\n", b"ECHO": bulk, b"": lambda: b"",
    b"GET": lambda key: bulk(value_of(key, bytes)), b"SET": put, b"DEL": delete, b"INCR": incr,
    b"LPUSH": lpush, b"LRANGE": lrange, b"COMMAND": lambda *_: array([]),
    b"CONFIG": lambda get, name: array([name, b""]),  # clients ask before they begin
}  # fmt: skip


def answer(words: list[bytes]) -> bytes:
    name, *args = words or [b""]
    try:
        return COMMANDS[name.upper()](*args)
    except KeyError:
        return f"-ERR unknown command {name[:128]!r}\r\n".encode()
    except Refused as refused:
        return f"-{refused}\r\n".encode()
    except TypeError:
        return f"-ERR wrong number of arguments for {name!r}\r\n".encode()


SHORT = {mark: {b"%b%d\r\n" % (mark, size): size for size in range(1000)} for mark in (b"*", b"$")}


def length(line: bytes, mark: bytes, most: int) -> int:
    found = SHORT[mark].get(line, -1)  # nearly always one of these
    if found < 0 and line[:1] == mark and line[1:-2].isdigit() and len(line) < 20:
        found = int(line[1:-2])
    if not 0 <= found <= most:
        raise Broken(f"Protocol error: expected {mark.decode()} and a number up to {most}")
    return found


def command(conn: grt.Conn) -> list[bytes]:
    """The words of the next command, which may be none."""
    line = conn.read_line()
    if line[:1] != b"*":
        return line.split()
    sizes = length(line, b"*", 1 << 20)
    return [conn.read_exactly(length(conn.read_line(), b"$", LIMIT) + 2)[:-2] for _ in range(sizes)]


def serve(conn: grt.Conn) -> None:
    replies = b""
    try:
        while server.next_request(conn):
            replies = b""
            while True:
                replies += answer(command(conn))
                if not conn.buffered or len(replies) > ENOUGH:  # else the rest of a pipeline is there
                    break
            conn.write(replies)
    except (Broken, grt.TooLong) as broken:
        conn.write(replies + f"-ERR {broken}\r\n".encode())
    except EOFError:  # in the midst of a command: nobody is left to tell
        pass


server = grt.Server(serve)

if __name__ == "__main__":
    server.run("tcp", sys.argv[1] if len(sys.argv) > 1 else ":6379")
