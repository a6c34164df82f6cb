"""Forwards TCP connections, or those of a Unix socket, to another address.

    python examples/port_forward.py :8080 example.org:80
    python examples/port_forward.py :5432 /run/postgresql/.s.PGSQL.5432

Two goroutines for each connection, one for each direction. What one side does not read is not read from the other, so
memory stays as it is however much passes; a half-close and a reset are passed on like bytes.
"""

import sys

import grt

PATIENCE = 10  # seconds to connect in


def network_of(address: str) -> str:
    return "unix" if "/" in address else "tcp"


def pump(source: grt.Conn, target: grt.Conn) -> None:
    """Carries bytes one way until source ends."""
    buffer = memoryview(bytearray(262144))
    while count := source.read_into(buffer):
        target.write(buffer[:count])
    target.close_write()


def forward(client: grt.Conn, address: str) -> None:
    try:
        server = grt.dial(network_of(address), address, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # ValueError: the address is none
        print(f"{client.remote_addr}: {error}", file=sys.stderr)
        client.abort()
        return
    with server:
        try:
            with grt.group() as both:
                both.go(pump, client, server)
                both.go(pump, server, client)
        except OSError:  # one side was reset: let the other know
            client.abort()
            server.abort()


def main(listen: str, target: str) -> None:
    grt.Server(lambda client: forward(client, target)).run(network_of(listen), listen)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
