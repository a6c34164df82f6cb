"""SIGQUIT prints every stack, whatever the main goroutine is doing, and the program goes on."""

import signal

import pytest

import grt
from tests.child import PATIENCE, finish, run_program, spawn, wait_ready

START = f"""
import grt, signal, threading
signal.alarm({PATIENCE})  # should the test end before it
done = []
def park(c):
    c.recv()
def spin():
    while not done:
        pass
def end(*_):
    done.append(1)
    c.try_send(1)
c = grt.chan(1)
signal.signal(signal.SIGUSR1, end)
"""


def asked(program, last):
    """Runs program; when it is ready sends SIGQUIT, and SIGUSR1 when a line with last came. Returns what it printed."""
    child = spawn(START + program)
    wait_ready(child)
    child.send_signal(signal.SIGQUIT)
    said = ""
    assert child.stderr is not None
    while last not in said and (line := child.stderr.readline()):
        said += line
    child.send_signal(signal.SIGUSR1)
    status, out, err = finish(child)
    assert (status, out) == (0, "went on\n"), said + err
    assert said.startswith("SIGQUIT: all goroutines\n")
    return said + err


WAYS = {
    "computes": "spin()",
    "sleeps in the system": "threading.Event().wait(0.2); spin()",
    "blocks in the loop": "c.recv()",
    "is parked while another runs": "grt.go(spin).join()",
    "gives way all the time": "[grt.gosched() for _ in iter(done.__len__, 1)]",
    "tries a channel all the time": "[grt.chan().try_send(1) for _ in iter(done.__len__, 1)]",
}


@pytest.mark.parametrize("way", WAYS)
def test_it_prints_all_stacks_while_the_main_goroutine(way):
    program = f"""
def main():
    g = grt.go(park, grt.chan())
    grt.gosched()
    print("ready")
    {WAYS[way]}
    print("went on")
grt.run(main, procs=1)
"""
    said = asked(program, "in park")
    assert "goroutine 1 (MainThread) of MainThread, " in said and "in main\n" in said
    assert "goroutine 2 (park) of MainThread, parked for " in said and "in recv from <Chan" in said


def test_without_run_it_can_be_asked_for():
    program = """
grt.current()
grt.debug.sigquit(True)
def main():
    print("ready")
    spin()
    print("went on")
main()
"""
    asked(program, "in main")


def test_switched_off_it_kills_as_ever():
    child = spawn("import grt; grt.debug.sigquit(False); grt.run(lambda: [print('ready'), grt.sleep(60)])")
    wait_ready(child)
    child.send_signal(signal.SIGQUIT)
    assert finish(child)[0] == -signal.SIGQUIT


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: None"])
def test_a_handler_that_is_there_stays(handler):
    status, out, err = run_program(f"""
        import grt, signal
        handler = {handler}
        signal.signal(signal.SIGQUIT, handler)
        print(grt.run(signal.getsignal, signal.SIGQUIT) is handler)
        grt.debug.sigquit(False)
        print(signal.getsignal(signal.SIGQUIT) is handler)
    """)
    assert (status, out, err) == (0, "True\nTrue\n", "")


def test_run_gives_sigquit_back():
    before = signal.getsignal(signal.SIGQUIT)
    during = grt.run(signal.getsignal, signal.SIGQUIT)
    assert during is not before and signal.getsignal(signal.SIGQUIT) is before


def test_run_in_run_gives_it_back_once():
    def main():
        inner = grt.run(signal.getsignal, signal.SIGQUIT)
        return inner is signal.getsignal(signal.SIGQUIT)

    assert grt.run(main)
