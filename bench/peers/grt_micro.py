"""The micro benchmarks in grt. Usage: grt_micro.py JOB"""

import sys
from time import perf_counter_ns

from batches import BATCH, DURATION_NS, crowd, for_a_while

import grt

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


JOBS = {"spawn": spawn, "yield": yield_, "wave": wave, "block": block}
grt.run(JOBS[sys.argv[1]])
