"""The micro benchmarks in curio. Usage: curio_micro.py JOB

There is no rendezvous, for curio has no queue without a buffer: in the ring each holds one. There is no select over
queues, and no timer but a block's deadline.
"""

import sys
from itertools import pairwise

import curio
from batches import BATCH, RING, SLOTS, crowd, for_a_while, job, waves


async def nothing():
    pass


async def yield_for_ever():
    while True:
        await curio.sleep(0)


async def wait(gate):
    await gate.wait()


async def receive_all(items):
    while True:
        await items.get()


async def spawn():
    for _ in for_a_while("spawn", BATCH):
        for _ in range(BATCH):
            await curio.spawn(nothing, daemon=True)
        await curio.sleep(0)


async def yield_():
    partner = await curio.spawn(yield_for_ever, daemon=True)
    for _ in for_a_while("yield", 2 * BATCH):
        for _ in range(BATCH):
            await curio.sleep(0)
    await partner.cancel()


async def wave():
    gate = curio.Event()
    for starting in waves(BATCH):
        if starting:
            gate.clear()
            for _ in range(BATCH):
                await curio.spawn(wait, gate, daemon=True)
        else:
            await gate.set()
        await curio.sleep(0)


async def block():
    gate = curio.Event()
    for _ in crowd():
        for _ in range(BATCH):
            await curio.spawn(wait, gate, daemon=True)
        await curio.sleep(0)


async def channel():
    items = curio.Queue(SLOTS)
    partner = await curio.spawn(receive_all, items, daemon=True)
    for _ in for_a_while("channel", BATCH):
        for i in range(BATCH):
            await items.put(i)
    await partner.cancel()


async def mutex():
    mutex = curio.Lock()
    for _ in for_a_while("mutex", BATCH):
        for _ in range(BATCH):
            await mutex.acquire()
            await mutex.release()


async def pass_on(before, after):
    while True:
        await after.put(await before.get())


async def ring():
    channels = [curio.Queue(1) for _ in range(RING)]
    for before, after in pairwise(channels):
        await curio.spawn(pass_on, before, after, daemon=True)
    for _ in for_a_while("ring", RING):
        await channels[0].put(0)
        await channels[-1].get()


JOBS = {
    "spawn": spawn,
    "yield": yield_,
    "wave": wave,
    "block": block,
    "channel": channel,
    "mutex": mutex,
    "ring": ring,
}
curio.run(job(JOBS, sys.argv[1]))
