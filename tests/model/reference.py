"""The reference model: what goroutines, channels, select, timeouts and cancellation are to do, in plain lists.

A program is a list of goroutines, each a list of operations:

    ("send" | "recv" | "recv_ok", channel, timeout)     ("try_send" | "close", channel)     ("sleep", seconds)
    ("select", ((kind, channel), ...), default, timeout)                                     ("cancel", goroutine)

Goroutines take turns, first come, first served; one runs until it waits. Time passes when all wait. What is random, the
choice among ready cases, is taken from what really happened, and only has to be one of those that were ready.
"""

from collections import deque
from typing import Any

FOREVER = float("inf")


class Channel:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.items: deque[Any] = deque()
        self.closed = False
        self.waiting: list[tuple[Thread, int, str, Any]] = []  # (who, its case, send or recv, the value sent)

    def first(self, kind: str) -> "tuple[Thread, int, str, Any] | None":
        return next((waiter for waiter in self.waiting if waiter[2] == kind), None)

    def ready(self, kind: str) -> bool:
        if kind == "send":
            return self.closed or self.first("recv") is not None or len(self.items) < self.capacity
        return self.closed or bool(self.items) or self.first("send") is not None


class Thread:
    """A goroutine of the model."""

    def __init__(self, number: int, operations: list[Any]) -> None:
        self.number = number
        self.operations = operations
        self.at = 0  # the operation that it is at
        self.state = "runnable"
        self.started = False
        self.cancelled = False
        self.outcome: Any = None  # of the operation that it waited in
        self.wakes: tuple[float, int] | None = None  # when, and in which order among equals


