"""Goroutines that keep their thread are reported; whatever else takes time is not."""

import threading

import pytest

import grt
from grt.debug.stall import is_person, stall_watch
from tests.child import finish, run_program, spawn

KEEP = """
import grt, logging, time
class Count(logging.StreamHandler):
    reports = 0
    def emit(self, record):
        super().emit(record)
        Count.reports += 1
logging.getLogger("grt").addHandler(Count())
def crunch(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
def stall():
    "Keeps the thread until that is reported, and then for as long again as it took at least."
    end = time.monotonic() + 60
    before = Count.reports
    while Count.reports == before and time.monotonic() < end:
        pass
    crunch(0.3)
"""


def reported(program, after="0.1"):
    status, out, err = run_program(f"{KEEP}{program}", GRT_STALL=after)
    assert status == 0, err
    return out, err


@pytest.mark.parametrize("keep", ["stall", "time.sleep, 2"])
def test_a_goroutine_that_keeps_its_thread_is_reported_with_its_stack(keep):
    _, err = reported(f"grt.go({keep}).join()")
    assert err.count("has kept MainThread for") == 1
    assert "Goroutine 2 (" in err and "started at <string>:" in err
    assert "grt.blocking(fn, *args)" in err and "grt.gosched()" in err


def test_the_report_shows_where_it_is():
    _, err = reported("grt.go(stall).join()")
    assert "in stall" in err


def test_each_stall_is_reported_once():
    _, err = reported("g = [grt.go(stall), grt.go(stall)]; [x.join() for x in g]")
    assert err.count("has kept") == 2


def test_the_main_goroutine_that_keeps_others_from_running_is_reported():
    _, err = reported("g = grt.go(max, 1, 2); stall(); g.join()")
    assert err.count("has kept") == 1 and "Goroutine 1 (MainThread) has kept" in err


def test_a_callback_of_the_loop_is_reported():
    _, err = reported("grt.go(grt.sleep, 90); grt.current_loop().call_later(0.1, stall); grt.sleep(0.8)")
    assert err.count("has kept") == 1 and "A callback of the event loop has kept" in err


def test_a_goroutine_of_another_thread_is_reported():
    _, err = reported("""
import threading
thread = threading.Thread(target=lambda: grt.go(stall).join(), name="other")
thread.start()
thread.join()
""")
    assert err.count("has kept other for") == 1 and "in stall" in err


@pytest.mark.parametrize(
    "program",
    [
        "crunch(0.5)",
        "grt.sleep(0.01); crunch(0.5)",
        "g = grt.go(max, 1, 2); g.join(); crunch(0.5)",
        "grt.go(grt.sleep, 0.5).join()",
        "grt.go(lambda: [crunch(0.02) or grt.gosched() for _ in range(20)]).join()",
        "grt.go(lambda: [crunch(0.02) or grt.sleep(0.001) for _ in range(20)]).join()",
        "c = grt.chan(); g = grt.go(c.recv); grt.current_loop().call_later(0.4, c.try_send, 1); g.join()",
    ],
)
def test_what_keeps_nobody_from_running_is_not_reported(program):
    """A script that starts no goroutine, waits, and computations that let others run."""
    _, err = reported(program)
    assert err == ""


def test_many_short_callbacks_are_no_stall():
    _, err = reported("""
loop = grt.current_loop()
count = 0
def again():
    global count
    count += 1
    crunch(0.03)
    if count < 20:
        loop.call_soon(again)
loop.call_soon(again)
grt.go(grt.sleep, 0.8).join()
""")
    assert err == ""


def test_the_limit_can_be_set_and_the_watch_switched_off():
    _, err = reported("grt.debug.stall_watch(5); grt.go(crunch, 0.5).join()")
    assert err == ""
    _, err = reported("grt.debug.stall_watch(None); grt.go(crunch, 0.5).join()")
    assert err == ""
    _, err = reported("grt.debug.stall_watch(None); grt.debug.stall_watch(0.3); grt.go(stall).join()")
    assert err.count("has kept") == 1


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_limit_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(ValueError, match="positive number of seconds"):
        stall_watch(seconds)


def test_a_limit_is_a_number():
    with pytest.raises(TypeError, match=r"not '0\.1'"):
        stall_watch("0.1")  # type: ignore[arg-type]


def test_it_goes_to_the_logger_as_a_warning():
    out, _ = reported("""
import logging
class Print(logging.Handler):
    def emit(self, record):
        print(record.name, record.levelname)
logging.getLogger().addHandler(Print())
grt.go(stall).join()
""")
    assert out == "grt WARNING\n"


def test_importing_and_a_script_without_goroutines_start_no_thread():
    out, _ = reported("import threading; grt.sleep(0.01); print(threading.active_count())")
    assert out == "1\n"


def test_the_first_goroutine_starts_the_watch():
    out, _ = reported("import threading; grt.go(grt.gosched); print([t.name for t in threading.enumerate()])")
    assert "grt stall watch" in out


def test_a_fork_has_no_watch_and_its_first_go_starts_one_on_both_sides():
    """Python warns of a fork with other threads: there is none then. Warnings are errors."""
    out, err = reported("""
grt.debug.stall_watch(60)
import os, threading
grt.go(max, 1, 2).join()
def seen():
    return [thread.name for thread in threading.enumerate()]
child = os.fork()
who = "parent" if child else "child"
before = seen()
grt.go(max, 1, 2)
after = seen()
if child:
    os.waitpid(child, 0)
print(who, before, after, flush=True)
if not child:
    os._exit(0)
""")
    assert sorted(out.splitlines()) == [
        "child ['MainThread'] ['MainThread', 'grt stall watch']",
        "parent ['MainThread'] ['MainThread', 'grt stall watch']",
    ]
    assert err == ""


def test_a_process_that_was_stopped_has_not_stalled():
    import signal
    import time

    program = f"{KEEP}\ng = grt.go(crunch, 0.02)\nprint('ready')\nfor _ in range(60): crunch(0.01); grt.gosched()"
    child = spawn(program, GRT_STALL="0.3")
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    child.send_signal(signal.SIGCONT)
    assert finish(child) == (0, "", "")


def test_time_in_the_debugger_is_no_stall():
    _, err = reported(
        """
import pdb, io
class Slow(io.StringIO):
    def readline(self):
        crunch(2)
        return super().readline()
grt.go(lambda: pdb.Pdb(stdin=Slow("c\\n"), stdout=io.StringIO()).set_trace()).join()
""",
        after="1",
    )  # a busy machine's debugger takes a while itself
    assert err == ""


def test_a_prompt_is_told_from_a_statement():
    import code
    from traceback import FrameSummary

    prompt, statement = FrameSummary(code.__file__, 1, "raw_input"), FrameSummary("<console>", 1, "<module>")
    assert is_person([statement, prompt]) and not is_person([prompt, statement])
    assert is_person([FrameSummary("/x/IPython/core/shell.py", 1, "run"), statement])


def test_goroutines_of_this_process_are_watched_at_no_cost_to_it():
    """The watch is one thread, however many goroutines and threads there are."""
    stall_watch(60)
    try:
        grt.go(max, 1, 2).join()
        names = [thread.name for thread in threading.enumerate()]
    finally:
        stall_watch(None)
    assert names.count("grt stall watch") == 1


def test_the_environment_sets_the_limit():
    program = f"{KEEP}grt.go(crunch, 0.5).join()"
    assert run_program(program, GRT_STALL="0")[2] == run_program(program, GRT_STALL="60")[2] == ""
    assert run_program(f"{KEEP}grt.go(stall).join()", GRT_STALL="0.2")[2].count("has kept") == 1
