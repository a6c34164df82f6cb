"""Programs that tests run in a process of their own: signals, exits and limits are a whole process's business."""

import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Sequence

PATIENCE = 60  # seconds that a child may take; none should need one
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")  # hypothesis: 1 s


children: "weakref.WeakSet[subprocess.Popen[str]]" = weakref.WeakSet()  # for whoever gives a test up


def spawn(
    program: str,
    pass_fds: Sequence[int] = (),
    stdin: int | None = None,
    under: Sequence[str] = (),
    **environ: str,
) -> "subprocess.Popen[str]":
    """Starts program, which should print "ready" when the test may go on. A busy machine is no stall of its.

    under is the command that starts it, if it is not to be started directly.
    """
    command = [*under, sys.executable, "-c", textwrap.dedent(program)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error", "GRT_STALL": "0", **environ}
    child = subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
    )
    children.add(child)
    return child


def finish(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Waits for the child's end: its exit status, output and error output."""
    with child:
        try:
            out, err = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
    return child.returncode, out, err


def run_program(program: str, **environ: str) -> tuple[int, str, str]:
    return finish(spawn(program, (), None, **environ))


def read_line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline()


def tell(child: "subprocess.Popen[str]", text: str) -> None:
    assert child.stdin is not None
    child.stdin.write(text)
    child.stdin.flush()


def wait_ready(child: "subprocess.Popen[str]") -> None:
    assert read_line(child) == "ready\n"


def child_processes() -> set[int]:
    """The processes that this one has started and not waited for, where the system tells."""
    found = set()
    for entry in os.listdir("/proc") if os.path.exists("/proc/self/stat") else ():
        try:
            with open(f"/proc/{int(entry)}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except (ValueError, OSError):  # not a process, or gone meanwhile
            continue
        if parent == os.getpid():
            found.add(int(entry))
    return found
