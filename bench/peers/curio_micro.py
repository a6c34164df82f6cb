"""The micro benchmarks in curio. Usage: curio_micro.py JOB

There is no rendezvous: curio has no queue without a buffer.
"""

import sys

import curio
from batches import BATCH, SLOTS, crowd, for_a_while, waves


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


JOBS = {"spawn": spawn, "yield": yield_, "wave": wave, "block": block, "channel": channel}
curio.run(JOBS[sys.argv[1]])
