"""The stopwatch of the micro benchmarks: plain `for` loops, so that it serves with and without `async`.

A program runs one job and prints "name value" lines: nanoseconds for each operation, or bytes. The loops give
the same work to every peer: a batch of operations between two looks at the clock.

Rejected: timeit (it cannot await); a fixed number of operations (the slowest peer takes 100 times the fastest).
"""

import gc
import os
import sys
from time import perf_counter_ns

BATCH = 1000  # operations between two looks at the clock
CROWD = 50  # batches of goroutines that stay blocked: 50 000 of them
SLOTS = 100  # capacity of the buffered channel
RING = 10_000  # goroutines in the ring, the one that counts among them
PENDING = 100_000  # timers that are set already
DELAYS = [3600 + i * 7919 % PENDING for i in range(PENDING)]  # seconds: in no order, each once
DURATION_NS = 500_000_000


def for_a_while(name, ops):
    """Yields until the time is up, the first time as a warm-up, then prints the time each of `ops` took."""
    yield
    count, start = 0, perf_counter_ns()
    while perf_counter_ns() - start < DURATION_NS:
        yield
        count += ops
    print(name, (perf_counter_ns() - start) / count, flush=True)


def waves(ops):
    """Yields True to have a batch started, False to have it woken and ended, in turns until the time is up.

    Prints the time that starting took each of `ops`, and the time of its whole life.
    """
    spent, count = {True: 0, False: 0}, 0
    yield from (True, False)  # the warm-up
    while sum(spent.values()) < DURATION_NS:
        for starting in (True, False):
            began = perf_counter_ns()
            yield starting
            spent[starting] += perf_counter_ns() - began
        count += ops
    print("fresh", spent[True] / count)
    print("wave", sum(spent.values()) / count, flush=True)


def crowd():
    """Yields CROWD times, then prints the time and the memory that each of BATCH goroutines took each time.

    Ends the process there and then: winding up so many blocked goroutines is not what is measured.
    """
    gc.collect()
    before, start = rss(), perf_counter_ns()
    for _ in range(CROWD):
        yield
    print("staying", (perf_counter_ns() - start) / (BATCH * CROWD))
    print("blocked", (rss() - before) / (BATCH * CROWD), flush=True)
    os._exit(0)


def job(jobs, name):
    """The one of that name; ends the process, with no figures, when this peer does not have the thing."""
    return jobs[name] if name in jobs else sys.exit()


def rss():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