class Model:
    def __init__(self, capacities: list[int], program: list[list[Any]], chosen: dict[tuple[int, int], int]) -> None:
        self.channels = [Channel(capacity) for capacity in capacities]
        self.threads = [Thread(number, operations) for number, operations in enumerate(program)]
        self.chosen = chosen  # of each select that really chose, and did not raise: the case
        self.queue = deque(self.threads)
        self.now = 0.0
        self.armed = 0
        self.log: list[tuple[int, int, Any]] = []  # (goroutine, operation, outcome), as they end

    def run(self) -> list[tuple[int, int, Any]]:
        while True:
            while self.queue:
                self.step(self.queue.popleft())
            sleeping = [t for t in self.threads if t.wakes is not None]
            if not sleeping:
                return self.log
            self.now = min(t.wakes[0] for t in sleeping if t.wakes)
            for t in sorted(sleeping, key=lambda t: t.wakes or (0, 0)):
                if t.wakes is not None and t.wakes[0] <= self.now:
                    self.wake(t, "slept" if t.operations[t.at][0] == "sleep" else "timeout")

    def wake(self, t: Thread, outcome: Any) -> None:
        """Ends the wait of t."""
        for channel in self.channels:
            channel.waiting = [waiter for waiter in channel.waiting if waiter[0] is not t]
        t.wakes = None
        t.state = "runnable"
        t.outcome = outcome
        self.queue.append(t)

    def step(self, t: Thread) -> None:
        """Lets t run until it waits or ends."""
        if not t.started and t.cancelled:
            t.state = "done"
            return
        t.started = True
        while t.at < len(t.operations):
            outcome = t.outcome
            t.outcome = None
            if outcome is None:
                outcome = self.perform(t, t.operations[t.at])
                if outcome is None:
                    t.state = "parked"
                    return
            self.log.append((t.number, t.at, outcome))
            if outcome == "cancelled":
                break
            t.at += 1
        t.state = "done"

    def perform(self, t: Thread, operation: tuple[Any, ...]) -> Any:
        """What it comes to, None if t has to wait."""
        name = operation[0]
        if name == "cancel":
            return self.cancel(self.threads[operation[1] % len(self.threads)])
        if name == "close":
            return self.close(self.channels[operation[1]])
        if name == "try_send":
            channel = self.channels[operation[1]]
            return self.exchange(t, channel, 0, "send") if channel.ready("send") else "not sent"
        if t.cancelled:
            t.cancelled = False
            return "cancelled"
        if name == "sleep":
            self.arm(t, operation[1])
            return None
        if name == "select":
            _, cases, default, timeout = operation
        else:
            cases, default, timeout = ((name, operation[1]),), False, operation[2]
        return self.select(t, cases, default, timeout, single=name != "select")

    def select(self, t: Thread, cases: Any, default: bool, timeout: float | None, single: bool) -> Any:
        ready = [n for n, (kind, number) in enumerate(cases) if self.is_ready(kind, number)]
        if ready:
            chosen = ready[0] if single else self.choice(t, cases, ready)
            assert chosen in ready, f"case {chosen} of {cases} was chosen, but ready were {ready}"
            kind, number = cases[chosen]
            outcome = self.exchange(t, self.channels[number], chosen, kind)
            return outcome if single or outcome == "closed" else (chosen, outcome)
        if default:
            return (-1, None)
        for n, (kind, number) in enumerate(cases):
            if kind != "none":
                side = "send" if kind == "send" else "recv"
                self.channels[number].waiting.append((t, n, side, (t.number, t.at)))
        if timeout is not None:
            self.arm(t, timeout)
        return None

    def choice(self, t: Thread, cases: Any, ready: list[int]) -> int:
        """Which of the ready cases really happened: where it raised grt.Closed, one that does."""
        index = self.chosen.get((t.number, t.at))
        if index is not None:
            return index
        return next((n for n in ready if self.is_at_its_end(*cases[n])), ready[0])

    def is_at_its_end(self, kind: str, number: int) -> bool:
        channel = self.channels[number]
        return channel.closed and (kind == "send" or (kind == "recv" and not channel.items))

    def is_ready(self, kind: str, number: int) -> bool:
        return kind != "none" and self.channels[number].ready("send" if kind == "send" else "recv")

    def exchange(self, t: Thread, channel: Channel, case: int, kind: str) -> Any:
        """Does what is ready."""
        if kind == "send":
            if channel.closed:
                return "closed"
            receiver = channel.first("recv")
            if receiver is not None:
                self.give(receiver, (t.number, t.at))
            else:
                channel.items.append((t.number, t.at))
            return "sent"
        sender = channel.first("send")
        if channel.items:
            value = channel.items.popleft()
            if sender is not None:
                channel.items.append(sender[3])
                self.taken(sender)
        elif sender is not None:
            value = sender[3]
            self.taken(sender)
        else:
            return ("end",) if kind == "recv_ok" else "closed"
        return value

    def give(self, receiver: Any, value: Any) -> None:
        t, case = self.served(receiver, closing=False)
        self.wake(t, (case, value) if t.operations[t.at][0] == "select" else value)

    def taken(self, sender: Any) -> None:
        t, case = self.served(sender, closing=False)
        self.wake(t, (case, "sent") if t.operations[t.at][0] == "select" else "sent")

    def served(self, waiter: Any, closing: bool) -> tuple[Thread, int]:
        """Who waits there, and by which case: of several alike in one select it may be any."""
        t, case, side, _ = waiter
        operation = t.operations[t.at]
        if operation[0] != "select":
            return t, case
        alike = [
            n
            for n, (kind, number) in enumerate(operation[1])
            if kind != "none" and number == operation[1][case][1] and (kind == "send") == (side == "send")
        ]
        really = self.chosen.get((t.number, t.at))
        if really is not None:
            return t, really if really in alike else case
        raising = [n for n in alike if operation[1][n][0] != "recv_ok"]
        return t, raising[0] if closing and raising else case

    def close(self, channel: Channel) -> str:
        if channel.closed:
            return "closed"
        channel.closed = True
        for side in ("recv", "send"):
            while (waiter := channel.first(side)) is not None:
                self.tell_closed(waiter)
        return "closes"

    def tell_closed(self, waiter: Any) -> None:
        t, case = self.served(waiter, closing=True)
        operation = t.operations[t.at]
        kind = operation[1][case][0] if operation[0] == "select" else operation[0]
        end: Any = ("end",) if kind == "recv_ok" else "closed"
        self.wake(t, (case, end) if operation[0] == "select" and kind == "recv_ok" else end)

    def cancel(self, t: Thread) -> str:
        if t.state == "parked":
            self.wake(t, "cancelled")
        elif t.state != "done":
            t.cancelled = True
        return "cancels"

    def arm(self, t: Thread, seconds: float) -> None:
        self.armed += 1
        t.wakes = (self.now + seconds, self.armed)
