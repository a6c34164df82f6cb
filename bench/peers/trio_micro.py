"""The micro benchmarks in trio. Usage: trio_micro.py JOB

trio knows no unjoined start, so a batch ends with its nursery.
"""

import sys

import trio
import trio.testing
from batches import BATCH, SLOTS, crowd, for_a_while, waves


async def nothing():
    pass


async def yield_for_ever():
    while True:
        await trio.lowlevel.checkpoint()


async def wait(gate):
    await gate.wait()


async def receive_all(items):
    async for _ in items:
        pass


async def spawn():
    for _ in for_a_while("spawn", BATCH):
        async with trio.open_nursery() as nursery:
            for _ in range(BATCH):
                nursery.start_soon(nothing)


async def yield_():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(yield_for_ever)
        for _ in for_a_while("yield", 2 * BATCH):
            for _ in range(BATCH):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def wave():
    gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for starting in waves(BATCH):
            if starting:
                gate = trio.Event()
                for _ in range(BATCH):
                    nursery.start_soon(wait, gate)
            else:
                gate.set()
            await trio.testing.wait_all_tasks_blocked()


async def block():
    gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in crowd():
            for _ in range(BATCH):
                nursery.start_soon(wait, gate)
            await trio.testing.wait_all_tasks_blocked()


async def through(name, capacity):
    sender, receiver = trio.open_memory_channel(capacity)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all, receiver)
        async with sender:
            for _ in for_a_while(name, BATCH):
                for i in range(BATCH):
                    await sender.send(i)


async def channel():
    await through("channel", SLOTS)


async def rendezvous():
    await through("rendezvous", 0)


JOBS = {"spawn": spawn, "yield": yield_, "wave": wave, "block": block, "channel": channel, "rendezvous": rendezvous}
trio.run(JOBS[sys.argv[1]])
