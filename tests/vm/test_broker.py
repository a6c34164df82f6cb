"""Channels that several VMs have: what becomes of them when VMs end, and who gets them while VMs compute."""

import contextlib
import gc
import os
import sys
import time
from functools import partial

import pytest

import grt
from grt.vm import VM
from grt.vm.broker import Broker
from grt.vm.crossing import Station
from tests.vm import work


def test_a_vm_that_is_killed_while_it_waits(vm):
    channel, started = grt.chan(), grt.chan()
    vm.go(work.wait_to_receive, channel, started)
    started.recv()
    blocked = grt.go(channel.recv)
    vm.kill()
    with pytest.raises(grt.Closed, match=rf"VM {vm.number} was killed by SIGKILL \(exit status -9\)"):
        blocked.result()
    with pytest.raises(grt.Closed, match="SIGKILL"):
        channel.send("nobody is there")


def test_what_a_killed_vm_has_made_is_closed():
    vm = VM()
    channel = vm.go(work.make_channel, 1, []).result()
    g = grt.go(channel.recv)
    grt.gosched()
    vm.kill()
    with pytest.raises(grt.Closed, match="SIGKILL"):
        g.result()
    vm.join()


def test_a_vm_that_is_killed_in_mid_message():
    vm = VM()
    channel = grt.chan()
    g = vm.go(work.send_all, channel, [b"x" * 50_000_000])
    vm.go(work.ident).result()
    vm.kill()
    with contextlib.suppress(grt.Closed):
        assert len(channel.recv()) == 50_000_000
    with pytest.raises(grt.Closed, match="SIGKILL"):
        channel.recv()
    g.join()
    vm.join()


def test_the_others_go_on_with_what_a_vm_that_ended_had_not(two_vms):
    one, other = two_vms
    channel = grt.chan(10)
    for i in range(10):
        channel.send(i)
    assert one.go(work.recv_some, channel, 3).result() == [0, 1, 2]
    one.close()
    assert other.go(work.recv_some, channel, 3).result() == [3, 4, 5]
    assert [channel.recv() for _ in range(4)] == [6, 7, 8, 9]
    channel.send("it still works")
    assert other.go(work.recv_one, channel).result() == "it still works"


def test_when_all_vms_have_ended_it_works_on():
    channel = grt.chan(3)
    with VM() as vm:
        vm.go(work.send_all, channel, [[1], [2]], False).result()
    assert channel.recv() == [1]
    channel.send([3])
    assert channel.recv() == [2] and channel.recv() == [3]
    with VM() as vm:
        g = vm.go(work.recv_all, channel)
        channel.send("again")
        channel.close()
        assert g.result() == ["again"]


def test_a_flood_waits_for_its_receiver(vm):
    channel = grt.chan(10)
    g = vm.go(work.flood, channel, 100_000)
    assert [channel.recv() for _ in range(50)] == list(range(50))
    assert not g.done and len(channel) <= 10
    total = sum(channel.recv() for _ in range(100_000 - 50))
    assert total == sum(range(50, 100_000))
    g.result()


def test_channels_that_nobody_has_are_forgotten(vm):
    from grt.vm import machine

    requests = grt.chan(2)
    g = vm.go(work.answer_on, requests)
    for i in range(100):
        reply = grt.chan()
        requests.send((i, reply))
        reply.recv()
    del reply
    gc.collect()
    for _ in range(50):  # each call carries word of those that are gone
        vm.go(gc.collect).result()
        requests.send((0, grt.chan(1)))
        if len(machine._broker.routes) < 30:
            break
    assert len(machine._broker.routes) < 30
    requests.close()
    g.result()


def fetched_channel():
    """A channel that VM 1 has fetched from the main program, its key, and the two who know of it."""
    broker, sent = Broker(), []
    station = Station(0, partial(broker.handle_locked, 0), partial(broker.handle_locked, 0))
    broker.ports.update({0: station.handle_locked, 1: sent.append})
    channel = grt.chan(1)
    station.tie(channel)
    key, _, _ = station.name_of(channel)
    broker.refer(1, key)
    broker.handle(1, [("want", key, 4)])
    station.catch_up()
    assert [message[0] for message in sent] == ["token"] and channel.away
    return channel, key, broker, station


def test_one_that_comes_back_to_who_has_lost_it_meanwhile_is_forgotten():
    channel, key, broker, station = fetched_channel()
    del channel
    gc.collect()
    broker.handle(1, [("drop", key, sys.maxsize)])
    broker.handle(1, [("pass", key, [], None, False, 0)])
    assert broker.routes == {} and station.links == {}


def test_one_that_is_lost_is_forgotten_by_who_stands_in_for_the_station():
    channel, key, broker, station = fetched_channel()
    del channel
    gc.collect()
    station.look_again()
    station.catch_up()
    assert station.links == {} and list(broker.routes[key].refs) == [1]


# -- while they compute


def test_a_vm_that_computes_keeps_no_channel_from_the_others(two_vms):
    """The jobs of a channel are shared by VMs that switch between nothing while they work."""
    jobs, results, none = grt.chan(4), grt.chan(), grt.chan()
    none.close()
    for vm in two_vms:  # who is the first to have imported this file would do all
        vm.go(compute_for_jobs, none, results).result()
    workers = [vm.go(compute_for_jobs, jobs, results) for vm in two_vms]
    grt.go(work.send_all, jobs, range(20))
    pids = [results.recv() for _ in range(20)]
    for g in workers:
        g.result()
    assert all(pids.count(vm.pid) >= 2 for vm in two_vms)


def compute_for_jobs(jobs, results):
    for _ in jobs:
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass
        results.send(os.getpid())


def test_a_main_program_that_computes_does_not_hold_up_its_vms(two_vms, tmp_path):
    """What they send each other goes through the main program, and so does what is with it."""
    one, other = two_vms
    channel, told = grt.chan(), tmp_path / "told"
    for value in ("held", "here"):
        grt.go(channel.send, value)
    one.go(send_each, channel, range(20))
    received = other.go(receive_and_tell, channel, 22, told)
    deadline = time.monotonic() + 60
    grt.gosched()
    while not told.exists() and time.monotonic() < deadline:
        pass
    assert told.exists() and not received.done
    assert sorted(map(str, received.result())) == sorted(map(str, ["held", "here", *range(20)]))


def send_each(channel, values):
    for value in values:
        channel.send(value)


def receive_and_tell(channel, count, told):
    found = [channel.recv() for _ in range(count)]
    told.touch()
    return found


def test_what_was_sent_before_it_computes_does_not_wait_for_that(vm, tmp_path):
    channel, told = grt.chan(5), tmp_path / "told"
    g = vm.go(send_and_compute, channel, told)
    assert channel.recv() == "sent"  # who waits for it did so before it was sent
    assert not g.done
    told.touch()
    g.result()


def send_and_compute(channel, told):
    channel.send("sent")
    work.compute_until(told)
    assert told.exists()


def test_a_vm_that_computes_for_ever_gives_away_what_it_has(vm):
    channel, started = grt.chan(5), grt.chan(1)
    g = vm.go(fill_and_spin, channel, started)
    assert [channel.recv() for _ in range(3)] == [0, 1, 2]
    vm.kill()
    with pytest.raises(grt.Closed):
        g.result()


def fill_and_spin(channel, started):
    work.send_all(channel, range(3), False)
    work.spin(started)
