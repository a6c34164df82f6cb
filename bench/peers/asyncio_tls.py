"""The echo server of asyncio_echo.py over TLS: asyncio_tls.py PORT CERTIFICATE KEY asyncio|uvloop protocol|stream."""

import asyncio
import ssl
import sys

from asyncio_echo import Echo, echo


async def serve(port, context, style):
    if style == "protocol":
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, ssl=context, backlog=4096)
    else:
        server = await asyncio.start_server(echo, "127.0.0.1", port, ssl=context, backlog=4096)
    await server.serve_forever()


def main(port, certificate, key, loop, style):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if loop == "uvloop":
        import uvloop

        uvloop.run(serve(int(port), context, style))
    else:
        asyncio.run(serve(int(port), context, style))


main(*sys.argv[1:])
