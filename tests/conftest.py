"""What every test runs under: a known build of grt, and no descriptor left behind. (More is in pyproject.toml.)"""

import gc
import os
from pathlib import Path

import pytest

import grt

BUILD = "compiled" if grt.__compiled__ else "pure"
DESCRIPTORS = Path("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd")


def pytest_configure(config):
    expected = os.environ.get("GRT_EXPECT_BUILD", BUILD)
    if expected != BUILD:
        raise pytest.UsageError(f"the tests were to run on the {expected} build, but this is the {BUILD} one")
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
        assert len(os.listdir(DESCRIPTORS)) == before, "descriptors were left open"
