"""The memory of parked goroutines: stacks come back whole, and what a crowd has taken is given back."""

import sys
import sysconfig

import pytest

from tests.child import run_program

# Stacks of many sizes, lists that grow past where such a stack would fit, and in the midst of it the end of tracing.
CROWD = """
import tracemalloc
import grt

COUNT = 1500

def in_python(depth, gate):
    return in_python(depth - 1, gate) if depth else gate.recv()

def in_c(depth, gate):
    return max([0], key=lambda _: in_c(depth - 1, gate)) if depth else gate.recv()

def main():
    for _ in range(2):
        gate = grt.chan()
        crowd = [grt.go(in_c if i % 2 else in_python, i % 9, gate) for i in range(COUNT)]
        grt.gosched()
        lists = []
        for i in range(COUNT):
            grown = []
            grown.extend(range(200))
            grown.extend(range(i))
            lists.append(grown)
        tracemalloc.stop()
        for i in range(COUNT):
            gate.send(i)
        results = [g.result() for g in crowd]
        # max gives back its own 0, whatever the goroutine received below it.
        assert results == [0 if i % 2 and i % 9 else i for i in range(COUNT)], results
        assert all(grown == [*range(200), *range(i)] for i, grown in enumerate(lists))
    print("whole")

grt.run(main, procs=1)
"""

# A crowd several times as large as the memory that is kept for the next one.
BURST = """
import os
import grt

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def wait(gate):
    gate.recv_ok()

def burst():
    gate = grt.chan()
    crowd = [grt.go(wait, gate) for _ in range(20_000)]
    grt.gosched()
    blocked = resident()
    gate.close()
    while crowd:
        crowd.pop().join()
    return blocked

def main():
    before = resident()
    blocked = burst() - before
    left = resident() - before
    for _ in range(3):
        burst()
    print(blocked // 20_000, left * 100 // blocked, (resident() - before) * 100 // blocked)

grt.run(main, procs=1)
"""


@pytest.mark.parametrize("allocator", ["default", "malloc", "debug"])
def test_parked_stacks_and_lists_stay_whole_under_each_allocator(allocator: str) -> None:
    if allocator == "malloc" and sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("without a GIL CPython has one allocator")
    assert run_program(CROWD, PYTHONMALLOC=allocator) == (0, "whole\n", "")


def test_tracing_of_memory_may_end_while_goroutines_are_parked() -> None:
    assert run_program(CROWD, PYTHONTRACEMALLOC="1") == (0, "whole\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_burst_of_goroutines_gives_its_memory_back() -> None:
    status, out, err = run_program(BURST)
    assert (status, err) == (0, "")
    each, left, left_later = (int(word) for word in out.split())
    assert each < 20_000
    assert left_later < left + 20
    if sys.version_info >= (3, 11):  # before that the frames are the C library's business, which keeps what it had
        assert left < 60
