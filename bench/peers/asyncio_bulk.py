"""grt_bulk.py on asyncio's streams. asyncio_bulk.py PORT asyncio|uvloop."""

import asyncio
import sys

CHUNK = bytes(65536)


async def pour(_reader, writer):
    try:
        while True:
            writer.write(CHUNK)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(port):
    server = await asyncio.start_server(pour, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
else:
    asyncio.run(main(int(sys.argv[1])))
