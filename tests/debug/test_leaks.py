"""What is still there when the program ends."""

import os
from unittest import mock

import pytest

from tests.child import run_program

LEAK = """
import grt
def wait():
    grt.sleep(60)
"""
HEAD = "grt: 1 goroutines are still alive"


def said(program, **environment):
    with mock.patch.dict(os.environ, environment):
        status, _, err = run_program(f"{LEAK}{program}")
    assert status == 0, err
    return err


def test_run_reports_the_goroutines_that_it_cancels():
    err = said("grt.debug.report_leaks(); grt.run(lambda: [grt.go(wait), grt.gosched()])")
    assert err.startswith(
        f"{HEAD} at the end of grt.run, which cancels them:\n  <Goroutine 2 wait parked>, started at <"
    )
    assert err.count("\n") == 2


def test_the_exit_reports_goroutines_outside_of_run():
    err = said("grt.debug.report_leaks(); grt.go(wait); grt.gosched()")
    assert err.startswith(f"{HEAD}:\n  <Goroutine 2 wait parked>, started at <string>:")


def test_the_exit_reports_connections_that_are_open():
    err = said("""
import warnings
warnings.simplefilter("ignore")  # Python's own report of them
grt.debug.report_leaks()
listener = grt.listen("tcp", "127.0.0.1:0")
""")
    assert "grt: 1 connections or listeners were not closed:\n  <grt.Listener tcp 127.0.0.1:" in err


def test_the_environment_asks_for_it_too():
    assert HEAD in said("grt.go(wait)", GRT_DEBUG="leaks")


@pytest.mark.parametrize("ask", ["", "grt.debug.report_leaks(); grt.debug.report_leaks(False)"])
def test_nothing_is_reported_unasked(ask):
    assert said(f"{ask}\ngrt.go(wait)\ngrt.run(lambda: grt.go(wait))") == ""


def test_a_program_that_leaves_nothing_prints_nothing():
    program = """
grt.debug.report_leaks()
def main():
    grt.go(max, 1, 2).join()
    with grt.listen("tcp", "127.0.0.1:0"):
        pass
grt.run(main)
"""
    assert said(program) == ""
