"""The echo server of grt_echo.py over TLS: grt_tls.py PORT CERTIFICATE KEY."""

import ssl
import sys

import grt


def echo(conn):
    with conn:
        for data in conn:
            conn.write(data)


def main(port, certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with grt.listen("tcp", f"127.0.0.1:{port}", tls=context) as listener:
        for conn in listener:
            grt.go(echo, conn)


grt.run(main, *sys.argv[1:])
