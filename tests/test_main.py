"""`python -m grt` from the command line."""

import subprocess
import sys

import grt


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "grt", *arguments], capture_output=True, text=True, timeout=60)


def test_version_tells_which_build_runs_on_which_python():
    said = run("--version").stdout
    assert said.startswith(f"grt {grt.__version__} ({'compiled' if grt.__compiled__ else 'pure Python'})")
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert said.endswith(f"Python {sys.version.split()[0]} ({'GIL' if has_gil else 'free-threaded'})\n")


def test_help_says_what_it_is():
    assert "goroutines" in run("--help").stdout


def test_an_unknown_option_is_named_and_fails():
    done = run("--wrong")
    assert done.returncode == 2 and "--wrong" in done.stderr
