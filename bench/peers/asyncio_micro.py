"""The micro benchmarks in asyncio, on its own loop or on uvloop's. Usage: asyncio_micro.py JOB asyncio|uvloop

There is no rendezvous, for asyncio has no queue without a buffer: in the ring each holds one. There is no select
over queues.
"""

import asyncio
import sys
from itertools import pairwise

from batches import BATCH, DELAYS, RING, SLOTS, crowd, for_a_while, job, waves


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


async def mutex():
    mutex = asyncio.Lock()
    for _ in for_a_while("mutex", BATCH):
        for _ in range(BATCH):
            await mutex.acquire()
            mutex.release()


async def timer():
    call_later = asyncio.get_running_loop().call_later
    pending = [call_later(delay, print) for delay in DELAYS]
    for _ in for_a_while("timer", BATCH):
        for delay in DELAYS[:BATCH]:
            call_later(delay, print).cancel()
        await asyncio.sleep(0)  # the loop forgets the cancelled ones in its turns
    for waiting in pending:
        waiting.cancel()


async def pass_on(before, after):
    while True:
        await after.put(await before.get())


async def ring():
    channels = [asyncio.Queue(1) for _ in range(RING)]
    partners = [asyncio.create_task(pass_on(*pair)) for pair in pairwise(channels)]
    for _ in for_a_while("ring", RING):
        await channels[0].put(0)
        await channels[-1].get()
    for partner in partners:
        partner.cancel()


JOBS = {
    "spawn": spawn,
    "yield": yield_,
    "wave": wave,
    "block": block,
    "channel": channel,
    "mutex": mutex,
    "timer": timer,
    "ring": ring,
}


def main(name, loop):
    chosen = job(JOBS, name)
    if loop == "uvloop":
        import uvloop

        uvloop.run(chosen())
    else:
        asyncio.run(chosen())


main(sys.argv[1], sys.argv[2])
