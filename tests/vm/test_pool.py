"""Pools of VMs."""

import math

import pytest

import grt
from grt.vm import Pool
from tests.vm import work


def test_calls_go_to_the_least_busy():
    with Pool(2) as pool:
        started = grt.chan()
        waiting = [pool.go(work.wait_for_ever, started) for _ in range(4)]
        pids = sorted(started.recv() for _ in range(4))
        assert pids == sorted([vm.pid for vm in pool.vms] * 2)
        for g in waiting:
            g.cancel()


def test_map_gives_results_in_order():
    with Pool(2) as pool:
        assert list(pool.map(math.gcd, range(20), range(20, 40))) == [math.gcd(i, i + 20) for i in range(20)]
        with pytest.raises(ValueError, match="factorial"):
            list(pool.map(math.factorial, [3, -1, 4]))
        assert list(pool.map(work.double, [])) == []


def test_one_that_dies_is_replaced():
    with Pool(2) as pool:
        pids = {vm.pid for vm in pool.vms}
        with pytest.raises(grt.Closed, match="SIGKILL"):
            pool.go(work.kill_self).result()
        assert sorted(pool.map(work.double, range(10))) == list(range(0, 20, 2))
        assert len({vm.pid for vm in pool.vms} - pids) == 1
        assert all(vm.alive for vm in pool.vms)


def test_a_closed_pool_takes_nothing():
    with Pool(1) as pool:
        pass
    assert repr(pool) == "<Pool of 1 VMs closed>"
    with pytest.raises(grt.Closed, match="the pool is closed"):
        pool.go(work.ident)
    with pytest.raises(ValueError, match="at least one VM, not 0"):
        Pool(0)


def test_an_error_ends_all_at_once():
    with pytest.raises(ZeroDivisionError), Pool(2) as pool:
        started = grt.chan()
        pool.go(work.spin, started)
        started.recv()
        raise ZeroDivisionError
    assert all(not vm.alive for vm in pool.vms)


def test_others_have_their_turns_while_many_calls_are_made():
    with Pool(1) as pool:
        turns = []

        def items():
            for item in range(2000):
                turns.append(other.seen)
                yield item

        other = Counter()
        counting = grt.go(other.count)
        assert sum(pool.map(abs, items())) == sum(range(2000))
        counting.cancel()
    assert turns[0] < turns[-1]


class Counter:
    def __init__(self):
        self.seen = 0

    def count(self):
        while True:
            self.seen += 1
            grt.gosched()
