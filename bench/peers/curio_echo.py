"""The echo server in curio: its socket interface, the fastest it has."""

import socket
import sys

import curio


async def echo(client, _address):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    async with client:
        while data := await client.recv(65536):
            await client.sendall(data)


async def main():
    await curio.tcp_server("127.0.0.1", int(sys.argv[1]), echo, backlog=4096)


curio.run(main)
