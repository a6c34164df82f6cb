"""Deadlock: raised when nobody is left who could wake a goroutine, and never else. Each in a process of its own."""

import pytest

import grt
from grt.debug import silence
from tests.child import run_program

DEADLOCK = "all goroutines are asleep, and nobody is left who could wake one:"


def raises(program):
    status, _, err = run_program(program)
    assert status == 1 and f"grt.Deadlock: {DEADLOCK}" in err, err
    return err


@pytest.mark.parametrize(
    "wait",
    [
        "grt.chan().recv()",
        "grt.chan().send(1)",
        "grt.select()",
        "grt.select(c.recv, (c.send, 1))",
        "mutex.lock()",
        "grt.go(c.recv).join()",
        "grt.run(c.recv)",
        "grt.run(lambda: [grt.go(c.recv), grt.go(c.recv).join()])",
        "grt.go(grt.gosched).join(); c.recv()",
    ],
)
def test_a_wait_that_nobody_can_end_raises(wait):
    raises(f"import grt, grt.sync; c = grt.chan(); mutex = grt.sync.Mutex(); mutex.lock(); {wait}")


def test_the_message_shows_every_goroutine():
    err = raises("""
        import grt
        def wait(c):
            c.recv()
        c = grt.chan()
        grt.go(wait, c)
        c.recv()
    """)
    assert ", in recv from <Chan" in err and "in wait\n" in err and "goroutine 1 (MainThread)" in err


def test_of_many_goroutines_it_shows_some():
    err = raises("import grt; c = grt.chan(); [grt.go(c.recv) for _ in range(99)]; c.recv()")
    assert "... and 80 more" in err


def test_it_is_raised_in_the_main_goroutine_which_may_go_on():
    status, out, err = run_program("""
        import grt
        c = grt.chan()
        g = grt.go(c.recv)
        for _ in range(2):
            try:
                c.recv()
            except RuntimeError as error:
                print(type(error).__name__, g.done)
        c.try_send(1)
        print(g.result())
    """)
    assert (status, out, err) == (0, "Deadlock False\nDeadlock False\n1\n", "")


def test_a_deadlock_while_run_cleans_up_ends_the_program():
    err = raises("""
        import grt
        def stubborn(c):
            while True:
                try:
                    c.recv()
                except grt.Cancelled:
                    pass
        grt.run(lambda: [grt.go(stubborn, grt.chan()), grt.gosched()])
    """)
    assert "(stubborn)" in err


def test_a_deadlock_after_the_last_other_thread_has_ended_raises():
    raises("""
        import grt, threading, time
        threading.Thread(target=time.sleep, args=(0.3,)).start()
        grt.chan().recv()
    """)


def test_switched_off_it_is_not_raised():
    status, out, err = run_program("""
        import grt
        from grt.debug import silence
        import sys
        grt.current()
        grt.debug.deadlock(False)
        proc = grt.current().proc
        print(proc.on_silence)
        grt.debug.deadlock(True)
        print(proc.on_silence is silence.look)
    """)
    assert (status, out, err) == (0, "None\nTrue\n", "")


HOPES = {
    "a thread": "threading.Thread(target=lambda: [time.sleep(0.4), c.try_send(1)]).start(); c.recv()",
    "a thread that threading does not know": """
_thread.start_new_thread(lambda: [time.sleep(0.4), c.try_send(1)], ())
c.recv()
""",
    "a timer": "grt.current_loop().call_later(0.4, c.try_send, 1); c.recv()",
    "a goroutine that sleeps": "grt.go(lambda: [grt.sleep(0.4), c.send(1)]); c.recv()",
    "a deadline": """
try:
    c.recv(timeout=0.4)
except TimeoutError:
    pass
""",
    "a listener": """
listener = grt.listen("tcp", "127.0.0.1:0")
child = f"import socket, time; time.sleep(.4); socket.create_connection({listener.addr})"
child = subprocess.Popen([sys.executable, "-c", child])
with listener.accept(), listener:
    pass
child.wait()
""",
    "a listener of another goroutine": """
def serve(listener):
    with listener.accept():
        c.send(1)
listener = grt.listen("tcp", "127.0.0.1:0")
child = f"import socket, time; time.sleep(.4); socket.create_connection({listener.addr})"
child = subprocess.Popen([sys.executable, "-c", child])
grt.go(serve, listener)
c.recv()
listener.close()
child.wait()
""",
    "a handler of the loop": """
class News(grt.loop.Handler):
    def on_event(self, flags):
        os.read(self.fd, 1)
        grt.current_loop().remove(self)
        c.try_send(1)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(.4); print()"], stdout=subprocess.PIPE)
grt.current_loop().add(News(child.stdout.fileno()), grt.poll.READ)
c.recv()
child.communicate()
""",
    "a signal's handler": """
signal.signal(signal.SIGALRM, lambda *_: c.try_send(1))
signal.setitimer(signal.ITIMER_REAL, 0.4)
c.recv()
""",
    "a source of another part of grt": """
from grt.debug import silence
news = iter([True, True])
silence.sources.append(lambda: next(news))
assert silence.look() < 0 and silence.look() < 0
""",
}


@pytest.mark.parametrize("hope", HOPES)
def test_it_is_not_raised_while_there_is(hope):
    program = "import grt, grt.loop, grt.poll, os, signal, subprocess, sys, threading, time, _thread\nc = grt.chan(1)\n"
    status, _, err = run_program(f"{program}{HOPES[hope]}\nprint('done')")
    assert "Deadlock" not in err and status == 0, err


def test_a_connection_that_nobody_waits_on_is_no_hope():
    raises("""
        import grt
        listener = grt.listen("tcp", "127.0.0.1:0")
        with listener, grt.dial("tcp", listener.addr) as near, listener.accept() as far:
            near.write(b"x")
            far.read()
            g = grt.go(far.read)
            grt.gosched()
            g.cancel()
            grt.chan().recv()
    """)


def test_threads_of_the_runtime_that_idle_are_no_hope():
    raises("""
        import grt, threading
        from grt.debug import silence
        idle = threading.Thread(target=threading.Event().wait, daemon=True)
        idle.start()
        silence.idle_threads.append(lambda: [idle.ident])
        grt.chan().recv()
    """)


def test_the_stall_watch_is_no_hope():
    raises("""
        import grt, threading
        grt.debug.stall_watch(60)
        grt.go(grt.gosched).join()
        assert threading.active_count() == 2
        grt.chan().recv()
    """)


def test_events_that_wake_nobody_do_not_make_it_look():
    """A server of callbacks beside a parked goroutine is asked nothing at each of its events."""
    status, out, err = run_program("""
        import grt, grt.loop, grt.poll, os, threading, time
        from grt.debug import silence
        looks = []
        reader, writer = os.pipe()
        class Events(grt.loop.Handler):
            def on_event(self, flags):
                if not os.read(reader, 1):
                    grt.current_loop().remove(self)
                    c.try_send(1)
        c = grt.chan(1)
        grt.current_loop().add(Events(reader), grt.poll.READ)
        silence.sources.append(lambda: looks.append(1))
        def write():
            for _ in range(200):
                os.write(writer, b"x")
                time.sleep(0.001)
            os.close(writer)
        threading.Thread(target=write).start()
        c.recv()
        print(len(looks))
    """)
    assert (status, err) == (0, "") and int(out) < 20


def test_it_is_reachable_by_both_names():
    assert grt.Deadlock is grt.debug.Deadlock and issubclass(grt.Deadlock, RuntimeError)
    assert silence.deadlock is grt.debug.deadlock
