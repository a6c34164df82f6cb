"""A proxy that takes TLS off: clients speak TLS to it, and it speaks plain TCP to the server behind.

    python examples/tls_proxy.py :8443 127.0.0.1:8080 server.pem server.key

The handshake is made in the connection's own goroutine under a deadline, so a client that never finishes it holds up
nobody, and not for long.
"""

import ssl
import sys

import grt
from grt.net import TLSConn

PATIENCE = 10  # seconds for the handshake, and to connect to the server behind


def pump(source: grt.Conn, target: grt.Conn) -> None:
    """Carries bytes one way until source ends."""
    for data in source:
        target.write(data)
    target.close_write()


def proxy(client: TLSConn, address: str) -> None:
    try:
        client.handshake(PATIENCE)
        server = grt.dial("tcp", address, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # ssl.SSLError and TimeoutError are such; ValueError: the address is none
        print(f"{client.remote_addr}: {error}", file=sys.stderr)
        return
    with server:
        try:
            with grt.group() as both:
                both.go(pump, client, server)
                both.go(pump, server, client)
        except OSError:  # one side was reset, or cut short: let the other know
            client.abort()
            server.abort()


def main(listen: str, target: str, certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # which does not name the file
        sys.exit(f"the certificate {certificate} and the key {key} cannot be used: {error}")
    grt.Server(lambda client: proxy(client, target)).run("tcp", listen, tls=context)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
