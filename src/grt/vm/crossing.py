"""Channels that cross: one process's side of them.

A channel that several VMs have is at one of them at a time, with all that it holds; there, and only there, it works as
any channel does. Goroutines of the others wait. Each VM tells the broker what its goroutines wait for; the VM that has
the channel sends it on when others wait for what it could give them: values, room, somebody who receives.
So there is one queue, in one order, and nothing is ever in two places.

A value of a sender that waits (on a channel without buffer, or one in a select) travels as an offer: it is the
receiver's when it was accepted, and its sender's again when it was not.

Threads: any, under `lock`, inside which a channel's own mutex may be taken, never the other way round.
"""

import copyreg
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from grt._core.chan import Chan, RecvChan, SendChan
from grt._core.errors import Closed
from grt._core.go import gosched
from grt._core.goroutine import peek
from grt._core.ticker import Alarm
from grt.vm.parcel import current, open_parcel, pack

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import RUNNABLE
    from grt._core.pysys import now

    RECEIVE, SEND, FETCH = 1, 2, 4

__all__ = ["Link", "Send", "Station", "Wants", "lock", "set_station"]

PASSED, CLOSED, AGAIN = 1, 2, 3  # what an offer's sender is told: _core.goroutine's, for Python

Send = Callable[[Any], object]
Wants = int  # what somebody waits for: RECEIVE, SEND, and FETCH for the channel itself, whatever it holds

TURNS = 32  # that those who fill or empty a channel get in a row, before others get it
LOOKOUT = 0.00015  # seconds that a station looks out for what comes next: what it takes a VM to wake up and answer
REST = 0.0015, 1.0  # seconds from a time that it did so in vain to the next: at first, and, growing to it, later

lock = threading.RLock()  # guards links, stations and the broker: what they do takes no time and calls nobody's code


class Link:
    """What ties a channel of this process to the same channel elsewhere."""

    __slots__ = (
        "capacity", "channel", "ended", "gate", "kept", "key", "others", "pins", "received", "source",
        "station", "text", "told",
    )  # fmt: skip

    pack = staticmethod(pack)
    open = staticmethod(open_parcel)

    def __init__(self, station: "Station", key: tuple[int, int], channel: Chan[Any]) -> None:
        self.station = station
        self.key = key  # the VM that made the channel, and its number there
        self.capacity = channel.capacity
        self.channel = weakref.ref(channel, lambda _: station.lose(self))
        self.kept: Chan[Any] | None = None  # the channel, while it is here and others may want what it holds
        self.others: Wants = 0  # what the others want
        self.told: Wants = 0  # what they were told that is wanted here
        self.source: int | None = None  # the VM from which values came last
        self.received = 0  # how often it was referred to in what came
        self.pins = 0  # how many want it to be here, and stay
        self.gate: Chan[None] | None = None  # closed when it arrives
        self.ended = False  # closed, and empty, for everybody
        self.text = ""  # why it was closed, if a VM's end did it

    def __lt__(self, other: "Link") -> bool:
        return self.key < other.key

    def fetch(self) -> None:
        """Waits until the channel is here, and keeps it until `let_go`."""
        with lock:
            self.pins += 1
        try:
            while (gate := self.arrival()) is not None:
                gate.recv_ok()
        except BaseException:
            self.let_go()
            raise

    def arrival(self) -> Chan[None] | None:
        """What is closed when the channel arrives; None if it is here."""
        with lock:
            channel = self.channel()
            if channel is None or not channel.away:
                return None
            if self.gate is None:
                self.gate = Chan()
            self.station.moves.try_send(channel)
            return self.gate

    def open_gate(self) -> None:
        """The channel is here: lets go on who fetches it."""
        if self.gate is not None:
            self.gate.close()
            self.gate = None

    def let_go(self) -> None:
        with lock:
            self.pins -= 1
            channel = self.channel()
            if channel is not None:
                self.station.moves.try_send(channel)

    def close(self) -> None:
        """Closes the channel, wherever it is."""
        self.fetch()
        try:
            channel = self.channel()
            if channel is not None and not channel.shut():
                raise Closed(self.reason("close of a closed channel"))
        finally:
            self.let_go()

    def reason(self, text: str) -> str:
        return f"{text}: {self.text}" if self.text else text


