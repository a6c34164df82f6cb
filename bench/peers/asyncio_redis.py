"""examples/redis_server.py on asyncio's streams: the same commands.

Usage: asyncio_redis.py PORT asyncio|uvloop. A StreamReader does not show what it has buffered, so that each answer is
written by itself.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from redis_server import LIMIT, Broken, answer, length


async def command(reader, line):
    if line[:1] != b"*":
        return line.split()
    words = []
    for _ in range(length(line, b"*", 1 << 20)):
        size = length(await reader.readline(), b"$", LIMIT)
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


async def serve(reader, writer):
    try:
        while line := await reader.readline():
            if words := await command(reader, line):
                writer.write(answer(words))
                await writer.drain()
    except Broken as broken:
        writer.write(f"-ERR {broken}\r\n".encode())
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main(port):
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096, limit=1 << 20)
    await server.serve_forever()


if sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
else:
    asyncio.run(main(int(sys.argv[1])))
