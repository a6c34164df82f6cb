"""What the figures were measured on: without it they say nothing."""

import contextlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

from bench.environment import FREE, python_of

PACKAGES = ("grt", "greenlet", "gevent", "uvloop", "trio", "curio")


def describe():
    """Name and value of each thing that matters, in the order to print them."""
    found = {
        "CPU": cpu_model(),
        "cores in use": f"{len(os.sched_getaffinity(0))} (the server on one, the load generator on another)",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Python without a GIL": said_by_free("import platform; print('CPython', platform.python_version())"),
        "C compiler": first_line("cc", "--version"),
        "Go": first_line("go", "version").removeprefix("go version go"),
    }
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    found["tonio"] = said_by_free("from importlib.metadata import version; print(version('tonio'))")
    return {name: value for name, value in found.items() if value}


def cpu_model():
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def said_by_free(program):
    """What the Python without a GIL that was measured prints; "" if there was none."""
    return first_line(str(python_of(FREE)), "-c", program)


def first_line(*command):
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    return done.stdout.strip().partition("\n")[0]
