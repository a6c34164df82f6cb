"""Channels that several VMs have: everything works as within one."""

import random
import threading

import pytest

import grt
from tests.vm import work


@pytest.mark.parametrize("capacity", [0, 1, 3, 100])
def test_values_go_there_in_order(vm, capacity):
    channel = grt.chan(capacity)
    g = vm.go(work.recv_all, channel)
    for i in range(300):
        channel.send(i)
    channel.close()
    assert g.result() == list(range(300))


@pytest.mark.parametrize("capacity", [0, 1, 3, 100])
def test_values_come_from_there_in_order(vm, capacity):
    channel = grt.chan(capacity)
    g = vm.go(work.send_all, channel, range(300))
    assert list(channel) == list(range(300))
    g.result()
    assert channel.closed


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_values_go_from_one_to_the_other(two_vms, capacity):
    one, other = two_vms
    channel = grt.chan(capacity)
    received = other.go(work.recv_all, channel)
    one.go(work.send_all, channel, range(200)).result()
    assert received.result() == list(range(200))


def test_there_and_back(vm):
    requests, replies = grt.chan(1), grt.chan(1)
    vm.go(work.echo, requests, replies)
    for value in [1, "two", b"three", None, True, 4.0, (5, [6]), {"seven": {8}}, b"x" * 500_000]:
        requests.send(value)
        assert replies.recv() == value
    requests.close()
    assert list(replies) == []


def test_what_it_holds_goes_with_it(vm):
    channel = grt.chan(5)
    for value in ("spam", ["eggs"], b"ham"):
        channel.send(value)
    assert vm.go(work.recv_some, channel, 2).result() == ["spam", ["eggs"]]
    assert channel.recv() == b"ham"
    assert vm.go(work.try_recv, channel).result() == (-1, None)


def test_a_value_is_what_it_was_when_it_was_sent(vm):
    channel = grt.chan(1)
    g = vm.go(work.recv_one, channel)
    value = [1]
    channel.send(value)
    value.append(2)
    assert g.result() == [1]
    channel.send(value)
    value.append(3)
    assert channel.recv() == [1, 2]


def test_one_that_was_made_there(vm):
    channel = vm.go(work.make_channel, 3, ["spam", "eggs"]).result()
    assert (channel.capacity, channel.recv(), channel.recv()) == (3, "spam", "eggs")
    assert vm.go(work.recv_all, (other := vm.go(work.make_channel, 1, [1]).result()).recv_only() and other).cancel()


def test_one_within_a_message(vm):
    channels = grt.chan()
    g = vm.go(work.make_and_fill, channels, range(10))
    assert list(channels.recv()) == list(range(10))
    g.result()


def test_a_reply_comes_on_a_channel_within_the_request(vm):
    requests = grt.chan(2)
    g = vm.go(work.answer_on, requests)
    for i in range(50):
        reply = grt.chan(i % 2)
        requests.send((i, reply))
        assert reply.recv() == 2 * i
    requests.close()
    g.result()


def test_the_same_channel_is_the_same_object(vm):
    a = grt.chan(1)
    g = vm.go(same, a, [a])
    assert g.result() is True
    assert vm.go(work.recv_one, a) and a is a


def same(channel, channels):
    return channel is channels[0]


def test_views_cross(vm):
    channel = grt.chan(1)
    vm.go(work.send_one, channel.send_only(), "spam").result()
    assert vm.go(work.recv_one, channel.recv_only()).result() == "spam"


# -- waiting


def test_a_receiver_there_times_out_and_takes_nothing(vm):
    channel = grt.chan()
    with pytest.raises(TimeoutError):
        vm.go(work.recv_one, channel, 0.01).result()
    g = grt.go(channel.send, "spam")
    assert channel.recv() == "spam"
    g.join()


def test_a_sender_there_times_out_and_leaves_nothing(vm):
    channel = grt.chan()
    with pytest.raises(TimeoutError):
        vm.go(work.send_one, channel, "spam", 0.01).result()
    assert grt.select(channel.recv, default=True) == (-1, None)


def test_a_sender_here_times_out_and_leaves_nothing(vm):
    channel = grt.chan(1)
    vm.go(work.send_one, channel, 1).result()
    with pytest.raises(TimeoutError):
        channel.send(2, timeout=0.01)
    assert vm.go(work.recv_one, channel).result() == 1
    assert vm.go(work.try_recv, channel).result() == (-1, None)


