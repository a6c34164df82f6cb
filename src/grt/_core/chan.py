"""Channels, with Go's rules.

Invariants: values in the buffer are older than those of waiting senders, and a sender waits only while the buffer is
full; a receiver waits only while there is neither value nor sender. (A channel without buffer may have a goroutine
that waits on both sides, by one select.) A value goes straight to a receiver that waits; a clause is taken out by the
one who wins its goroutine, or by that goroutine when something else has ended its wait. Closing takes out everyone.
A channel that other processes have too (it has a `link`) is at one place at a time: here, or `away` with all that it
holds. While it is away nothing can be put in or taken out: who comes waits, until it arrives. Whatever is done with it
puts it into `moves`, once, for whoever decides where it should be.
Threads: any, under `mutex`, held over a few lines that call nobody's code.
Rejected: collections.deque for the buffer (a method call for each item, compiled); one queue for both sides.
"""

import operator
from types import GenericAlias
from typing import Any

from grt._core.errors import Closed
from grt._core.goroutine import Clause, Waiters, enter, make_runnable
from grt._core.timers import deadline_of

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import AGAIN, CLOSED, PASSED
    from grt._core.pysys import NEVER, mutex_lock, mutex_new, mutex_unlock

    RECV, RECV_OK, SEND = range(3)  # what a clause would do: Clause.op

__all__ = ["Chan", "RecvChan", "SendChan", "chan"]

DOES = ("recv from", "recv from", "send to")  # a clause's op, in words
EMPTY = object()  # instead of a value: there is none now
GONE = object()  # there will never be one: closed, and all were received


