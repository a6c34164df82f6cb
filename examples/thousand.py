"""The main job: demo2 serves a thousand TCP connections at once, and every byte that comes back is checked.

    python examples/thousand.py [--connections 1000] [--requests 200]

The server is a process of its own; this one is the client, with a goroutine for each connection. Each sends numbered
random payloads of varying sizes, one after the other. The exit status is 0 if all of them came back as they were sent.
"""

import argparse
import os
import random
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import grt

try:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
except ImportError:
    sys.exit("the progress bar needs rich: pip install rich")

DEMO2 = Path(__file__).with_name("demo2.py")
LARGEST = 14  # payloads have 8 to 2**14 random bytes, small ones as often as large ones
NOISE = os.urandom(1 << 20)  # what payloads are cut from
SPARE_FILES = 64  # descriptors that a process needs beside its connections
PATIENCE = 30.0  # seconds that a connection or an answer may take


class Tally:
    """What has come back so far."""

    def __init__(self) -> None:
        self.latencies: list[float] = []  # seconds, one for each answer
        self.megabytes = 0.0  # of the answers
        self.errors: Counter[str] = Counter()

    def results(self, goroutines: Iterable[grt.Goroutine]) -> list[grt.Conn]:
        """What the goroutines return, once all have ended; what they raise is counted."""
        found = []
        for g in goroutines:
            try:
                found.append(g.result())
            except Exception as error:
                self.errors[f"{type(error).__name__}: {error}"] += 1
        return found

    def summary(self, connections: int, seconds: float) -> str:
        ordered = sorted(self.latencies) or [0.0]
        p50, p99 = (1000 * ordered[len(ordered) * percent // 100] for percent in (50, 99))
        return (
            f"{connections:,} connections, {len(self.latencies):,} requests, {self.megabytes:,.0f} MB each way\n"
            f"throughput   {len(self.latencies) / seconds:,.0f} requests/s, {self.megabytes / seconds:,.0f} MB/s\n"
            f"latency      p50 {p50:.1f} ms, p99 {p99:.1f} ms\n"
            f"errors       {sum(self.errors.values())}"
        ) + "".join(f"\n  {count} x {error}" for error, count in self.errors.most_common(5))


def payload(number: int) -> bytes:
    size = int(2 ** random.uniform(3, LARGEST))
    start = random.randrange(len(NOISE) - size)
    return number.to_bytes(8, "big") + NOISE[start : start + size]


def exchange(conn: grt.Conn, requests: int, tally: Tally) -> None:
    """Sends the payloads over conn, one by one, and compares each with its echo."""
    with conn:
        for number in range(requests):
            sent = payload(number)
            began = perf_counter()
            with grt.timeout(PATIENCE):
                conn.write(sent)
                received = conn.read_exactly(len(sent))
            if received != sent:
                raise ValueError(f"request {number} came back changed")
            tally.latencies.append(perf_counter() - began)
            tally.megabytes += len(sent) / 1e6


@contextmanager
def serving() -> Iterator[str]:
    """demo2, once it accepts connections; in a session of its own, for Ctrl-C is this process's business."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen([sys.executable, DEMO2, address], start_new_session=True)
    try:
        while server.poll() is None:
            try:
                grt.dial("tcp", address).close()
                break
            except ConnectionRefusedError:
                grt.sleep(0.02)
        else:
            sys.exit("the server ended before it accepted a connection")
        yield address
    finally:
        server.terminate()
        server.wait()


def drive(address: str, connections: int, requests: int, tally: Tally, progress: Progress) -> float:
    """Opens all connections, then uses them all at once; returns how many seconds that took."""
    conns = tally.results([grt.go(grt.dial, "tcp", address, timeout=PATIENCE) for _ in range(connections)])
    bar = progress.add_task("echo", total=requests * len(conns), rate=0.0)
    began = then = perf_counter()
    before = 0
    clients = [grt.go(exchange, conn, requests, tally) for conn in conns]
    while not all(client.done for client in clients):
        grt.sleep(0.1)
        answers, now = len(tally.latencies), perf_counter()
        progress.update(bar, completed=answers, rate=(answers - before) / (now - then), refresh=True)
        before, then = answers, now
    progress.update(bar, rate=before / (then - began))
    tally.results(clients)
    return then - began


def main(connections: int, requests: int) -> None:
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < needed:  # a negative one is none
        sys.exit(f"a process may open only {hard} files here: try --connections {hard - SPARE_FILES}")
    if 0 <= soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))  # the server inherits it
    tally = Tally()
    columns = TextColumn("{task.percentage:3.0f} %"), BarColumn(), TextColumn("{task.fields[rate]:,.0f} requests/s")
    with serving() as address, Progress(*columns, TimeElapsedColumn(), auto_refresh=False) as progress:
        seconds = drive(address, connections, requests, tally, progress)
    print(tally.summary(connections, seconds))
    sys.exit(1 if tally.errors else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A thousand connections to demo2, every byte checked.")
    parser.add_argument("--connections", type=int, default=1000, help="open at once (default 1000)")
    parser.add_argument("--requests", type=int, default=200, help="over each connection (default 200)")
    options = parser.parse_args()
    if options.connections < 1 or options.requests < 1:
        parser.error("at least one connection and one request are needed")
    try:
        # In one thread, for all write to one tally; the server has the other core.
        grt.run(main, options.connections, options.requests, procs=1)
    except KeyboardInterrupt:
        sys.exit("stopped")
