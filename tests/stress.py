"""The long stress of several threads: `make stress`, or python -m tests.stress --seconds 600 --procs 4.

Random work of every kind at once, in one program, its goroutines in several threads: channel programs, connections
that third parties close, storms of starts and cancellations, locks, timers, groups. It ends by itself, with status 1
and the reason if a promise is broken; where something hangs every stack is printed. The seed it prints repeats the
choices, though not the threads' timing.
"""

import argparse
import contextlib
import faulthandler
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import grt
import grt.sync
from tests.model.conservation import Run

KINDS = ["send", "recv", "recv_ok"]
HANGS = 60  # seconds for one piece of work before that is called a hang


def channels(chance: random.Random) -> None:
    def operation() -> tuple[Any, ...]:
        c, timeout = chance.randrange(3), chance.choice([None, 1, 2])
        case = [(chance.choice([*KINDS, "none"]), chance.randrange(3)) for _ in range(chance.randrange(4))]
        return chance.choice(
            [
                (chance.choice(KINDS), c, timeout),
                (chance.choice(KINDS), c, timeout),
                ("select", tuple(case), chance.random() < 0.2, timeout),
                ("try_send", c),
                ("close", c) if chance.random() < 0.2 else ("sleep", 1),
                ("cancel", chance.randrange(5)) if chance.random() < 0.2 else ("sleep", 0),
            ]
        )

    program = [[operation() for _ in range(chance.randrange(1, 20))] for _ in range(chance.randrange(2, 8))]
    Run([chance.randrange(3) for _ in range(3)], program).do()


def connections(chance: random.Random) -> None:
    """Echoes, some of which are cut off by a goroutine that has nothing to do with them."""

    def serve(conn: grt.Conn) -> None:
        with conn, contextlib.suppress(grt.Closed, ConnectionError):
            for data in conn:
                conn.write(data)

    def talk(conn: grt.Conn, size: int) -> None:
        with conn, contextlib.suppress(grt.Closed, ConnectionError):
            for n in range(20):
                message = bytes([n]) * size
                conn.write(message)
                answer = conn.read_exactly(size)
                assert answer == message, "other bytes came back"

    def cut(conns: list[grt.Conn]) -> None:
        for conn in conns:
            grt.sleep(0.001)
            conn.close()

    def accept(listener: grt.Listener, g: grt.Group) -> None:
        with contextlib.suppress(grt.Closed):
            for conn in listener:
                g.go(serve, conn)

    with grt.group() as g, grt.listen("tcp", "127.0.0.1:0") as listener:
        g.go(accept, listener, g)
        conns = [grt.dial("tcp", listener.addr) for _ in range(10)]
        with grt.group() as clients:
            for conn in conns:
                clients.go(talk, conn, chance.choice([1, 100, 100_000]))
            clients.go(cut, chance.sample(conns, 3))


def starts(chance: random.Random) -> None:
    """Storms of starts; half are cancelled, before or after they have moved or begun; all are joined by others."""
    gs = [grt.go(grt.sleep, chance.choice([0, 0.001, 10])) for _ in range(200)]
    for g in gs:
        if chance.random() < 0.5:
            g.cancel()
    joiners = [grt.go(g.join) for g in gs if chance.random() < 0.5]
    for g in gs:
        g.cancel()
    for g in [*gs, *joiners]:
        g.join()
        assert g.done


def locks(chance: random.Random) -> None:
    mutex, count = grt.sync.Mutex(), Counter[str]()

    def enter() -> None:
        for _ in range(50):
            with mutex:
                count["inside"] += 1
                assert count["inside"] == 1, "two are inside a Mutex"
                if chance.random() < 0.3:
                    grt.gosched()
                count["inside"] -= 1
                count["times"] += 1

    with grt.group() as g:
        for _ in range(6):
            g.go(enter)
    assert count["times"] == 300


def timers(chance: random.Random) -> None:
    def wait(seconds: float) -> None:
        began = time.monotonic()
        try:
            with grt.timeout(seconds):
                grt.select(grt.after(seconds / 2).recv, grt.chan().recv)
                grt.chan().recv()
        except TimeoutError:
            pass
        assert time.monotonic() - began >= seconds * 0.99, "a timer fired early"

    with grt.group() as g:
        for _ in range(50):
            g.go(wait, chance.random() / 100)


class OnPurpose(Exception):
    """Raised by some children of groups."""


def report(uncaught: grt.Uncaught) -> None:
    """What else the children of a group raised that is ended from outside is nobody's."""
    if not isinstance(uncaught.error, OnPurpose) and not hasattr(uncaught.error, "exceptions"):
        grt.goroutine.excepthook(uncaught)


def groups(chance: random.Random) -> None:
    def work(depth: int) -> None:
        if depth == 0:
            grt.sleep(chance.random() / 1000)
            if chance.random() < 0.1:
                raise OnPurpose
            return
        with grt.group(limit=3) as g:
            for _ in range(4):
                g.go(work, depth - 1)

    try:
        work(3)
    except OnPurpose:
        pass
    except Exception as error:  # several, in an ExceptionGroup
        if not hasattr(error, "split") or error.split(OnPurpose)[1] is not None:
            raise


WORK: list[Callable[[random.Random], None]] = [channels, connections, starts, locks, timers, groups]


def stress(seconds: float, seed: int) -> "Counter[str]":
    """Does all of WORK, three at a time, for so long; returns how often each was done."""
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    chance = random.Random(seed)

    def keep_on(chance: random.Random) -> None:
        while time.monotonic() < end:
            work = chance.choice(WORK)
            with grt.timeout(HANGS):
                work(chance)
            done[work.__name__] += 1

    with grt.group() as g:
        for _ in range(3):
            g.go(keep_on, random.Random(chance.random()))
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description="Works goroutines hard, in several threads.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--procs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    print(f"{options.seconds:g} s with {options.procs} procs, --seed {options.seed}", flush=True)
    faulthandler.dump_traceback_later(options.seconds + 2 * HANGS, exit=True)
    grt.debug.stall_watch(None)
    grt.excepthook = report
    try:
        done = grt.run(stress, options.seconds, options.seed, procs=options.procs)
    except BaseException:
        grt.debug.dump()
        raise
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())), f"({threading.active_count()} threads)")
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    main()