class Station:
    """This process's channels that cross. The main program has one, and so has each VM."""

    __slots__ = (
        "announce", "due", "gone", "last_key", "last_offer", "links", "loop", "moves", "number", "offers", "rest",
        "rested", "runner", "seen", "send",
    )  # fmt: skip

    def __init__(self, number: int, send: Send, announce: Send) -> None:
        self.number = number  # the VM's, 0 for the main program
        self.send = send  # takes a message to the broker; called under `lock`, as announce is
        self.announce = announce  # as send, but it comes there before whatever refers to what it introduces
        self.links: dict[tuple[int, int], Link] = {}
        self.moves: Chan[Any] = Chan(sys.maxsize)  # channels with which something was done; None: see `gone`
        self.runner: Any = None  # the goroutine that is in `run`
        self.seen = -1  # at which switch of its thread `catch_up` has looked at all channels for it
        self.loop: Any = None  # of the thread that runs it
        self.gone: deque[Link] = deque()  # whose channel nobody refers to here; filled by finalizers
        self.offers: dict[int, tuple[Chan[Any], Any]] = {}  # values of ours that others may accept: whose clause
        self.due: list[Any] | None = None  # while `run` looks: the wires that it will write then
        self.rested = 0.0  # when it may look out again
        self.rest = REST[0]  # from the next time that it does so in vain
        self.last_key = 0
        self.last_offer = 0

    # -- names

    def name_of(self, channel: Chan[Any]) -> Any:
        """What stands for channel in a message."""
        with lock:
            link: Link = channel.link
            if link.ended:
                return None, link.capacity, link.text
            if not channel.away:
                link.kept = channel
            return link.key, link.capacity, link.text

    def tie(self, channel: Chan[Any]) -> None:
        """Makes channel one that crosses."""
        with lock:
            link: Link | None = channel.link
            if link is None or not (link.ended or link.key in self.links):
                self.tie_anew(channel)

    def tie_anew(self, channel: Chan[Any]) -> None:
        if any(isinstance(getattr(ref.__callback__, "__self__", None), Alarm) for ref in weakref.getweakrefs(channel)):
            raise TypeError(f"{channel!r} is a timer's, which stays with its timer")
        self.last_key += 1
        link = Link(self, (self.number, self.last_key), channel)
        held = channel.tie(link, self.moves, False)
        try:
            values = [pack(value) for value in held]
        except TypeError:
            channel.tie(None, None, False)
            channel.arrive(held, channel.closed)
            raise
        link.kept = channel
        self.links[link.key] = link
        channel.arrive(values, channel.closed)
        self.announce(("made", link.key, link.capacity))

    def untie_all(self) -> None:
        """Nobody else is left who has any of the channels. What is sent over them is packed all the same."""
        with lock:
            for link in self.links.values():
                channel = link.channel()
                if channel is not None and not channel.away:
                    channel.arrive(channel.tie(link, None, False), channel.closed)
                link.kept = None
            self.links.clear()

    def find(self, name: Any) -> Chan[Any]:
        """The channel that name stands for."""
        key, capacity, text = name
        with lock:
            link = self.links.get(key)
            channel = None if link is None else link.channel()
            if link is None or channel is None:
                channel = Chan(capacity)
                link = Link(self, key, channel)
                channel.tie(link, self.moves, key is not None)
                if key is None:
                    self.end(link, text)
                    return channel
                self.links[key] = link
            link.received += 1
            return channel

    # -- moves

    def catch_up(self) -> None:
        """What `run` does, once, for a thread that may be in the midst of something else."""
        runner = self.runner
        if runner is not None and runner.state == RUNNABLE and runner.proc.picks != self.seen:
            self.seen = runner.proc.picks  # once is enough: what comes later `run` does not take
            with lock:  # it has taken some, to look at when it gets to go on, and nobody knows which
                self.look_at_all([link.channel() for link in self.links.values()])
        while moves := self.moves.drain():
            with lock:
                self.look_at_all(moves)

    def run(self) -> None:
        """Looks at the channels with which something was done, for as long as this process has any that cross."""
        proc: Any = peek()
        self.loop, self.runner = proc.loop, proc.current
        try:
            for first in self.moves:
                moves = come_to_rest(self.moves, first)
                with lock:
                    due: list[Any] = []
                    self.due = due
                    self.look_at_all(moves)
                    self.due = None
                del first, moves  # not kept from being forgotten
                for wire in due:
                    wire.flush()
                self.look_out(proc)
        finally:
            self.loop = self.runner = None

    def look_out(self, proc: Any) -> None:
        """Keeps the thread from going to sleep for a moment: the answer may be there before it would be woken.

        Where answers take longer it does so less and less often.
        """
        moment = now()
        if moment < self.rested:
            return
        end = moment + LOOKOUT
        while moment < end:
            proc.turn(0.0)
            gosched()
            if len(self.moves) > 0:
                self.rest = REST[0]
                return
            moment = now()
        self.rested = moment + self.rest
        self.rest = min(2 * self.rest, REST[1])

    def look_at_all(self, moves: "list[Any]") -> None:
        """Looks at channels with which something was done, and forgets those that nobody refers to; under `lock`."""
        for channel in moves:
            if channel is not None:
                self.look_at(channel)
        self.forget()

    def look_at(self, channel: Chan[Any]) -> None:
        """Tells what is wanted of a channel that is away, and sends on one that is wanted elsewhere."""
        link: Link = channel.link
        count, receives, sends, closed = channel.look()
        if link.ended:
            return
        if channel.away:
            wants = RECEIVE * receives + SEND * sends + FETCH * (link.pins > 0)
            if wants != link.told:
                link.told = wants
                self.send(("want", link.key, wants))
        elif closed and count == 0:
            self.send(("end", link.key))
        elif link.pins == 0 and self.is_wanted(link, count, receives, sends, closed):
            self.depart(channel, link)

    def is_wanted(self, link: Link, count: int, receives: bool, sends: bool, closed: bool) -> bool:
        """Whether the others can do something with a channel in this state, or have to, for those who wait here."""
        they_receive, they_send = link.others & RECEIVE, link.others & SEND
        if link.others & FETCH or (closed and link.others):
            return True
        if they_receive and (count > 0 or sends):
            return True
        if they_send and (count < link.capacity or (link.capacity == 0 and (receives or they_receive))):
            return True
        # An empty channel on which we wait is where values come from: the next one is here at once.
        return receives and not sends and count == 0 and link.source not in (None, self.number)

    def depart(self, channel: Chan[Any], link: Link) -> None:
        values, clause, value = channel.depart(link.capacity == 0 and link.others & RECEIVE != 0)
        offer = None
        if clause is not None:
            try:
                value = pack(value)
            except TypeError:  # it was sent when the channel was this process's alone: its sender will see
                channel.answer(clause, AGAIN)
            else:
                self.last_offer += 1
                self.offers[self.last_offer] = channel, clause
                offer = self.number, self.last_offer, value
        _, receives, sends, closed = channel.look()
        link.told = RECEIVE * receives + SEND * sends
        link.kept = None
        self.send(("pass", link.key, values, offer, closed, link.told))

    def lose(self, link: Link) -> None:
        """Nobody refers to the channel of link here any more. The garbage collector tells, at any moment."""
        self.gone.append(link)
        if self.loop is not None:
            self.loop.call_soon(self.look_again)

    def look_again(self) -> None:
        """Has `run` see what is in `gone`."""
        self.moves.try_send(None)

    def forget(self) -> None:
        while self.gone:
            self.drop(self.gone.popleft())

    def drop(self, link: Link) -> None:
        if self.links.get(link.key) is link:
            del self.links[link.key]
            self.send(("drop", link.key, link.received + (link.key[0] == self.number)))

    # -- what comes from the broker

    def handle(self, messages: list[Any]) -> None:
        """Does what messages about channels say."""
        with lock:
            for message in messages:
                self.handle_locked(message)

    def handle_locked(self, message: Any) -> None:
        kind, key = message[0], message[1]
        link: Link | None = self.links.get(key)
        channel: Chan[Any] | None = None if link is None else link.channel()
        if kind == "token":
            self.arrive(link, channel, message)
        elif kind == "answer":
            _, _, number, news = message
            self.answer(number, news)
        elif link is None or channel is None:
            return
        elif kind == "need":
            link.others = message[2]
            self.moves.try_send(channel)
        elif kind == "alone":
            link.kept = None
        elif kind == "shut":
            link.text = message[2]
            if not channel.away:
                channel.shut()
        elif kind == "ended":
            self.end(link, message[2])

    def arrive(self, link: Link | None, channel: Chan[Any] | None, message: Any) -> None:
        _, key, values, offer, closed, others, source = message
        if link is None or channel is None:
            if link is not None:
                self.drop(link)  # first: else it would be sent here again
            if offer is not None:
                self.send(("answer", key, offer[0], offer[1], AGAIN))
            self.send(("pass", key, values, None, closed, 0))
            return
        link.others, link.source, link.told, link.kept = others, source, 0, channel
        if offer is not None:
            sender, number, value = offer
            self.send(("answer", key, sender, number, PASSED if channel.accept(value) else AGAIN))
        channel.arrive(values, closed)
        link.open_gate()

    def answer(self, number: int, news: int) -> None:
        if number in self.offers:
            channel, clause = self.offers.pop(number)
            channel.answer(clause, news)

    def end(self, link: Link, text: str) -> None:
        """The channel is closed, and holds nothing any more: it is the same everywhere, and crosses no more."""
        link.ended, link.text, link.kept = True, text or link.text, None
        channel = link.channel()
        if channel is None:
            return
        for number in [number for number, (offered, _) in self.offers.items() if offered is channel]:
            self.answer(number, CLOSED)
        if channel.away:
            channel.arrive([], True)
        else:
            channel.shut()
        link.open_gate()
        self.links.pop(link.key, None)

    def hand_back(self) -> None:
        """Before this VM ends by itself: gives back what is here, for the others to go on with."""
        with lock:
            for link in list(self.links.values()):
                channel = link.channel()
                if channel is not None and not channel.away and not link.ended:
                    self.send(("drop", link.key, sys.maxsize))
                    self.depart(channel, link)


