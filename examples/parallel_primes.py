"""Counts the primes below a limit on all cores, with a progress bar.

    python examples/parallel_primes.py [LIMIT] [VMS]

The numbers are divided into pieces, and a pool of VMs shares these.
"""

import argparse
import contextlib
import time

from rich.progress import track

import grt

PIECE = 20_000  # numbers


def count_primes(first: int, last: int) -> int:
    """How many primes there are from first to last - 1."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(max(first, 2), last))


def main(limit: int, vms: int | None) -> None:
    began, found = time.monotonic(), 0
    with grt.vm.Pool(vms) as pool:
        firsts = range(0, limit, PIECE)
        counts = pool.map(count_primes, firsts, (min(first + PIECE, limit) for first in firsts))
        for count in track(counts, f"primes below {limit:,}", len(firsts)):
            found += count
        print(f"{found:,} primes, counted by {pool.size} VMs in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Counts the primes below a limit on all cores.")
    parser.add_argument("limit", type=int, nargs="?", default=1_000_000, help="(default 1,000,000)")
    parser.add_argument("vms", type=int, nargs="?", help="(default: one for each core)")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        grt.run(main, options.limit, options.vms)
