"""What grt promises, as a table: a ratio it must reach against a peer, or a limit it must stay under."""

from dataclasses import dataclass

from bench.measure import echo_figure

KB = 1024
ECHO = echo_figure(64, 100, "rate")


@dataclass(frozen=True)
class Target:
    promise: str
    figure: str
    bound: float
    peer: str | None = None  # None: `bound` is the most the figure itself may be
    contender: str = "grt"
    unit: str = ""
    scale: float = 1  # the figure's own unit in `unit`

    def reached(self, results):
        """What was measured, in the terms of the bound; None when it was not."""
        if self.peer:
            return results.advantage(self.figure, self.peer, of=self.contender)
        value = results.median(self.figure, self.contender)
        return None if value is None else value / self.scale

    def passes(self, value):
        return value >= self.bound if self.peer else value <= self.bound


TARGETS = (
    Target("echo, 64 B × 100 connections, as Go", ECHO, 1.0, "Go"),
    Target("… twice gevent", ECHO, 2.0, "gevent"),
    Target("… as a uvloop protocol", ECHO, 1.0, "uvloop protocol"),
    Target("… near bare epoll in C", ECHO, 0.92, "epoll in C"),
    Target("the pure build as gevent", ECHO, 1.0, "gevent", contender="grt pure"),
    Target("start, run and end a goroutine, as Go", "spawn", 1.0, "Go"),
    Target("… against gevent", "spawn", 50, "gevent"),
    Target("yield, against gevent", "yield", 5, "gevent"),
    Target("a fresh greenlet (start one that waits)", "fresh", 1.5, unit="µs", scale=1000),
    Target("a blocked goroutine", "blocked", 6.5, unit="KB", scale=KB),
    Target("one of 10 000 idle connections", "idle", 8, unit="KB", scale=KB),
)