def come_to_rest(moves: Chan[Any], first: Any) -> "list[Any]":
    """Lets those go on that fill or empty channels now; returns first and what gets into moves meanwhile.

    A trip with much in it costs no more than one with little, and what leaves together goes in one frame.
    """
    found = [first]
    held = held_by(found)
    for _turn in range(TURNS):
        before = held
        gosched()
        if len(moves) > 0:
            found += moves.drain()
        held = held_by(found)
        if held == before:
            break
    return found


def held_by(channels: "list[Any]") -> int:
    """How many values they hold."""
    held = 0
    for channel in channels:
        if channel is not None:
            held += len(channel)
    return held


_station: Station | None = None


def set_station(station: Station) -> None:
    """Makes it this process's."""
    global _station
    _station = station


def reduce_chan(channel: Chan[Any]) -> Any:
    parcel = current(channel)
    if _station is None:
        raise TypeError(f"{channel!r} cannot be sent to a VM: none was started")
    _station.tie(channel)
    parcel.channels.append(channel)
    return opened_chan, (len(parcel.channels) - 1,)


def opened_chan(index: int) -> Any:
    return current("a channel").channels[index]


def reduce_view(view: Any) -> Any:
    return type(view), (view.chan,)


if hasattr(os, "register_at_fork"):  # the child's is free, and what it guards whole
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
copyreg.pickle(Chan, reduce_chan)
copyreg.pickle(RecvChan, reduce_view)
copyreg.pickle(SendChan, reduce_view)
