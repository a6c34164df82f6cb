"""Programs of goroutines: run, timeout, Ctrl-C and the ends of programs."""

import signal
import threading

import pytest

import grt
from tests.child import finish, run_program, spawn, wait_ready
from tests.goroutines import living

# -- run


def test_run_returns_what_main_returns():
    assert grt.run(lambda x, y: x + y, 1, 2) == 3
    assert grt.run(lambda: grt.go(max, 1, 2).result()) == 2


def test_run_raises_what_main_raises():
    with pytest.raises(ZeroDivisionError):
        grt.run(lambda: 1 / 0)
    with pytest.raises(SystemExit):
        grt.run(exit, 3)


def hold(log):
    try:
        grt.sleep(60)
    finally:
        grt.sleep(0.001)
        grt.go(log.append, "started while cleaning up")
        log.append("cleaned up")


def test_run_cancels_what_is_left_and_waits_for_it():
    log = []

    def main():
        for _ in range(3):
            grt.go(hold, log)
        grt.gosched()

    grt.run(main, procs=1)  # else they are cancelled, perhaps, before they have begun
    assert log.count("cleaned up") == 3 and len(living()) == 1


def test_run_wants_a_function_that_is_not_async():
    with pytest.raises(TypeError, match=r"grt.run\(main, x\), but got 1"):
        grt.run(1)  # type: ignore[arg-type]

    async def main():
        pass

    with pytest.raises(TypeError, match="without async and await"):
        grt.run(main)  # type: ignore[unused-coroutine]


def test_run_leaves_goroutines_alone_that_were_there_before():
    g = grt.go(grt.sleep, 0.01)
    grt.run(grt.gosched)
    assert not g.done
    g.join()


def test_run_is_for_the_programs_start():
    g = grt.go(grt.run, max, 1, 2)
    with pytest.raises(RuntimeError, match=r"grt\.run is for the program's start"):
        g.result()


def test_run_within_run_waits_for_its_own():
    assert grt.run(lambda: grt.run(max, 1, 2)) == 2


def test_run_gives_back_the_handler_of_ctrl_c():
    before = signal.getsignal(signal.SIGINT)
    during = grt.run(signal.getsignal, signal.SIGINT)
    assert during is not before and signal.getsignal(signal.SIGINT) is before


def test_run_works_in_any_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(grt.run(lambda: grt.go(max, 1, 2).result())))
    thread.start()
    thread.join()
    assert results == [2]


# -- timeout


def test_a_scope_ends_every_blocking_call_inside():
    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"the 0\.001 s of grt\.timeout are over"), grt.timeout(0.001):
            grt.sleep(60)
    grt.sleep(0.001)


def test_a_call_that_is_in_time_is_not_disturbed():
    with grt.timeout(60) as scope:
        grt.sleep(0.001)
    assert not scope.expired


def test_the_earliest_of_nested_scopes_counts_and_tells():
    with grt.timeout(60) as outer:
        with pytest.raises(TimeoutError), grt.timeout(0.001) as inner:
            grt.sleep(60)
        grt.sleep(0.001)
    assert (outer.expired, inner.expired) == (False, True)
    with pytest.raises(TimeoutError), grt.timeout(0.001) as outer, grt.timeout(60) as inner:
        grt.sleep(60)
    assert (outer.expired, inner.expired) == (True, False)


def test_a_calls_own_timeout_and_the_scopes_are_told_apart():
    g = grt.go(grt.sleep, 60)
    with grt.timeout(60) as scope, pytest.raises(TimeoutError, match="did not end within"):
        g.join(0.001)
    assert not scope.expired
    with pytest.raises(TimeoutError, match="are over"), grt.timeout(0.001) as scope:
        g.join(60)
    assert scope.expired
    g.cancel()
    g.join()


@pytest.mark.parametrize("seconds", [0, -1, -1e9])
def test_a_scope_that_is_over_lets_no_call_block(seconds):
    with pytest.raises(TimeoutError), grt.timeout(seconds):
        grt.gosched()


@pytest.mark.parametrize("seconds", [None, float("inf")])
def test_a_scope_without_end_never_expires(seconds):
    with grt.timeout(seconds):
        grt.sleep(0.001)


def test_a_scope_wants_a_number():
    with pytest.raises(TypeError, match="number of seconds or None"):
        grt.timeout("5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not nan"), grt.timeout(float("nan")):
        pass


def test_a_scope_is_not_inherited():
    with grt.timeout(0.001):
        g = grt.go(grt.sleep, 0.01)
    g.result()


def test_a_cancellation_inside_a_scope_stays_a_cancellation():
    def work():
        with grt.timeout(60):
            grt.sleep(60)

    g = grt.go(work)
    grt.gosched()
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()


# -- Ctrl-C


def interrupt(program):
    """Runs program, sends it a SIGINT when it has printed "ready", and returns its exit status and output."""
    child = spawn(program)
    wait_ready(child)
    child.send_signal(signal.SIGINT)
    return finish(child)


