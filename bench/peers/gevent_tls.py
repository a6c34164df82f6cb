"""The echo server of gevent_echo.py over TLS: gevent_tls.py PORT CERTIFICATE KEY."""

import socket
import sys

from gevent import ssl
from gevent.server import StreamServer


def echo(conn, _address):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := conn.recv(65536):
        conn.sendall(data)


port, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # create_default_context would give one that blocks
context.load_cert_chain(certificate, key)
StreamServer(("127.0.0.1", int(port)), echo, backlog=4096, ssl_context=context).serve_forever()
