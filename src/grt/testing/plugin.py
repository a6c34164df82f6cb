"""The pytest plugin: tests that run as goroutines, under a deadline, and leave none behind.

    @pytest.mark.grt                      # timeout=seconds, 60 by default; bubble=True for virtual time
    def test_echo(): ...

With `grt_mode = auto` in pytest's configuration every test function is one; `grt_timeout` is another default. pytest
finds the plugin by itself where grt is installed, and nothing changes for tests that are not marked.
Rejected: a deadline in a bubble (its clock does not go by real time, and a deadlock ends it anyway).
"""

import inspect
from contextlib import nullcontext
from typing import Any

import pytest

import grt
from grt._core.procs import procs
from grt.debug.stack import report
from grt.testing.bubble import bubble

__all__ = ["pytest_addoption", "pytest_configure", "pytest_pyfunc_call"]

PATIENCE = 100  # turns that what a test has started gets to end in, once the test has


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("grt_mode", "auto: every test runs as a goroutine; strict: those marked grt", default="strict")
    parser.addini("grt_timeout", "seconds that a test which runs as a goroutine may take", default="60")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "grt(timeout=60, bubble=False): run the test as a goroutine that must end within timeout seconds and leave no "
        "goroutine behind; bubble=True runs it in grt.testing.bubble()",
    )
    if config.getini("grt_mode") not in ("auto", "strict"):
        raise pytest.UsageError(f"grt_mode is auto or strict, not {config.getini('grt_mode')!r}")
    try:
        float(config.getini("grt_timeout"))
    except ValueError:
        text = f"grt_timeout is a number of seconds, not {config.getini('grt_timeout')!r}"
        raise pytest.UsageError(text) from None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    mark = pyfuncitem.get_closest_marker("grt")
    if mark is None and pyfuncitem.config.getini("grt_mode") == "strict":
        return None
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        return None  # another plugin's
    seconds, in_bubble = options(mark, float(pyfuncitem.config.getini("grt_timeout")))
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    def test() -> None:
        with bubble() if in_bubble else nullcontext():
            pyfuncitem.obj(**arguments)

    before = living()
    g = grt.go(test)
    g.name = pyfuncitem.name
    try:
        try:
            g.join(None if in_bubble else seconds)
        except TimeoutError:
            stacks = dump(living() - before)
            pytest.fail(f"the test did not end within {seconds} s:\n\n{stacks}", pytrace=False)
        g.result()
        left = left_behind(before)
        if left:
            pytest.fail(f"the test left {len(left)} goroutines behind:\n\n{dump(left)}", pytrace=False)
    finally:
        end(living() - before)
    return True


def options(mark: Any, seconds: float) -> tuple[float, bool]:
    """What the mark asks for: the timeout, and whether to run in a bubble."""
    if mark is None:
        return seconds, False
    given = dict(mark.kwargs)
    seconds, in_bubble = given.pop("timeout", seconds), given.pop("bubble", False)
    if mark.args or given:
        raise pytest.UsageError(f"pytest.mark.grt takes timeout= and bubble=, not {(*mark.args, *given)}")
    return seconds, in_bubble


def living() -> set[grt.Goroutine]:
    """The goroutines of all threads that somebody has started."""
    return {g for proc in procs() for g in proc.living() if g is not proc.main}


def left_behind(before: set[grt.Goroutine]) -> set[grt.Goroutine]:
    """Those that were started since before and are not about to end by themselves."""
    left = living() - before
    for _ in range(PATIENCE):
        if not left:
            break
        grt.gosched()
        left = living() - before
    return left


def dump(goroutines: set[grt.Goroutine]) -> str:
    ids = {g.id for g in goroutines}
    return report(stack for stack in grt.debug.stacks() if stack.id in ids)


def end(goroutines: set[grt.Goroutine]) -> None:
    """Cancels them, so that the next test is alone; one that goes on all the same is left to itself."""
    for g in goroutines:
        g.cancel()
    for g in goroutines:
        try:
            g.join(1.0)
        except TimeoutError:
            pass