def test_a_cancelled_receiver_takes_nothing(vm):
    channel, started = grt.chan(), grt.chan()
    for _ in range(20):
        g = vm.go(work.wait_to_receive, channel, started)
        started.recv()
        g.cancel()
        g.join()
        assert vm.go(work.double, 1).result() == 2
        sender = grt.go(channel.send, "spam")
        assert channel.recv() == "spam"
        sender.join()


def test_what_does_not_wait_finds_what_is_elsewhere(vm):
    channel = grt.chan(1)
    assert vm.go(work.try_send, channel, "spam").result() == (0, None)
    assert vm.go(work.try_send, channel, "eggs").result() == (-1, None)
    assert grt.select((channel.send, "eggs"), default=True) == (-1, None)
    assert grt.select(channel.recv, default=True) == (0, "spam")
    assert vm.go(work.try_recv, channel).result() == (-1, None)


def test_select_there_over_channels_that_cross(vm):
    a, b = grt.chan(), grt.chan()
    g = vm.go(work.select_all, a, b, 40)
    for i in range(20):
        a.send(i)
        b.send(-i)
    found = g.result()
    assert [value for at, value in found if at == 0] == list(range(20))
    assert [value for at, value in found if at == 1] == [-i for i in range(20)]


@pytest.mark.parametrize("capacity", [0, 1])
def test_a_select_that_loses_leaves_the_message_where_it_was(vm, capacity):
    channel = grt.chan(capacity)
    for _ in range(20):
        g = grt.go(channel.send, "precious")
        found = vm.go(work.select_mixed, channel, True).result()
        if found == (0, "mine"):
            assert channel.recv(timeout=30) == "precious"
        else:
            assert found == (1, "precious")
        g.result()


def test_a_select_that_sends_here_or_there(vm):
    crossing, mine = grt.chan(), grt.chan()
    sent = [0, 0]
    g = vm.go(work.recv_all, crossing)
    local = grt.go(list, mine)
    for i in range(100):
        at, _ = grt.select((crossing.send, i), (mine.send, i))
        sent[at] += 1
    crossing.close()
    mine.close()
    there, here = g.result(), local.result()
    assert [len(there), len(here)] == sent and sorted(there + here) == list(range(100))


def test_selects_meet(two_vms):
    one, other = two_vms
    a, b = grt.chan(), grt.chan()
    g = other.go(work.select_all, a, b, 60)
    senders = [one.go(select_send, a, b, range(30)), grt.go(select_send, a, b, range(30, 60))]
    for sender in senders:
        sender.result()
    assert sorted(value for _, value in g.result()) == list(range(60))


def select_send(a, b, values):
    for value in values:
        grt.select((a.send, value), (b.send, value))


# -- closing


def test_it_is_closed_for_all(two_vms):
    one, other = two_vms
    channel = grt.chan(3)
    channel.send("left")
    waiting = one.go(work.recv_some, channel, 2)
    other.go(work.close, channel).result()
    with pytest.raises(grt.Closed):
        waiting.result()
    assert "send on a closed channel" in one.go(work.closed_error, channel).result()
    with pytest.raises(grt.Closed, match="close of a closed channel"):
        channel.close()
    with pytest.raises(grt.Closed, match="receive from a closed channel"):
        channel.recv()
    assert channel.closed and list(channel) == []


def test_what_is_left_when_it_is_closed_is_received(vm):
    channel = grt.chan(10)
    for i in range(5):
        channel.send(i)
    channel.close()
    assert vm.go(work.recv_some, channel, 2).result() == [0, 1]
    assert list(channel) == [2, 3, 4]
    assert vm.go(work.recv_all, channel).result() == []


def test_closing_wakes_who_waits_to_send(vm):
    channel = grt.chan()
    g = vm.go(work.closed_error, channel)
    assert vm.go(work.double, 1).result() == 2
    channel.close()
    assert g.result() == "send on a closed channel"


def test_a_closed_channel_is_sent(vm):
    channel = grt.chan()
    channel.close()
    assert vm.go(work.recv_all, channel).result() == []


# -- several that share