INTERRUPTED = """
    import grt
    def ready():
        print("ready")
    def spin():
        ready()
        while True:
            {spin}
    def main():
        listener = grt.listen("tcp", "127.0.0.1:0")
        try:
            {main}
        except KeyboardInterrupt:
            print("interrupted", grt.current().name)
        listener.close()
    grt.run(main)
    print("ended")
"""


@pytest.mark.parametrize(
    ("main", "spin"),
    [
        ("grt.go(ready); grt.sleep(1000)", ""),
        ("grt.go(ready); listener.accept()", ""),
        ("grt.go(ready); grt.go(grt.sleep, 1000).join()", ""),
        ("grt.go(grt.sleep, 1000); grt.go(ready); grt.sleep(1000)", ""),
        ("spin()", "pass"),
        ("spin()", "grt.gosched()"),
        ("spin()", "grt.sleep(0)"),
        ("grt.go(spin).join()", "grt.gosched()"),
        ("grt.go(spin).join()", "grt.sleep(0.0001)"),
        ("ready(); [n for n in iter(int, 1)]", ""),
    ],
)
def test_ctrl_c_reaches_main_whatever_is_running(main, spin):
    program = INTERRUPTED.format(main=main, spin=spin or "pass")
    assert interrupt(program) == (0, "interrupted MainThread\nended\n", "")


def test_ctrl_c_without_run_ends_the_program():
    status, _, err = interrupt("import grt\ngrt.go(print, 'ready')\ngrt.sleep(1000)")
    assert status in (-signal.SIGINT, 130) and err.rstrip().endswith("KeyboardInterrupt")


def test_a_second_ctrl_c_stops_one_that_keeps_the_thread():
    program = """
        import grt
        grt.debug.stall_watch(None)
        def keep():
            print("ready")
            try:
                while True:
                    pass
            finally:
                print("stopped")
        def main():
            grt.go(keep).join()
        try:
            grt.run(main)
        except KeyboardInterrupt:
            print("interrupted")
    """
    child = spawn(program)
    wait_ready(child)
    while child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(0.2)
        except Exception:
            continue
    status, out, err = finish(child)
    assert (status, out) == (0, "stopped\ninterrupted\n") and err == ""


def test_a_second_ctrl_c_abandons_those_who_clean_up():
    program = """
        import grt
        def stubborn():
            while True:
                try:
                    grt.sleep(1000)
                except grt.Cancelled:
                    print("ready")
        def main():
            grt.go(stubborn)
            grt.gosched()
        try:
            grt.run(main)
        except KeyboardInterrupt:
            print("abandoned")
    """
    status, out, _ = interrupt(program)
    assert (status, out.splitlines()[0]) == (0, "abandoned")


def test_a_signals_handler_may_cancel_and_close():
    program = """
        import grt, signal
        def main():
            listener = grt.listen("tcp", "127.0.0.1:0")
            signal.signal(signal.SIGTERM, lambda *_: listener.close())
            grt.go(print, "ready")
            for conn in listener:
                pass
            print("closed")
        grt.run(main)
    """
    child = spawn(program)
    wait_ready(child)
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (0, "closed\n", "")


def test_the_exit_of_a_goroutine_is_the_programs():
    program = """
        import grt, sys
        def main():
            grt.go(sys.exit, 7)
            try:
                grt.sleep(1000)
            finally:
                print("main ends")
        grt.run(main)
    """
    assert run_program(program) == (7, "main ends\n", "")


@pytest.mark.parametrize("call", ["grt.gosched()", "grt.sleep(0)", "channel.send(channel.recv())"])
def test_one_that_only_gives_way_ends_with_the_program(call):
    program = f"""
        import grt
        channel = grt.chan(1)
        channel.send(1)
        def spin():
            try:
                while True:
                    {call}
            finally:
                print("spun")
        g = grt.go(spin)
        grt.gosched()
        print("main ends")
    """
    assert run_program(program) == (0, "main ends\nspun\n", "")


def test_ctrl_c_in_grts_own_code_waits_for_the_next_blocking_call():
    program = """
        import grt, signal
        from functools import partial
        class Interrupted:
            # A lock: the signal comes while it is held, and its handler runs on top of grt's own frame.
            __enter__ = staticmethod(partial(signal.raise_signal, signal.SIGINT))
            __exit__ = staticmethod(lambda *exc: None)
        def main():
            wg = grt.sync.WaitGroup()
            wg._guard = Interrupted()
            wg.add(3)
            print("counted", wg.count)
            try:
                grt.sleep(1000)
            except KeyboardInterrupt:
                print("interrupted")
            wg.add(1)
            return "returned"
        try:
            grt.run(main)
        except KeyboardInterrupt:
            print("interrupted at the end of run")
        grt.sleep(0)
    """
    out = "counted 3\ninterrupted\ninterrupted at the end of run\n"
    assert run_program(program) == (0, out, "")
