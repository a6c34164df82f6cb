"""What grt promises, as a table: how far ahead of a peer it must be, how far behind one it may be, or a limit."""

from dataclasses import dataclass

from bench.measure import PIPELINES, echo_figure, redis_figure

KB = 1024
ECHO = echo_figure(64, 100, "rate")
REDIS = {
    f"{name} × {pipeline}": redis_figure(name, pipeline, "rate") for pipeline in PIPELINES for name in ("set", "get")
}


@dataclass(frozen=True)
class Target:
    promise: str
    figure: str
    bound: float
    peer: str | None = None  # who must be beaten by a factor of `bound`; None: the figure may be `bound` at most
    ahead: str | None = None  # instead: who may be ahead by a factor of `bound`, and no more
    contender: str = "grt"
    unit: str = ""
    scale: float = 1  # the figure's own unit in `unit`
    least: bool = False  # without a peer: the figure must be `bound` at least

    def reached(self, results):
        """What was measured, in the terms of the bound; None when it was not."""
        if self.peer:
            return results.advantage(self.figure, self.peer, of=self.contender)
        if self.ahead:
            return results.advantage(self.figure, self.contender, of=self.ahead)
        value = results.median(self.figure, self.contender)
        return None if value is None else value / self.scale

    def passes(self, value):
        return value >= self.bound if self.peer or self.least else value <= self.bound

    def must_be(self):
        rival = self.peer or self.ahead
        return f"{'≥' if self.peer or self.least else '≤'} {self.bound:g} {f'× {rival}' if rival else self.unit}"

    def counted_in(self):
        """What the bound, and what was measured, counts."""
        return "×" if self.peer or self.ahead else self.unit


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
    Target("a buffered channel, one item through", "channel", 130, unit="ns"),
    Target("… against gevent's Queue", "channel", 1.5, "gevent"),
    Target("… against asyncio.Queue", "channel", 6, "asyncio"),
    Target("an unbuffered channel, one item through", "rendezvous", 400, unit="ns"),
    Target("… against gevent's Channel", "rendezvous", 5, "gevent"),
    Target("… against trio's memory channel", "rendezvous", 20, "trio"),
    Target("select over two channels, one item through", "select", 900, unit="ns"),
    Target("lock and unlock a Mutex", "mutex", 120, unit="ns"),
    Target("set and stop a timer, 100 000 pending", "timer", 1, unit="µs", scale=1000),
    Target("a ring of 10 000 goroutines", "ring", 4, ahead="Go"),
    Target("… against gevent", "ring", 5, "gevent"),
    *(Target(f"Redis in Python, {what}, against gevent", figure, 2, "gevent") for what, figure in REDIS.items()),
    *(Target(f"… {what}, against asyncio", figure, 2, "asyncio stream") for what, figure in REDIS.items()),
    *(Target(f"… {what}, against Redis itself", REDIS[what], 0.6, "Redis itself") for what in ("set × 1", "get × 1")),
    Target("TLS echo, 1 KiB × 100 connections, against gevent", "tls/rate", 1.5, "gevent"),
    Target("… as uvloop", "tls/rate", 1.0, "uvloop protocol"),
    Target("bulk transfer, writes of 64 KiB, near Go", "bulk/mb", 0.9, "Go"),
    Target("100 connections beside 10 000 idle ones with deadlines: slower by", "crowd", 1.1, unit="times"),
    Target("goroutines that compute, 2 Procs without a GIL", "procs/rate", 1.7, "1 Proc", contender="2 Procs"),
    Target("echo by 2 threads without a GIL, requests for each CPU-second", "cores/cpu", 1.2, "tonio"),
    Target("CPU-bound work, a pool of 2 VMs", "vm/compute/rate", 1.8, "1 VM", contender="2 VMs"),
    Target("messages of 64 B between VMs, against multiprocessing.Queue", "vm/oneway/rate", 5, "multiprocessing.Queue"),
    Target("… against multiprocessing.Pipe", "vm/oneway/rate", 2, "multiprocessing.Pipe"),
    Target("… there and back", "vm/roundtrip/rate", 1, "multiprocessing.Pipe"),
    Target("buffers of 64 MiB between VMs", "vm/buffer/rate", 1.5, unit="GB/s", scale=1e9, least=True),
)