class Chan:
    """A channel: values sent by goroutines, of any thread, to goroutines of any thread. Made by `grt.chan`.

    >>> import grt
    >>> c = grt.chan(2)
    >>> c.send("spam"); c.send("eggs"); c.close()
    >>> list(c)
    ['spam', 'eggs']
    """

    __slots__ = (
        "__weakref__", "away", "capacity", "closed", "count", "head", "items", "link", "moved",
        "moves", "mutex", "receivers", "senders",
    )  # fmt: skip

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = operator.index(capacity)  # how many values it holds that nobody has received yet
        if self.capacity < 0:
            raise ValueError(f"the capacity of a channel must not be negative, and {capacity} is")
        self.mutex = mutex_new()  # guards all below, and the clauses that hang here
        self.closed = False
        self.items: list[Any] = []  # the buffer, a ring that grows up to capacity
        self.head = 0  # where its oldest value is
        self.count = 0  # how many values it holds
        self.receivers = Waiters()
        self.senders = Waiters()
        self.away = False
        self.link: Any = None  # packs and opens what crosses; None for a channel of this process alone
        self.moves: Chan | None = None
        self.moved = False  # whether it is in moves

    __class_getitem__ = classmethod(GenericAlias)

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<Chan {len(self)}/{self.capacity}{state} at {id(self):#x}>"

    def __len__(self) -> int:
        """How many values it holds that nobody has received yet."""
        return min(self.count, self.capacity)

    def __bool__(self) -> bool:
        """Always true, as for any object: `if c` tells a channel from None."""
        return True

    def send(self, value: Any, timeout: float | None = None) -> None:
        """Sends value; waits until a receiver, or the buffer, has taken it.

        Raises grt.Closed if the channel is closed, now or while it waits, and TimeoutError after timeout seconds:
        then value was not sent.
        """
        g = enter()
        deadline = NEVER if timeout is None else deadline_of(timeout)
        while True:
            if self.link is not None:
                value = self.link.pack(value)
            mutex_lock(self.mutex)
            if self.closed:
                mutex_unlock(self.mutex)
                raise self.send_error()
            if self.put_locked(value):
                mutex_unlock(self.mutex)
                g.proc.spend(g)
                return
            clause = g.own_clause()
            clause.op = SEND
            clause.value = value
            self.hang_locked(self.senders, clause)
            g.arm(self)
            mutex_unlock(self.mutex)
            if not g.settle(deadline):
                self.withdraw(self.senders, clause)
                g.judge(deadline)
                raise TimeoutError(f"nobody received from {self!r} within {timeout} s")
            if clause.news == PASSED:
                return
            clause.value = None
            if clause.news == CLOSED:
                raise self.send_error()
            g.check()

    def try_send(self, value: Any) -> bool:
        """Sends value if that needs no waiting; returns whether it was sent. Raises grt.Closed.

        Unlike `send` it may be called where nothing may block, in a callback of the event loop for instance. A channel
        that is in another VM at the moment takes nothing.
        """
        if self.link is not None:
            value = self.link.pack(value)
        mutex_lock(self.mutex)
        closed = self.closed
        sent = not closed and self.put_locked(value)
        mutex_unlock(self.mutex)
        if closed:
            raise self.send_error()
        return sent

    def recv(self, timeout: float | None = None) -> Any:
        """Waits for a value and returns it.

        Raises grt.Closed once the channel is closed and all it held was received, and TimeoutError after timeout
        seconds.
        """
        value = self.receive(timeout)
        if value is GONE:
            raise self.recv_error()
        return value

    def recv_ok(self, timeout: float | None = None) -> "tuple[Any, bool]":
        """Waits for a value and returns (value, True), or (None, False) where `recv` raises grt.Closed."""
        value = self.receive(timeout)
        if value is GONE:
            return None, False
        return value, True

    def __iter__(self) -> "Chan":
        """The values that come, until the channel is closed."""
        return self

    def __next__(self) -> Any:
        value = self.receive(None)
        if value is GONE:
            raise StopIteration
        return value

    def receive(self, timeout: float | None) -> Any:
        """Waits for a value; returns GONE if there will be none."""
        g = enter()
        deadline = NEVER if timeout is None else deadline_of(timeout)
        while True:
            mutex_lock(self.mutex)
            value = self.take_locked()
            if value is not EMPTY:
                mutex_unlock(self.mutex)
                g.proc.spend(g)
                break
            clause = g.own_clause()
            clause.op = RECV
            self.hang_locked(self.receivers, clause)
            g.arm(self)
            mutex_unlock(self.mutex)
            if not g.settle(deadline):
                self.withdraw(self.receivers, clause)
                g.judge(deadline)
                raise TimeoutError(f"nobody sent to {self!r} within {timeout} s")
            if clause.news == CLOSED:
                return GONE
            value = clause.value
            clause.value = None
            if clause.news == PASSED:
                break
            g.check()
        return value if self.link is None or value is GONE else self.link.open(value)

    def close(self) -> None:
        """Says that no more will be sent: receivers get what is left, then the end. Never blocks.

        Who waits to send gets grt.Closed, and so does who closes it again.
        """
        if self.link is not None:
            return self.link.close()
        if not self.shut():
            raise Closed("close of a closed channel")

    def shut(self) -> bool:
        """Closes it; returns False if it was closed."""
        mutex_lock(self.mutex)
        first = not self.closed
        self.closed = True
        self.receivers.take_all(CLOSED)
        self.senders.take_all(CLOSED)
        self.move_locked()
        mutex_unlock(self.mutex)
        return first

    def leave(self, value: Any) -> None:
        """Gives value to a receiver, or leaves it for the next one unless it has something: for timers.

        It is the one value that a channel without buffer holds, and does not count.
        """
        mutex_lock(self.mutex)
        if not self.items:
            self.items.append(None)
        if self.count == 0 and not self.put_locked(value):
            self.store_locked(value)
        mutex_unlock(self.mutex)

    def forget(self) -> bool:
        """Drops what `leave` has left; returns whether there was anything."""
        mutex_lock(self.mutex)
        left = self.count > 0
        if left:
            self.items[self.head] = None
            self.count = 0
        mutex_unlock(self.mutex)
        return left

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled: a channel is sent to a VM, by grt.vm, and nowhere else")

    def recv_only(self) -> "RecvChan":
        """This channel for those who only receive: Go's <-chan."""
        return RecvChan(self)

    def send_only(self) -> "SendChan":
        """This channel for those who only send and close: Go's chan<-."""
        return SendChan(self)

    # -- with the mutex held

    def put_locked(self, value: Any) -> bool:
        """Gives value to a receiver or to the buffer of this open channel; returns whether one could take it."""
        if self.link is not None:
            if self.away:
                return False
            self.move_locked()
        clause = self.receivers.take()
        if clause is not None:
            clause.value = value
            clause.news = PASSED
            make_runnable(clause.g)
            return True
        if self.count == self.capacity:
            return False
        self.store_locked(value)
        return True

    def store_locked(self, value: Any) -> None:
        """Puts value at the end of the buffer, which has room or can grow."""
        size = len(self.items)
        if self.count == size:
            more = min(self.capacity, 2 * size + 8) - size
            self.items = self.items[self.head :] + self.items[: self.head] + [None] * more
            self.head = 0
            size += more
        at = self.head + self.count
        if at >= size:
            at -= size
        self.items[at] = value
        self.count += 1

    def take_locked(self) -> Any:
        """The next value; EMPTY if there is none now, GONE if there will be none."""
        if self.link is not None:
            if self.away:
                return EMPTY
            self.move_locked()
        if self.count > 0:
            value = self.items[self.head]
            self.items[self.head] = None
            self.head = 0 if self.head + 1 == len(self.items) else self.head + 1
            self.count -= 1
            clause = self.senders.take()
            if clause is not None:
                self.store_locked(clause.value)
        else:
            clause = self.senders.take()
            if clause is None:
                return GONE if self.closed else EMPTY
            value = clause.value
        if clause is not None:
            clause.value = None
            clause.news = PASSED
            make_runnable(clause.g)
        return value

    def hang_locked(self, waiters: Waiters, clause: Clause) -> None:
        waiters.hang(clause)
        self.move_locked()

    def move_locked(self) -> None:
        """Has it looked at: something was done with it, so it may be wanted elsewhere."""
        if self.moves is not None and not self.moved:
            self.moved = self.moves.try_send(self)

    def withdraw(self, waiters: Waiters, clause: Clause) -> None:
        """Takes clause back after something else has ended its goroutine's wait."""
        mutex_lock(self.mutex)
        waiters.unhang(clause)
        self.move_locked()
        mutex_unlock(self.mutex)
        clause.value = None

    def send_error(self) -> Closed:
        return Closed("send on a closed channel" if self.link is None else self.link.reason("send on a closed channel"))

    def recv_error(self) -> Closed:
        text = "receive from a closed channel"
        return Closed(text if self.link is None else self.link.reason(text))

    # -- for the link

    def tie(self, link: Any, moves: "Chan", away: bool) -> "list[Any]":
        """Makes it a channel that crosses, by link, or with None does not; returns what it held.

        That is to be put back by `arrive`, in the form in which it crosses; who waits to send will send it so.
        """
        mutex_lock(self.mutex)
        self.link, self.moves, self.away = link, moves, away
        values = self.drain_locked()
        self.senders.take_all(AGAIN)
        mutex_unlock(self.mutex)
        return values

    def look(self) -> "tuple[int, bool, bool, bool]":
        """How many values it holds, whether somebody waits to receive, and to send, and whether it is closed."""
        mutex_lock(self.mutex)
        self.moved = False
        found = self.count, self.receivers.first is not None, self.senders.first is not None, self.closed
        mutex_unlock(self.mutex)
        return found

    def depart(self, offer: bool) -> "tuple[list[Any], Clause | None, Any]":
        """Sends it away: returns what it holds, and with offer the clause of a sender that waits, and its value.

        That sender waits on, for `answer`, and for nothing else.
        """
        mutex_lock(self.mutex)
        self.away = True
        values = self.drain_locked()
        clause = self.senders.take() if offer else None
        mutex_unlock(self.mutex)
        return values, clause, None if clause is None else clause.value

    def answer(self, clause: Clause, news: int) -> None:
        """Tells the sender of an offer whether it was PASSED, or should try AGAIN, or is CLOSED."""
        if news != AGAIN:
            clause.value = None
        clause.news = news
        make_runnable(clause.g)

    def arrive(self, values: "list[Any]", closed: bool) -> None:
        """Takes it back, with values: whoever has waited for it goes on."""
        mutex_lock(self.mutex)
        self.away = False
        self.moved = True  # nobody has to look at what is done here
        for value in values:
            if not self.put_locked(value):
                self.store_locked(value)
        while self.count < self.capacity and (clause := self.senders.take()) is not None:
            self.put_locked(clause.value)
            clause.value = None
            clause.news = PASSED
            make_runnable(clause.g)
        if self.senders.first is not None:
            self.receivers.take_all(AGAIN)
        if closed:
            self.closed = True
            self.receivers.take_all(CLOSED)
            self.senders.take_all(CLOSED)
        self.moved = False
        self.move_locked()
        mutex_unlock(self.mutex)

    def accept(self, value: Any) -> bool:
        """Gives an offered value to a receiver that waits; returns whether there was one."""
        mutex_lock(self.mutex)
        clause = self.receivers.take()
        if clause is not None:
            clause.value = value
            clause.news = PASSED
            make_runnable(clause.g)
        mutex_unlock(self.mutex)
        return clause is not None

    def drain(self) -> "list[Any]":
        """Takes out what it holds; nobody may be waiting to send."""
        mutex_lock(self.mutex)
        values = self.drain_locked()
        mutex_unlock(self.mutex)
        return values

    def drain_locked(self) -> "list[Any]":
        if self.count == 0:
            return []
        values = (self.items[self.head :] + self.items[: self.head])[: self.count]
        self.items, self.head, self.count = [], 0, 0
        return values


class RecvChan:
    """A channel of which only the receiving side is at hand: `c.recv_only()`."""

    __slots__ = ("chan",)

    def __init__(self, chan: Chan) -> None:
        self.chan = chan

    __class_getitem__ = classmethod(GenericAlias)

    def __repr__(self) -> str:
        return f"<RecvChan of {self.chan!r}>"

    @property
    def capacity(self) -> int:
        """How many values the channel holds that nobody has received yet."""
        return self.chan.capacity

    def __len__(self) -> int:
        return len(self.chan)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Chan:
        return self.chan

    def recv(self, timeout: float | None = None) -> Any:
        """See Chan.recv."""
        return self.chan.recv(timeout)

    def recv_ok(self, timeout: float | None = None) -> "tuple[Any, bool]":
        """See Chan.recv_ok."""
        return self.chan.recv_ok(timeout)


class SendChan:
    """A channel of which only the sending side is at hand: `c.send_only()`."""

    __slots__ = ("chan",)

    def __init__(self, chan: Chan) -> None:
        self.chan = chan

    __class_getitem__ = classmethod(GenericAlias)

    def __repr__(self) -> str:
        return f"<SendChan of {self.chan!r}>"

    @property
    def capacity(self) -> int:
        """How many values the channel holds that nobody has received yet."""
        return self.chan.capacity

    def __len__(self) -> int:
        return len(self.chan)

    def __bool__(self) -> bool:
        return True

    def send(self, value: Any, timeout: float | None = None) -> None:
        """See Chan.send."""
        self.chan.send(value, timeout)

    def try_send(self, value: Any) -> bool:
        """See Chan.try_send."""
        return self.chan.try_send(value)

    def close(self) -> None:
        """See Chan.close."""
        self.chan.close()


def chan(capacity: int = 0) -> Chan:
    """Makes a channel that holds capacity values that nobody has received yet.

    With capacity 0 a send waits until somebody receives: the two meet. With more it waits only while the channel is
    full.
    """
    return Chan(capacity)
