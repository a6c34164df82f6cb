"""os.fork: who goes on in the child, with what, and that the parent does not notice."""

import os
import subprocess
import sys

import pytest

from tests.child import run_program

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="a fork of many threads' state"),
]
QUIET = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"  # 3.12 on: threads and forks


def prints(program, *expected, **environ):
    status, out, err = run_program(QUIET + program, **environ)
    assert (status, out.split()) == (0, list(expected)), err
    assert err == ""


def test_the_forking_goroutine_goes_on_alone_and_ends_the_child():
    prints(
        """
import os, grt

def other():
    try:
        for _ in range(3):
            grt.sleep(0.01)
        print("other", flush=True)
    finally:
        print("cleaned", flush=True)

def forking():
    pid = os.fork()
    if pid == 0:
        grt.sleep(0.05)
        print("child", flush=True)
        return
    assert grt.blocking(os.waitpid, pid, 0)[1] == 0
    print("parent", flush=True)

grt.go(other)
grt.go(forking).join()
""",
        *["other", "cleaned", "child", "parent"],
    )


def test_what_the_parents_goroutines_wait_for_does_not_run_them_in_the_child():
    prints(
        """
import os, grt

def other(receive):
    print("other", receive(), flush=True)

c, d, done = grt.chan(), grt.chan(), grt.chan()
g = grt.go(other, c.recv)
grt.go(other, lambda: grt.select(d.recv, done.recv))
grt.gosched()
pid = os.fork()
if pid == 0:
    print(c.try_send(1), d.try_send(1), g.cancel(), flush=True)
    d.close()
    grt.sleep(0.05)
    os._exit(0)
os.waitpid(pid, 0)
c.send(2)
d.send(3)
grt.gosched()
""",
        *["False", "False", "True", "other", "2", "other", "(0,", "3)"],
    )


@pytest.mark.parametrize(
    ("end", "status"), [("return", 0), ("raise SystemExit(7)", 7), ("raise ValueError('spam')", 1), ("os._exit(3)", 3)]
)
def test_the_childs_status_is_that_of_the_goroutine(end, status):
    _, out, err = run_program(
        QUIET
        + f"""
import os, grt

def forking():
    pid = os.fork()
    if pid == 0:
        {end}
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

grt.go(forking).join()
"""
    )
    assert out == f"{status}\n" and ("ValueError: spam" in err) == (status == 1)


def test_the_threads_own_stack_may_fork_and_both_go_on():
    prints(
        """
import os, sys, grt

def other():
    grt.sleep(0.02)
    print("other", flush=True)

g = grt.go(other)
grt.sleep(0.001)
pid = os.fork()
if pid == 0:
    def fresh():
        grt.sleep(0.001)
        return "fresh"
    print(grt.go(fresh).result(), g.done, flush=True)
    sys.exit(0)
os.waitpid(pid, 0)
g.join()
""",
        *["fresh", "False", "other"],
    )


def test_the_child_has_a_loop_of_its_own_and_the_parents_connections_stay_watched():
    prints(
        """
import os, grt

def echo(conn):
    with conn:
        for data in conn:
            conn.write(data)

def serve(listener):
    for conn in listener:
        grt.go(echo, conn)

listener = grt.listen("tcp", "127.0.0.1:0")
grt.go(serve, listener)
conn = grt.dial("tcp", listener.addr)
for turn in range(3):
    conn.write(b"x")
    assert conn.read() == b"x"
    pid = os.fork()
    if pid == 0:
        with grt.dial("tcp", listener.addr) as mine:  # the parent serves it
            mine.write(b"from the child")
            assert mine.read() == b"from the child"
        conn.close()
        listener.close()
        os._exit(0)
    assert grt.blocking(os.waitpid, pid, 0)[1] == 0
conn.write(b"still")
print(conn.read().decode())
conn.close()
listener.close()
""",
        "still",
    )


def test_several_children_accept_from_one_listener():
    prints(
        """
import os, grt

listener = grt.listen("tcp", "127.0.0.1:0")
waiting = grt.go(listener.accept)
grt.sleep(0.001)
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        with listener.accept() as conn:
            conn.write(b"%d" % os.getpid())
            conn.read()
        os._exit(0)
    children.append(pid)
waiting.cancel()
waiting.join()
conns = [grt.dial("tcp", listener.addr) for _ in children]
print(sorted(int(conn.read()) for conn in conns) == sorted(children))
for conn in conns:
    conn.close()
for pid in children:
    os.waitpid(pid, 0)
listener.close()
""",
        "True",
    )


def test_a_fork_in_another_thread():
    prints(
        """
import os, threading, grt

def work():
    def forking():
        pid = os.fork()
        if pid == 0:
            grt.sleep(0.001)
            print("child", flush=True)
            return
        os.waitpid(pid, 0)
        print("parent", flush=True)
    grt.go(forking).join()

grt.sleep(0.001)
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
        *["child", "parent"],
    )


def test_the_pool_and_the_resolver_work_in_the_child():
    prints(
        """
import os, time, grt
grt.lookup("localhost")  # not while it is forked: libc's own locks would stay taken in the child
slow = grt.go(grt.blocking, time.sleep, 0.05)
grt.gosched()
pid = os.fork()
if pid == 0:
    print(grt.blocking(len, "abc"), "127.0.0.1" in grt.lookup("localhost"), flush=True)
    os._exit(0)
grt.blocking(os.waitpid, pid, 0)
slow.join()
""",
        *["3", "True"],
    )


def test_no_lock_of_another_thread_stays_taken():
    prints(
        """
import os, grt
for _ in range(200):
    grt.blocking(int)  # whose thread may still be about to wake this one
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""
    )


def test_ctrl_c_reaches_the_child():
    prints(
        """
import os, signal, grt

def forking():
    pid = os.fork()
    if pid == 0:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            grt.sleep(60)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        return
    os.waitpid(pid, 0)

grt.go(forking).join()
""",
        "interrupted",
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    program = f"""
import multiprocessing, grt

def work(numbers, results):
    g = grt.go(lambda: sum(numbers.get() for _ in range(3)))
    results.put(g.result())

if __name__ == "__main__":
    grt.go(grt.sleep, 60)
    grt.sleep(0.001)
    context = multiprocessing.get_context({method!r})
    numbers, results = context.Queue(), context.Queue()
    process = context.Process(target=work, args=(numbers, results))
    process.start()
    for number in range(3):
        numbers.put(number)
    print(grt.blocking(results.get), flush=True)
    grt.blocking(process.join)
    print(process.exitcode)
"""
    (tmp_path / "program.py").write_text(QUIET + program)  # spawn and forkserver start the file anew
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "3\n0\n"), done.stderr
