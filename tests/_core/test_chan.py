"""Channels: Go's rules, one by one."""

import gc
import threading
import weakref

import pytest

import grt
from tests.goroutines import blocked


def test_a_send_without_buffer_waits_for_its_receiver():
    c, note = grt.chan(), []

    def send():
        c.send("spam")
        note.append("sent")

    grt.go(send)
    grt.gosched()
    assert note == []
    assert c.recv() == "spam"
    grt.gosched()
    assert note == ["sent"]


def test_values_come_in_the_order_in_which_they_were_sent():
    c = grt.chan(3)

    def send():
        for i in range(100):
            c.send(i)
        c.close()

    grt.go(send)
    assert list(c) == list(range(100))


def test_a_closed_channel_gives_what_it_holds_and_then_the_end():
    c = grt.chan(1)
    c.send(1)
    c.close()
    assert c.recv_ok() == (1, True)
    assert c.recv_ok() == (None, False)
    with pytest.raises(grt.Closed):
        c.recv()
    with pytest.raises(grt.Closed):
        c.send(2)
    with pytest.raises(grt.Closed):
        c.close()


def test_a_receive_that_times_out_leaves_nothing_behind():
    c = grt.chan()
    with pytest.raises(TimeoutError):
        c.recv(timeout=0.001)
    assert len(c.receivers if not grt.__compiled__ else ()) == 0
    assert c.try_send(1) is False


# -- each way in which a wait ends


def test_a_receiver_that_waits_gets_the_value_before_the_sender_goes_on():
    c, order = grt.chan(), []
    g = blocked(lambda: order.append(c.recv()))
    c.send("spam")
    order.append("sent")
    g.join()
    assert order == ["sent", "spam"]


def test_receivers_are_served_in_the_order_in_which_they_came():
    c = grt.chan()
    receivers = [blocked(c.recv) for _ in range(5)]
    for value in range(5):
        c.send(value)
    assert [g.result() for g in receivers] == list(range(5))


def test_senders_are_served_in_the_order_in_which_they_came():
    c = grt.chan(2)
    senders = [grt.go(c.send, value) for value in range(7)]
    grt.gosched()
    assert [g.done for g in senders] == [True] * 2 + [False] * 5
    assert [c.recv() for _ in range(7)] == list(range(7))
    for g in senders:
        g.result()


def test_a_waiting_sender_fills_the_place_that_a_receiver_makes():
    c = grt.chan(1)
    c.send(1)
    g = blocked(c.send, 2)
    assert c.recv() == 1
    assert len(c) == 1
    g.result()


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_close_wakes_every_receiver(capacity):
    c = grt.chan(capacity)
    receivers = [blocked(c.recv_ok), blocked(c.recv), blocked(list, c)]
    c.close()
    assert receivers[0].result() == (None, False)
    with pytest.raises(grt.Closed, match="receive from a closed channel"):
        receivers[1].result()
    assert receivers[2].result() == []


@pytest.mark.parametrize("capacity", [0, 1])
def test_close_ends_every_sender_and_its_value_is_not_received(capacity):
    c = grt.chan(capacity)
    for value in range(capacity):
        c.send(value)
    senders = [blocked(c.send, "lost") for _ in range(3)]
    c.close()
    for g in senders:
        with pytest.raises(grt.Closed, match="send on a closed channel"):
            g.result()
    assert list(c) == list(range(capacity))


def test_nothing_can_be_sent_on_a_closed_channel_nor_can_it_be_closed_again():
    c = grt.chan(1)
    c.close()
    for call in (lambda: c.send(1), lambda: c.try_send(1), c.close):
        with pytest.raises(grt.Closed):
            call()
    for _ in range(3):
        assert c.recv_ok() == (None, False)


@pytest.mark.parametrize("call", ["send", "recv", "recv_ok"])
def test_a_timeout_a_deadline_and_a_cancellation_end_each_wait(call):
    c = grt.chan()
    args = ("lost",) if call == "send" else ()
    fn = getattr(c, call)
    with pytest.raises(TimeoutError, match=r"within 0\.001 s"):
        fn(*args, timeout=0.001)
    with pytest.raises(TimeoutError, match="timeout"), grt.timeout(0.001):
        fn(*args)
    g = blocked(fn, *args)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()
    assert not c.try_send("nobody waits any more")
    received = blocked(c.recv)
    c.send("next")
    assert received.result() == "next"


def test_a_cancelled_sender_leaves_its_place_to_the_next():
    c = grt.chan()
    first, second = blocked(c.send, 1), blocked(c.send, 2)
    first.cancel()
    assert c.recv() == 2
    second.result()
    with pytest.raises(grt.Cancelled):
        first.result()


def test_a_zero_timeout_takes_what_is_there_and_waits_for_nothing():
    c = grt.chan(1)
    with pytest.raises(TimeoutError):
        c.recv(timeout=0)
    c.send(1)
    assert c.recv(timeout=0) == 1


