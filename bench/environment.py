"""The virtual environment of the benchmarks, made when it is missing.

The runner moves into it, so that what is measured does not depend on what the caller has installed.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
WORK = Path(__file__).parent / ".work"  # everything that is built; git ignores it
COMPILED = WORK / "venv"  # holds the runner, the peers and the compiled grt
PURE = WORK / "pure"  # holds nothing but grt's pure build
FREE = WORK / "free-threaded"  # the compiled build, on an interpreter without a GIL
FREE_THREADED = "GRT_BENCH_FREE_THREADED"  # names that interpreter in the environment
ENTERED = "GRT_BENCH_ENTERED"


def enter(arguments):
    """Goes on in the environment: does not return until the process runs inside it."""
    if os.environ.pop(ENTERED, None):
        return
    make(COMPILED)
    install_requirements()
    os.environ[ENTERED] = "1"
    os.environ.pop("PYTHONPATH", None)
    os.chdir(ROOT)
    python = str(python_of(COMPILED))
    os.execv(python, [python, "-m", "bench", *arguments])


def python_of(folder):
    return folder / "bin" / "python"


def make(folder, python=sys.executable):
    if not python_of(folder).exists():
        print(f"making {folder.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([python, "-m", "venv", folder], check=True, timeout=300)


def pip(folder, *arguments, env=None):
    """Runs pip in that environment; gives None, or the last line of why it failed."""
    command = [python_of(folder), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, env=env, check=False, timeout=900, **streams)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.splitlines()]
    reasons = [line for line in lines if "rror:" in line and not line.startswith(("note:", "error:", "ERROR:"))]
    return (reasons or lines or ["pip failed"])[-1]


def install_requirements():
    """All at once, or, when that fails, one by one, so that one peer's trouble leaves out only that peer."""
    wanted, stamp = REQUIREMENTS.read_text(), COMPILED / "requirements.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("installing the peers", file=sys.stderr)
    if pip(COMPILED, "install", "-r", str(REQUIREMENTS)) is None:
        stamp.write_text(wanted)
        return
    for line in wanted.splitlines():
        if line and not line.startswith("#") and (reason := pip(COMPILED, "install", line)):
            print(f"left out: {line}: {reason}", file=sys.stderr)
