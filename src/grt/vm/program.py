"""Program files run as VMs of their own, with arguments that can be channels."""

import os
import runpy
import sys
from typing import Any

from grt._core.go import go
from grt._core.goroutine import Goroutine
from grt.vm.errors import RemoteError
from grt.vm.machine import VM

__all__ = ["args", "task"]

args: list[Any] = []  # what this program was given by `task`


def task(path: "str | os.PathLike[str]", *args: Any) -> Goroutine:
    """Runs a program file in a VM of its own, and returns what stands for it: `result` waits for its end.

    The program finds args in `grt.vm.args`; its `__name__` is "__main__". What it raises, `result` raises; if it ends
    by sys.exit with a status that is not 0, that is a RemoteError.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(2, "there is no such program", path)
    return go(run_alone, os.path.abspath(path), args)


def run_alone(path: str, args: "tuple[Any, ...]") -> None:
    with VM() as vm:
        vm.go(run_file, path, args).result()


def run_file(path: str, arguments: "tuple[Any, ...]") -> None:
    """What the VM does."""
    args[:] = arguments
    sys.argv = [path]
    sys.path.insert(0, os.path.dirname(path))
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:  # the program's own: it ends no other
        if end.code not in (None, 0):
            raise RemoteError(f"{path} has ended by sys.exit({end.code!r})") from None
