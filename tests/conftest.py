"""What every test runs under: a known build of grt, no descriptor left behind, a time limit. (And pyproject.toml.)"""

import faulthandler
import gc
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from greenlet import greenlet

import grt
from grt import parallel
from tests.child import children

BUILD = "compiled" if grt.__compiled__ else "pure"
DESCRIPTORS = Path("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd")


def pytest_configure(config):
    expected = os.environ.get("GRT_EXPECT_BUILD", BUILD)
    if expected != BUILD:
        raise pytest.UsageError(f"the tests were to run on the {expected} build, but this is the {BUILD} one")
    grt.debug.stall_watch(None)  # a busy machine is no stall of a test
    if Path(grt.__file__).is_relative_to(config.rootpath / "src"):
        raise pytest.UsageError(
            "the tests run on the installed package, but this is src/: a stale extension could hide there"
        )


def pytest_report_header():
    return f"grt: {grt.__version__}, {BUILD}, from {Path(grt.__file__).parent}"


@pytest.fixture(autouse=True)
def no_leaks():
    """Each test gives back the descriptors that it opened."""
    grt.current()  # the thread's own loop has some, from its first use on
    before = len(os.listdir(DESCRIPTORS))
    yield
    if len(os.listdir(DESCRIPTORS)) > before:
        gc.collect()
        for thread in threading.enumerate():
            if thread.name == "grt relief":  # of VMs that have ended: it is on its way out, with descriptors of its own
                thread.join(10)
        deadline = time.monotonic() + 1  # they go when it is no thread of Python's any more
        while len(os.listdir(DESCRIPTORS)) > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(os.listdir(DESCRIPTORS)) == before, f"descriptors were left open, among {open_files()}"


def open_files():
    return [os.readlink(path) for path in DESCRIPTORS.iterdir() if path.is_symlink()]


@pytest.fixture(autouse=True)
def no_children():
    """A test that fails leaves no program behind that it has started."""
    before = set(children)
    yield
    for child in set(children) - before:
        if child.poll() is None:
            with child:
                child.kill()


@pytest.fixture(scope="session")
def fork_server():
    """Started before any test counts descriptors: the server that forks VMs stays until the end."""
    grt.vm.VM().close()


@pytest.fixture
def two_procs():
    """The test's goroutines are shared by two threads; afterwards by one, whose end is waited for."""
    proc: Any = grt.current().proc
    assert grt.procs(2) == 1
    yield
    parallel.settle_down(proc, 1, True)
    assert grt.procs() == 1


def pytest_timeout_set_timer(item, settings):
    """In the place of pytest-timeout's own timer, whose stacks are the threads' only: goroutines wait on theirs."""
    item.limit = threading.Timer(settings.timeout, give_up, [item, settings.timeout])
    item.limit.daemon = True
    item.limit.start()
    return True


def pytest_timeout_cancel_timer(item):
    if hasattr(item, "limit"):  # not when a file could not be collected
        item.limit.cancel()
    return True


def give_up(item, seconds):
    item.config.pluginmanager.getplugin("capturemanager").suspend_global_capture(in_=True)
    print(f"\n{item.nodeid} did not end within {seconds} s. Every thread's stack:", file=sys.stderr)
    faulthandler.dump_traceback()
    for waiting in gc.get_objects():
        if isinstance(waiting, greenlet) and waiting.gr_frame is not None:
            print("The stack of a goroutine that waits:", file=sys.stderr)
            traceback.print_stack(waiting.gr_frame)
    for child in list(children):
        child.kill()
    os._exit(1)
