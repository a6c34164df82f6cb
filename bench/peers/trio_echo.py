"""The echo server in trio. Its SocketStream sets TCP_NODELAY by itself."""

import sys

import trio


async def echo(stream):
    async with stream:
        while data := await stream.receive_some(65536):
            await stream.send_all(data)


async def main():
    await trio.serve_tcp(echo, int(sys.argv[1]), host="127.0.0.1", backlog=4096)


trio.run(main)
