"""The micro benchmarks in trio. Usage: trio_micro.py JOB

trio knows no unjoined start, so a batch ends with its nursery; and no select over channels, no timer but a scope's
deadline.
"""

import sys
from itertools import pairwise

import trio
import trio.testing
from batches import BATCH, RING, SLOTS, crowd, for_a_while, job, waves


async def nothing():
    pass


async def yield_for_ever():
    while True:
        await trio.lowlevel.checkpoint()


async def wait(gate):
    await gate.wait()


async def receive_all(items):
    while True:
        await items.receive()


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
        for _ in for_a_while(name, BATCH):
            for i in range(BATCH):
                await sender.send(i)
        nursery.cancel_scope.cancel()


async def channel():
    await through("channel", SLOTS)


async def rendezvous():
    await through("rendezvous", 0)


async def mutex():
    mutex = trio.Lock()
    for _ in for_a_while("mutex", BATCH):
        for _ in range(BATCH):
            await mutex.acquire()
            mutex.release()


async def pass_on(before, after):
    while True:
        await after.send(await before.receive())


async def ring():
    channels = [trio.open_memory_channel(0) for _ in range(RING)]
    async with trio.open_nursery() as nursery:
        for (_, before), (after, _) in pairwise(channels):
            nursery.start_soon(pass_on, before, after)
        for _ in for_a_while("ring", RING):
            await channels[0][0].send(0)
            await channels[-1][1].receive()
        nursery.cancel_scope.cancel()


JOBS = {
    "spawn": spawn,
    "yield": yield_,
    "wave": wave,
    "block": block,
    "channel": channel,
    "rendezvous": rendezvous,
    "mutex": mutex,
    "ring": ring,
}
trio.run(job(JOBS, sys.argv[1]))
