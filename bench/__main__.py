"""The command line: python3 -m bench [--quick] [--rounds N] [--seconds S] [--only NAMES] [--jobs NAMES] [--out DIR]

Only the standard library is imported until the process has moved into its own virtual environment.
"""

import argparse
import signal
import sys
from pathlib import Path

from bench import environment

JOBS = ("echo", "micro", "idle", "redis", "tls", "bulk", "crowd", "procs", "cores", "vm")


def words(text):
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python3 -m bench", description="grt beside its peers")
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all contenders (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one echo measurement (default 2)")
    parser.add_argument("--quick", action="store_true", help="one round, half a second, 100 connections only")
    parser.add_argument("--only", type=words, default=(), help="contenders whose names begin so: grt,go,gevent")
    parser.add_argument("--jobs", type=words, default=JOBS, help="of " + ",".join(JOBS))
    parser.add_argument("--out", type=Path, help="where to write (docs/; a partial run: bench/.work/)")
    options = parser.parse_args(arguments)
    if unknown := set(options.jobs) - set(JOBS):
        parser.error(f"no such job: {', '.join(sorted(unknown))}")
    if options.quick:
        options.rounds, options.seconds = 1, 0.5
    if options.out is None:
        partial = options.quick or options.only or options.jobs != JOBS
        options.out = environment.WORK if partial else environment.ROOT / "docs"
    return options


def main(arguments):
    options = parse(arguments)
    if not sys.platform.startswith("linux"):
        sys.exit("The benchmarks need Linux: they pin processes to cores and read /proc.")
    environment.enter(arguments)
    from bench import run  # needs the packages of that environment

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, which ends the children
    run.run(options)


main(sys.argv[1:])
