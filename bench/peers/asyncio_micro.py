"""The micro benchmarks in asyncio, on its own loop or on uvloop's. Usage: asyncio_micro.py JOB asyncio|uvloop

There is no rendezvous: asyncio has no queue without a buffer.
"""

import asyncio
import sys

from batches import BATCH, SLOTS, crowd, for_a_while, waves


async def nothing():
    pass


async def yield_for_ever():
    while True:
        await asyncio.sleep(0)


async def wait(gate):
    await gate.wait()


async def receive_all(items):
    while True:
        await items.get()


async def spawn():
    create = asyncio.get_running_loop().create_task
    for _ in for_a_while("spawn", BATCH):
        for _ in range(BATCH):
            create(nothing())
        await asyncio.sleep(0)


async def yield_():
    partner = asyncio.create_task(yield_for_ever())
    for _ in for_a_while("yield", 2 * BATCH):
        for _ in range(BATCH):
            await asyncio.sleep(0)
    partner.cancel()


async def wave():
    create = asyncio.get_running_loop().create_task
    gate = asyncio.Event()
    for starting in waves(BATCH):
        if starting:
            gate.clear()
            for _ in range(BATCH):
                create(wait(gate))
        else:
            gate.set()
        await asyncio.sleep(0)


async def block():
    gate = asyncio.Event()
    kept = []  # the loop holds its tasks by weak references only
    for _ in crowd():
        kept.extend(asyncio.create_task(wait(gate)) for _ in range(BATCH))
        await asyncio.sleep(0)


async def channel():
    items = asyncio.Queue(SLOTS)
    partner = asyncio.create_task(receive_all(items))
    for _ in for_a_while("channel", BATCH):
        for i in range(BATCH):
            await items.put(i)
    partner.cancel()


JOBS = {"spawn": spawn, "yield": yield_, "wave": wave, "block": block, "channel": channel}


def main(job, loop):
    if loop == "uvloop":
        import uvloop

        uvloop.run(JOBS[job]())
    else:
        asyncio.run(JOBS[job]())


main(sys.argv[1], sys.argv[2])
