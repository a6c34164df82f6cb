"""Channels: Go's rules, one by one."""

import pytest

import grt


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
