"""Pieces of computing that goroutines get through each second, in so many threads: grt_procs.py SECONDS PROCS"""

import sys
import time

import grt

WIDTH = 8  # goroutines at once
PIECE = 20_000  # additions, about a millisecond


def compute():
    total = 0
    for n in range(PIECE):
        total += n * n
    return total


def main(seconds):
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for g in [grt.go(compute) for _ in range(WIDTH * 4)]:
            g.result()
            count += 1
    print(count / (time.perf_counter() - began))


grt.run(main, float(sys.argv[1]), procs=int(sys.argv[2]))