def test_workers_share_the_jobs(two_vms):
    jobs, results = grt.chan(), grt.chan(2)
    workers = [vm.go(work.worker, jobs, results) for vm in two_vms for _ in range(3)]
    grt.go(work.send_all, jobs, range(200))
    assert sorted(results.recv() for _ in range(200)) == [(i, 2 * i) for i in range(200)]
    assert sum(g.result() for g in workers) == 200


def test_each_message_is_delivered_once_whatever_its_receivers_do(two_vms):
    """Receivers of three VMs, and this one, give up at random; nothing is lost, and nothing comes twice."""
    seed = random.randrange(1 << 30)
    channel, results = grt.chan(), grt.chan(8)
    receivers = [vm.go(receive_with_haste, channel, results, seed + i) for i, vm in enumerate([*two_vms] * 2)]
    receivers.append(grt.go(receive_with_haste, channel, results, seed))
    sender = grt.go(work.send_all, channel, range(300))
    found = []
    ends = 0
    while ends < len(receivers):
        value = results.recv()
        if value is None:
            ends += 1
        else:
            found.append(value)
    sender.result()
    assert sorted(found) == list(range(300)), f"seed {seed}"


def receive_with_haste(channel, results, seed):
    chance = random.Random(seed)
    mine = grt.chan(1)
    while True:
        try:
            if chance.random() < 0.5:
                value = channel.recv(timeout=chance.choice([0.0001, 0.001, 0.1]))
            else:
                if chance.random() < 0.5:
                    mine.send("mine")
                at, value = grt.select(channel.recv, mine.recv, timeout=chance.choice([0.0001, 0.01]))
                if at == 1:
                    continue
                grt.select(mine.recv, default=True)
        except TimeoutError:
            continue
        except grt.Closed:
            break
        results.send(value)
    results.send(None)


def test_each_sender_s_values_come_in_order(two_vms):
    channel = grt.chan(4)
    senders = [vm.go(work.send_all, channel, [(i, n) for n in range(150)], False) for i, vm in enumerate(two_vms)]
    senders.append(grt.go(work.send_all, channel, [(2, n) for n in range(150)], False))
    found = [channel.recv() for _ in range(450)]
    for i in range(3):
        assert [n for sender, n in found if sender == i] == list(range(150))
    for g in senders:
        g.result()


def test_a_thread_uses_it_too(vm):
    channel = grt.chan(2)
    g = vm.go(work.recv_all, channel)
    thread = threading.Thread(target=work.send_all, args=(channel, range(50)))
    thread.start()
    assert g.result() == list(range(50))
    thread.join()


# -- what cannot be sent


def test_a_message_that_cannot_be_pickled_is_its_sender_s_error(vm):
    channel = grt.chan(1)
    g = vm.go(work.recv_all, channel)
    for _ in range(3):
        with pytest.raises(TypeError, match="I stay here"):
            channel.send(work.Reluctant())
        with pytest.raises(TypeError, match="I stay here"):
            grt.select((channel.send, work.Reluctant()))
        channel.send("fine")
    channel.close()
    assert g.result() == ["fine"] * 3


def test_a_sender_that_waits_when_it_begins_to_cross_is_told_too(vm):
    channel = grt.chan()
    bad, good = grt.go(channel.send, work.Reluctant()), grt.go(channel.send, "fine")
    grt.gosched()
    g = vm.go(work.recv_one, channel)
    assert g.result() == "fine"
    good.result()
    with pytest.raises(TypeError, match="I stay here"):
        bad.result()


def test_one_that_holds_what_cannot_be_sent_is_not_sent(vm):
    channel = grt.chan(1)
    channel.send(reluctant := work.Reluctant())
    with pytest.raises(TypeError, match="I stay here"):
        vm.go(work.recv_one, channel)
    assert channel.recv() is reluctant
    channel.send("fine")
    assert vm.go(work.recv_one, channel).result() == "fine"


def test_a_timer_s_channel_stays_with_its_timer(vm):
    with pytest.raises(TypeError, match="stays with its timer"):
        vm.go(work.recv_one, grt.after(100))
    with pytest.raises(TypeError, match="stays with its timer"):
        vm.go(work.recv_one, grt.Ticker(100).c)


def test_a_message_that_cannot_be_opened_is_its_receiver_s_error(vm):
    channel = grt.chan(2)
    vm.go(work.send_unopenable, channel).result()
    channel.send("next")
    with pytest.raises(ValueError, match="it cannot be opened"):
        channel.recv()
    assert channel.recv() == "next"
