"""A short slice of the long stress (tests/stress.py), in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

SECONDS = os.environ.get("GRT_STRESS", "2")
ROOT = Path(__file__).parents[1]


def test_goroutines_of_several_threads_keep_their_promises_under_stress():
    command = [sys.executable, "-m", "tests.stress", "--seconds", SECONDS, "--procs", "3"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100 + float(SECONDS))
    assert ended.returncode == 0, ended.stdout + ended.stderr
