"""An echo server on tonio: tonio_echo.py PORT THREADS"""

import sys

import tonio
from tonio.net import serve_tcp


def echo(stream):
    while data := (yield stream.receive_some(65536)):
        yield stream.send_all(data)


def main():
    yield serve_tcp(echo, host="127.0.0.1", port=int(sys.argv[1]), backlog=4096)


tonio.run(main(), threads=int(sys.argv[2]))
