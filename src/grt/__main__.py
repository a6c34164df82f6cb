"""`python -m grt`: the REPL; with --version, which grt this is."""

import argparse
import sys

import grt
from grt.repl import interact


def version() -> str:
    """One line that says which grt, which build of it, and on which Python."""
    build = "compiled" if grt.__compiled__ else "pure Python"
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return f"grt {grt.__version__} ({build}), Python {sys.version.split()[0]} ({'GIL' if has_gil else 'free-threaded'})"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m grt",
        description="A Python prompt beside which goroutines and callbacks go on running. "
        "A program on standard input is run.",
    )
    parser.add_argument("--version", action="version", version=version())
    parser.parse_args()
    interact(version())


if __name__ == "__main__":
    main()
