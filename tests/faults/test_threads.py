"""How programs of several threads end: cancellations, errors, Ctrl-C, exits, deadlocks, forks."""

import os
import signal
import sys
import threading

import pytest

import grt
from tests.child import finish, read_line, run_program, spawn, wait_ready
from tests.goroutines import NO_GIL
from tests.threads import helpers, start_in_another_thread

PATIENCE = 60  # seconds for a thread to get its turn


def test_one_that_is_cancelled_before_it_starts_never_runs(two_procs):
    ran, gate = [], threading.Event()
    for _ in range(2):  # both threads are kept
        keeper = grt.go(gate.wait, PATIENCE)
    gs = [grt.go(ran.append, i) for i in range(100)]
    assert all(g.cancel() for g in gs)
    gate.set()
    for g in gs:
        with pytest.raises(grt.Cancelled):
            g.result()
    keeper.join()
    assert ran == []


def test_one_can_be_joined_while_it_moves(two_procs):
    """The joiners of one that has not started move with it."""
    for _ in range(200):
        gs = [grt.go(int) for _ in range(4)]
        joiners = [grt.go(g.join) for g in gs for _ in range(2)]
        for joiner in joiners:
            joiner.result()
        assert all(g.done for g in gs)


def test_run_ends_what_lives_in_every_thread():
    ended = []

    def wait(barrier):
        barrier.wait(PATIENCE)
        try:
            grt.chan().recv()
        finally:
            grt.sleep(0.001)
            ended.append(threading.get_ident())

    def main():
        barrier = threading.Barrier(3)
        for _ in range(2):
            start_in_another_thread(wait, barrier)
        barrier.wait(PATIENCE)

    grt.run(main, procs=3)
    assert len(set(ended)) == 2 and helpers() == []


def test_sys_exit_in_any_thread_ends_the_program():
    status, _, err = run_program("""
        import sys, threading, time
        import grt

        def leave():
            assert threading.current_thread() is not threading.main_thread()
            sys.exit(7)

        def main():
            grt.go(leave)
            time.sleep(0.5)  # keeps this thread, so that another one takes it
            grt.chan().recv()

        grt.run(main, procs=2)
    """)
    assert (status, err) == (7, "")


def test_an_exception_in_any_thread_is_reported():
    status, _, err = run_program("""
        import threading, time
        import grt

        def fail(begun):
            begun.set()
            raise KeyError("spam")

        def main():
            begun = threading.Event()
            grt.go(fail, begun)
            begun.wait(60)

        grt.run(main, procs=2)
    """)
    assert status == 0 and "(fail)" in err and "KeyError: 'spam'" in err


def test_ctrl_c_ends_goroutines_in_every_thread():
    child = spawn("""
        import os, threading
        import grt

        def wait(barrier):
            barrier.wait(60)
            try:
                grt.chan().recv()
            finally:
                os.write(1, b"ended\\n")

        def main():
            barrier = threading.Barrier(2)
            grt.go(wait, barrier)
            grt.go(wait, barrier)
            grt.sleep(0.1)
            print("ready", flush=True)
            grt.sleep(60)

        grt.run(main, procs=2)
    """)
    wait_ready(child)
    child.send_signal(signal.SIGINT)
    status, out, err = finish(child)
    assert out == "ended\nended\n" and "KeyboardInterrupt" in err and status == -signal.SIGINT


def test_a_second_ctrl_c_abandons_one_that_does_not_end():
    child = spawn("""
        import threading
        import grt

        def stubborn(begun):
            begun.set()
            while True:
                try:
                    grt.sleep(60)
                except grt.Cancelled:
                    print("no", flush=True)

        def main():
            begun = threading.Event()
            grt.go(stubborn, begun)
            begun.wait(60)
            grt.sleep(0.01)
            print("ready", flush=True)
            grt.sleep(60)

        grt.run(main, procs=2)
    """)
    wait_ready(child)
    child.send_signal(signal.SIGINT)
    assert read_line(child) == "no\n"
    child.send_signal(signal.SIGINT)
    status, _, err = finish(child)
    assert "KeyboardInterrupt" in err and status != 0


def test_a_program_without_run_ends_with_its_threads():
    status, out, err = run_program("""
        import threading
        import grt

        def wait(begun):
            begun.set()
            try:
                grt.chan().recv()
            finally:
                print("ended")

        begun = threading.Event()
        grt.procs(3)
        grt.go(wait, begun)
        begun.wait(60)
    """)
    assert (status, out, err) == (0, "ended\n", "")


def test_a_deadlock_of_all_threads_is_seen():
    status, _, err = run_program("""
        import threading
        import grt

        def wait(begun, c):
            begun.set()
            c.recv()

        def main():
            c, begun = grt.chan(), threading.Event()
            grt.go(wait, begun, c)
            begun.wait(60)
            c.recv()

        grt.run(main, procs=2)
    """)
    assert status == 1 and "grt.Deadlock" in err and "(wait) of grt proc of MainThread" in err, err


def test_a_timer_in_another_thread_is_hope():
    status, out, err = run_program("""
        import threading
        import grt

        def wait(begun, c):
            begun.set()
            grt.sleep(1.5)
            c.send("here")

        def main():
            c, begun = grt.chan(), threading.Event()
            grt.go(wait, begun, c)
            begun.wait(60)
            print(c.recv())

        grt.run(main, procs=2)
    """)
    assert (status, out, err) == (0, "here\n", "")


@pytest.mark.skipif(NO_GIL, reason="a fork of many threads' state")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 3.12 on: threads and forks
def test_a_child_of_a_fork_goes_on_with_one_thread(two_procs):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            total = sum(g.result() for g in [grt.go(int, i) for i in range(10)])
            os.write(writer, f"{grt.procs()} {total}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        assert answer.read() == "1 45"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_that_come_and_go_leave_nothing():
    for _ in range(3):
        grt.run(lambda: [g.result() for g in [grt.go(int) for _ in range(50)]], procs=4)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        grt.run(lambda: [g.result() for g in [grt.go(int) for _ in range(50)]], procs=4)
    assert len(os.listdir("/proc/self/fd")) == before and helpers() == []
