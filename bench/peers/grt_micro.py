"""The micro benchmarks in grt. Usage: grt_micro.py JOB"""

import sys

from batches import BATCH, SLOTS, crowd, for_a_while, waves

import grt


def nothing():
    pass


def yield_for_ever():
    while True:
        grt.gosched()


def wait(gate):
    gate.recv()


def receive_all(items):
    for _ in items:
        pass


def spawn():
    for _ in for_a_while("spawn", BATCH):
        for _ in range(BATCH):
            grt.go(nothing)
        grt.gosched()
    check_that_one_yield_runs_them_all()


def check_that_one_yield_runs_them_all():
    ended = []
    for _ in range(BATCH):
        grt.go(ended.append, None)
    grt.gosched()
    assert len(ended) == BATCH, f"{len(ended)} of {BATCH} have run"


def yield_():
    grt.go(yield_for_ever)
    for _ in for_a_while("yield", 2 * BATCH):
        for _ in range(BATCH):
            grt.gosched()


def wave():
    gate = grt.chan()
    for starting in waves(BATCH):
        for _ in range(BATCH):
            if starting:
                grt.go(wait, gate)
            else:
                gate.send(None)
        grt.gosched()


def block():
    gate = grt.chan()
    for _ in crowd():
        for _ in range(BATCH):
            grt.go(wait, gate)
        grt.gosched()


def through(name, capacity):
    items = grt.chan(capacity)
    grt.go(receive_all, items)
    for _ in for_a_while(name, BATCH):
        for i in range(BATCH):
            items.send(i)


def channel():
    through("channel", SLOTS)


def rendezvous():
    through("rendezvous", 0)


JOBS = {"spawn": spawn, "yield": yield_, "wave": wave, "block": block, "channel": channel, "rendezvous": rendezvous}
grt.run(JOBS[sys.argv[1]])