def test_what_has_waited_too_long_is_not_received():
    c = grt.chan()
    with pytest.raises(TimeoutError):
        c.send("late", timeout=0.001)
    assert grt.select(c.recv, default=True) == (-1, None)


# -- what a channel is


def test_any_value_passes_none_and_exceptions_too():
    c = grt.chan(4)
    values = [None, False, ValueError("a value"), c]
    for value in values:
        c.send(value)
    c.close()
    assert [c.recv() for _ in values] == values


def test_a_large_buffer_takes_memory_only_as_it_fills():
    c = grt.chan(10**9)
    for value in range(1000):
        c.send(value)
    assert len(c) == 1000 and c.capacity == 10**9
    assert [c.recv() for _ in range(1000)] == list(range(1000))


def test_the_buffer_is_a_ring():
    c, expected = grt.chan(3), []
    for value in range(50):
        while len(c) == 3:
            expected.append(c.recv())
        c.send(value)
    c.close()
    assert expected + list(c) == list(range(50))


@pytest.mark.parametrize("capacity", [-1, 1.5, "1", None])
def test_a_capacity_is_a_number_of_values(capacity):
    with pytest.raises((TypeError, ValueError)):
        grt.chan(capacity)


def test_len_capacity_closed_and_truth():
    c = grt.chan(2)
    c.send(1)
    assert (len(c), c.capacity, c.closed, bool(grt.chan())) == (1, 2, False, True)
    c.close()
    assert c.closed and "closed" in repr(c)


def test_views_have_one_direction_only():
    c = grt.chan(1)
    sending, receiving = c.send_only(), c.recv_only()
    sending.send(1)
    assert receiving.recv() == 1
    assert sending.try_send(2)
    sending.close()
    assert list(receiving) == [2]
    assert receiving.recv_ok() == (None, False)
    assert not hasattr(sending, "recv") and not hasattr(receiving, "send") and not hasattr(receiving, "close")
    assert len(sending) == len(receiving) == 0 and sending and receiving
    assert sending.capacity == receiving.capacity == 1


def test_channels_are_generic_for_type_checkers():
    assert str(grt.Chan[int]).endswith("Chan[int]")
    assert "RecvChan[int]" in str(grt.RecvChan[int]) and "SendChan[int]" in str(grt.SendChan[int])


def test_a_value_that_was_received_is_not_kept():
    class Value:
        pass

    for capacity in (0, 1, 3):
        c = grt.chan(capacity)
        value = Value()
        gone = weakref.ref(value)
        g = grt.go(c.send, value)
        c.recv()
        g.result()
        del value, g
        gc.collect()
        assert gone() is None


def test_a_channel_that_goroutines_wait_at_is_collected_with_them():
    def wait():
        blocked(grt.chan().recv).cancel()

    for _ in range(100):
        wait()
    grt.gosched()
    gc.collect()


# -- threads


def test_values_pass_between_threads_once_each():
    c = grt.chan(3)
    got: list[int] = []
    guard = threading.Lock()

    def produce(start):
        for value in range(start, start + 300):
            c.send(value)

    def consume():
        for value in c:
            with guard:
                got.append(value)

    producers = [threading.Thread(target=produce, args=[start]) for start in (0, 1000, 2000)]
    consumers = [threading.Thread(target=consume) for _ in range(3)]
    for thread in producers + consumers:
        thread.start()
    for thread in producers:
        thread.join(60)
    c.close()
    for thread in consumers:
        thread.join(60)
    assert sorted(got) == [start + n for start in (0, 1000, 2000) for n in range(300)]


def test_close_in_another_thread_wakes_those_who_wait_here():
    c = grt.chan()
    thread = threading.Timer(0.01, c.close)
    thread.start()
    assert c.recv_ok(60) == (None, False)
    thread.join()


def test_threads_that_select_crosswise_do_not_lock_each_other_out():
    a, b, end = grt.chan(), grt.chan(), grt.chan()

    def send(first, second):
        for number in range(300):
            grt.select((first.send, number), (second.send, number))

    def receive(first, second, count):
        while grt.select(first.recv, second.recv, end.recv_ok)[0] != 2:
            count.append(1)

    counts: list[list[int]] = [[], []]
    senders = [threading.Thread(target=send, args=pair) for pair in ((a, b), (b, a))]
    receivers = [threading.Thread(target=receive, args=(*pair, counts[n])) for n, pair in enumerate([(b, a), (a, b)])]
    for thread in senders + receivers:
        thread.start()
    for thread in senders:
        thread.join(60)
        assert not thread.is_alive()
    end.close()
    for thread in receivers:
        thread.join(60)
        assert not thread.is_alive()
    assert sum(map(len, counts)) == 600
