"""The wire between a VM and the main program, with both ends here."""

import os
import pickle
import socket
import threading
import time

import pytest

import grt
from grt._core.netfd import BLOCKED
from grt.vm import crossing
from grt.vm.crossing import REST, Station
from grt.vm.parcel import pack
from grt.vm.wire import HEADER, Wire


@pytest.fixture
def ends():
    """Two wires to each other; `got` of each has the messages that it has handled."""
    pairs = [socket.socketpair() for _ in range(2)]
    wires = []
    for data, descriptors in zip(*pairs, strict=True):
        data.setblocking(False)
        descriptors.setblocking(False)
        wire = Wire(data.detach(), descriptors.detach())
        wire.name_of, wire.find = id, grt.Chan  # no channel is sent
        wire.station = Station(0, wire.post, wire.announce)
        wires.append(wire)
    got = [[], []]
    for wire, messages in zip(wires, got, strict=True):
        wire.handle = messages.extend
    yield *wires, got[1]
    got[1].clear()
    for wire in wires:
        wire.close()


def take_all(wire):
    while wire.take_in() is not BLOCKED:
        pass


def test_what_is_sent_at_once_comes_in_order(ends):
    here, there, got = ends
    for i in range(1000):
        here.send(("number", i))
    here.announce(("first",))
    here.write_frames()
    take_all(there)
    assert got == [("first",), *(("number", i) for i in range(1000))]


def test_another_thread_takes_in_what_has_come_before_anybody_reads(ends):
    here, there, got = ends
    here.send(("early",))
    here.write_frames()
    thread = threading.Thread(target=take_all, args=(there,))
    thread.start()
    thread.join()
    assert got == [("early",)]


def test_a_frame_that_comes_in_pieces_is_one(ends):
    here, there, got = ends
    here.send(("x" * 1000,))
    pieces = []
    here.conn, kept = Pieces(pieces), here.conn
    here.write_frames()
    here.conn = kept
    (frame,) = pieces
    for byte in frame:
        here.conn.write(bytes([byte]))
        take_all(there)
    assert got == [("x" * 1000,)]


class Pieces:
    def __init__(self, pieces):
        self.write = pieces.append


def test_reading_ends_when_the_other_end_has_gone(ends):
    here, there, got = ends
    reader = grt.go(there.read)
    writer = grt.go(here.write)
    here.send(("last",))
    here.finish()
    writer.join()
    here.close()
    reader.result()
    assert got == [("last",)]


def test_reading_ends_when_descriptors_that_were_announced_do_not_come(ends):
    here, there, got = ends
    reader = grt.go(there.read)
    grt.gosched()
    here.conn.write(HEADER.pack(5, 1) + b"\x80none")
    here.close()
    reader.result()
    assert got == []


def test_what_cannot_be_opened_leaves_no_descriptor(ends):
    here, there, got = ends
    reading, writing = os.pipe()
    here.conn.write(HEADER.pack(4, 1) + b"\x80\x05\xff?")
    here.fd_conn.send_fds([writing])
    os.close(writing)
    with pytest.raises(pickle.UnpicklingError):
        there.take_in()
    assert os.read(reading, 1) == b""  # there is no other end of it anywhere
    os.close(reading)
    assert got == []


def test_large_values_go_beside_it(ends):
    here, there, got = ends
    here.send(("value", pack(b"x" * 1_000_000)))
    here.write_frames()
    take_all(there)
    ((_, parcel),) = got
    assert len(parcel.fds) == 1 and len(parcel.data) < 1000


# -- what the station writes


def post_and_flush(wire, message):
    """As a station does that looks."""
    wire.station.due = due = []
    wire.post(message)
    wire.post(("after it",))
    wire.station.due = None
    assert due == [wire]
    wire.flush()


def test_what_is_posted_while_the_station_looks_is_written_by_it(ends):
    here, there, got = ends
    post_and_flush(here, ("posted",))
    take_all(there)
    assert got == [("posted",), ("after it",)] and len(here.bell) == 0


def test_what_is_posted_at_other_times_is_written_by_the_writer(ends):
    here, there, got = ends
    here.post(("posted",))
    assert len(here.bell) == 1
    writer = grt.go(here.write)
    here.finish()
    writer.join()
    take_all(there)
    assert got == [("posted",)]


@pytest.mark.parametrize("large", ["x" * 3_000_000, b"x" * 3_000_000])
def test_what_the_kernel_does_not_take_at_once_is_left_to_the_writer(ends, large):
    here, there, got = ends
    post_and_flush(here, ("large", pack(large)))
    reader = grt.go(there.read)
    post_and_flush(here, ("more",))
    assert got == [] and len(here.bell) == 1
    writer = grt.go(here.write)
    here.finish()
    writer.join()
    here.close()
    reader.result()
    assert [message[0] for message in got] == ["large", "after it", "more", "after it"]


def test_a_flush_waits_for_nobody(ends):
    here, there, got = ends
    with here.writing:
        post_and_flush(here, ("posted",))
    assert len(here.bell) == 1
    here.write_frames()
    take_all(there)
    assert got == [("posted",), ("after it",)]


def test_a_flush_writes_first_what_was_announced(ends):
    here, there, got = ends
    here.post(("before",))
    here.announce(("first",))
    post_and_flush(here, ("posted",))
    take_all(there)
    assert got == [("first",), ("before",), ("posted",), ("after it",)]


def test_a_flush_to_an_end_that_has_gone_says_nothing(ends):
    here, there, _ = ends
    there.close()
    post_and_flush(here, ("posted",))
    grt.go(here.write).join()


def test_a_station_looks_out_less_often_when_nothing_comes(monkeypatch):
    sent = []
    station = Station(0, sent.append, sent.append)
    g = grt.go(station.run)
    monkeypatch.setattr(crossing, "LOOKOUT", 0.0)  # so short that nothing can come
    for doublings in range(4):
        assert station.rest == REST[0] * 2**doublings
        before = station.rested
        while station.rested == before:
            station.look_again()
            grt.sleep(0.0005)
    station.rested = time.monotonic() + 1000
    station.look_again()
    grt.sleep(0.001)
    assert station.rest == REST[0] * 16
    monkeypatch.undo()
    station.rested = 0.0
    while station.rest > REST[0]:  # until something comes while it looks out
        station.look_again()
        grt.gosched()
    g.cancel()
    g.join()
