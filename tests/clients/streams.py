"""Streams of bytes that no client would send, for the examples' parsers.

    GRT_FAULTS=10000 pytest tests/clients      200 000 streams into each, and 1 GiB through the forwarder

They go through a pipe in memory: every byte passes the parser, and none the kernel.
"""

import os
import random
import time
from collections.abc import Callable, Iterable

import grt
from tests.goroutines import living

WHOLE = bool(os.environ.get("GRT_FAULTS"))
PATIENCE = 60

__all__ = ["WHOLE", "feed", "junk_of"]


def junk_of(words: list[bytes], rng: random.Random, most: int = 40, noise: float = 0.3) -> bytes:
    """Bytes that look like a protocol often enough to get somewhere in it: words of it in any order, or noise."""
    if rng.random() < noise:
        return rng.randbytes(rng.randrange(200))
    return b"".join(rng.choices(words, k=rng.randrange(most)))


def feed(serve: Callable[[grt.Conn], object], junk: Callable[[random.Random], bytes], slice_of: int) -> None:
    """Has serve(conn) read many streams, a connection each: each time it must end, and leave no goroutine."""
    rng = random.Random(int(os.environ.get("GRT_SEED", "1")))
    alive = len(living())
    for number in numbers(slice_of):
        near, far = grt.pipe()
        said = junk(rng)
        serving = grt.go(serve, far)
        with near, far:
            try:
                near.write(said)
                near.close_write()
                for _ in near:
                    pass
            except (ConnectionError, grt.Closed):  # it has hung up before it had heard it all
                pass
            try:
                serving.result(PATIENCE)
            except BaseException as error:
                raise AssertionError(f"stream {number}: {said!r}") from error
    deadline = time.monotonic() + PATIENCE
    while len(living()) > alive:  # what a handler has started may end behind it
        assert time.monotonic() < deadline, f"{len(living()) - alive} goroutines are left"
        grt.sleep(0.001)


def numbers(slice_of: int) -> Iterable[int]:
    return range(200_000 if WHOLE else slice_of)
