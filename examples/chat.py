"""A chat server with rooms. Talk to it with nc: /join ROOM, /who, and all else is said to those in your room.

python examples/chat.py                    on every host, port 8888
python examples/chat.py 127.0.0.1:9000
"""

import argparse
from collections.abc import Iterator
from contextlib import suppress

import grt

room_of: dict[str, str] = {}  # by name
lines_for: dict[str, grt.Chan[str]] = {}


def tell(room: str, line: str) -> None:
    for name, lines in lines_for.items():
        if room_of[name] == room:
            lines.try_send(line)  # who is too far behind misses it: nobody waits for them


def write_lines(conn: grt.Conn, lines: grt.Chan[str]) -> None:
    with conn, suppress(OSError, grt.Closed):
        for line in lines:
            with grt.timeout(30):  # who takes nothing for so long has vanished
                conn.write(f"{line}\n".encode())


def read_lines(conn: grt.Conn) -> Iterator[str]:
    rest = b""
    for data in conn:
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode(errors="replace").strip() for line in lines)


def obey(name: str, line: str) -> None:
    command, _, room = line.partition(" ")
    if command == "/join" and room:
        tell(room_of[name], f"* {name} goes to {room}")
        room_of[name] = room
        tell(room, f"* {name} is here")
    elif command == "/who":
        lines_for[name].try_send("* here: " + ", ".join(other for other in room_of if room_of[other] == room_of[name]))
    elif line:
        tell(room_of[name], f"{name}: {line}")


def serve(conn: grt.Conn) -> None:
    with conn, suppress(OSError, grt.Closed):
        typed = read_lines(conn)
        conn.write(b"* your name?\n")
        while (name := next(typed, "")) in room_of:
            conn.write(b"* that one is taken: your name?\n")
        if not name:
            return
        room_of[name], lines_for[name] = "lobby", grt.chan(100)  # lines that it may be behind
        grt.go(write_lines, conn, lines_for[name])
        try:
            tell("lobby", f"* {name} is here")
            for line in typed:
                obey(name, line)
        finally:
            lines_for.pop(name).close()
            tell(room_of.pop(name), f"* {name} has left")


def main(address: str) -> None:
    with grt.listen("tcp", address) as listener:
        for conn in listener:
            grt.go(serve, conn)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat server with rooms.")
    parser.add_argument("address", nargs="?", default=":8888", help="where to listen (default :8888)")
    with suppress(KeyboardInterrupt):
        grt.run(main, parser.parse_args().address)
