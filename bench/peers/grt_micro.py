"""The micro benchmarks in grt. Usage: grt_micro.py JOB"""

import sys
from itertools import pairwise
from time import perf_counter_ns

from batches import BATCH, DELAYS, DURATION_NS, RING, SLOTS, crowd, for_a_while, job

import grt
import grt.sync

KEPT = 1024  # worker greenlets that grt keeps for reuse


def nothing():
    pass


def stay():
    grt.sleep(3600)


def yield_for_ever():
    while True:
        grt.gosched()


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
    """Greenlets beyond those that grt keeps for reuse: as many as it keeps are given work first."""
    spent, count, rounds = 0, 0, 0
    while spent < DURATION_NS:
        kept = [grt.go(stay) for _ in range(KEPT)]
        grt.gosched()
        fresh = [grt.go(stay) for _ in range(BATCH)]
        began = perf_counter_ns()
        grt.gosched()  # each starts on a fresh greenlet, and waits
        if rounds:  # the first is the warm-up
            spent += perf_counter_ns() - began
            count += BATCH
        rounds += 1
        for goroutine in kept + fresh:
            goroutine.cancel()
        for goroutine in kept + fresh:
            goroutine.join()
    print("fresh", spent / count, flush=True)


def block():
    for _ in crowd():
        for _ in range(BATCH):
            grt.go(stay)
        grt.gosched()


def receive_all(items):
    while True:
        items.recv()


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


def select_all(a, b):
    while True:
        grt.select(a.recv, b.recv)


def select():
    a, b = grt.chan(), grt.chan()
    grt.go(select_all, a, b)
    for _ in for_a_while("select", 2 * BATCH):
        for i in range(BATCH):
            a.send(i)
            b.send(i)


def mutex():
    mutex = grt.sync.Mutex()
    for _ in for_a_while("mutex", BATCH):
        for _ in range(BATCH):
            mutex.lock()
            mutex.unlock()


def timer():
    if not hasattr(grt, "Timer"):
        sys.exit("not there: grt.Timer")
    pending = [grt.Timer(delay) for delay in DELAYS]
    for _ in for_a_while("timer", BATCH):
        for delay in DELAYS[:BATCH]:
            grt.Timer(delay).stop()
        grt.gosched()
    for waiting in pending:
        waiting.stop()


def pass_on(before, after):
    while True:
        after.send(before.recv())


def ring():
    channels = [grt.chan() for _ in range(RING)]
    for before, after in pairwise(channels):
        grt.go(pass_on, before, after)
    for _ in for_a_while("ring", RING):
        channels[0].send(0)
        channels[-1].recv()


JOBS = {
    "spawn": spawn,
    "yield": yield_,
    "wave": wave,
    "block": block,
    "channel": channel,
    "rendezvous": rendezvous,
    "select": select,
    "mutex": mutex,
    "timer": timer,
    "ring": ring,
}
grt.run(job(JOBS, sys.argv[1]))
