"""What must hold of channel programs whichever thread does what when: nothing is lost, doubled, or out of order.

The programs are those of `reference`; times are thousandths of seconds. Several threads give no order to compare with
the reference model's, but these promises:
- a value is received at most once, and only if its send said so; one that was sent and not received is in a buffer;
- of one sender's values on one channel a receiver gets the earlier ones first;
- every operation ends.
"""

from typing import Any

import grt
from tests.model.test_model import in_words

MILLISECOND = 0.001
Sent = tuple[int, int]  # (goroutine, its operation)


class Run:
    """One run of a program: what was sent and received on each channel."""

    def __init__(self, capacities: list[int], program: list[list[Any]]) -> None:
        self.chans = [grt.chan(capacity) for capacity in capacities]
        self.program = program
        self.sent: list[set[Sent]] = [set() for _ in capacities]
        self.received: list[list[tuple[int, Sent]]] = [[] for _ in capacities]  # (by whom, the value), as they came
        self.goroutines: list[grt.Goroutine] = []
        self.begin = grt.chan()  # closed once they are all known

    def do(self) -> None:
        """Runs it, and checks what came of it."""
        self.goroutines = [grt.go(self.live, number) for number in range(len(self.program))]
        self.begin.close()
        for g in self.goroutines:
            while self.waits(g):
                g.cancel()
        self.check()

    def waits(self, g: grt.Goroutine) -> bool:
        try:
            g.join(timeout=20 * MILLISECOND)
            return False
        except TimeoutError:
            return True

    def live(self, number: int) -> None:
        self.begin.recv_ok()
        for at, operation in enumerate(self.program[number]):
            try:
                self.perform(number, at, operation)
            except (grt.Closed, TimeoutError):
                pass
            except grt.Cancelled:
                return

    def perform(self, number: int, at: int, operation: tuple[Any, ...]) -> None:
        name = operation[0]
        if name == "cancel":
            self.goroutines[operation[1] % len(self.goroutines)].cancel()
        elif name == "close":
            self.chans[operation[1]].close()
        elif name == "sleep":
            grt.sleep(operation[1] * MILLISECOND)
        elif name == "select":
            self.select(number, at, *operation[1:])
        elif name == "try_send":
            if self.chans[operation[1]].try_send((number, at)):
                self.sent[operation[1]].add((number, at))
        else:
            channel, timeout = operation[1], None if operation[2] is None else operation[2] * MILLISECOND
            if name == "send":
                self.chans[channel].send((number, at), timeout=timeout)
                self.sent[channel].add((number, at))
            else:
                self.note(number, channel, in_words(name, getattr(self.chans[channel], name)(timeout=timeout)))

    def select(self, number: int, at: int, wanted: Any, default: bool, timeout: int | None) -> None:
        cases: list[Any] = []
        for kind, channel in wanted:
            c = self.chans[channel]
            cases.append(None if kind == "none" else (c.send, (number, at)) if kind == "send" else getattr(c, kind))
        index, value = grt.select(*cases, default=default, timeout=None if timeout is None else timeout * MILLISECOND)
        if index < 0:
            return
        kind, channel = wanted[index]
        if kind == "send":
            self.sent[channel].add((number, at))
        else:
            self.note(number, channel, in_words(kind, value))

    def note(self, number: int, channel: int, value: Any) -> None:
        if value != ("end",):
            self.received[channel].append((number, value))

    def check(self) -> None:
        for number, c in enumerate(self.chans):
            left = []
            while len(c):
                left.append(c.recv())
            received = [value for _, value in self.received[number]]
            assert len(received) + len(left) == len(set(received + left)), "a value came twice"
            assert set(received + left) == self.sent[number], "what was sent is not what came"
            for reader in range(len(self.program)):
                own = [value for who, value in self.received[number] if who == reader]
                for sender in range(len(self.program)):
                    order = [at for who, at in own if who == sender]
                    assert order == sorted(order), "a sender's values came out of order"
