"""`python -m grt`: the REPL; with --version, which grt this is."""

import argparse
import sys

import grt
from grt.repl import interact

__all__ = ["main"]


def described() -> str:
    """One line that says which grt, which build of it, and on which Python."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    build = "compiled" if grt.__compiled__ else "pure Python"
    return f"grt {grt.__version__} ({build}), Python {sys.version.split()[0]} ({'GIL' if has_gil else 'no GIL'})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m grt", description="A Python prompt beside which goroutines and callbacks go on running."
    )
    parser.add_argument("--version", action="version", version=described())
    parser.parse_args(arguments)
    interact()


if __name__ == "__main__":
    main()
