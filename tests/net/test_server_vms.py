"""Servers whose connections are served by VMs."""

import os
import signal
import socket
import sys
import time

import pytest

import grt
from tests.child import finish, read_line, spawn

pytestmark = pytest.mark.usefixtures("fork_server")


def tell_pid(conn):
    conn.write(b"%d\n" % os.getpid())
    for data in conn:
        conn.write(data.upper())


def take_a_while(conn):
    conn.write(b"%d\n" % os.getpid())
    grt.sleep(0.3)
    conn.write(b"done")


def linger(conn):
    conn.write(b"here")
    grt.select()


def answer_lines(conn):
    while answering.next_request(conn):
        conn.write(conn.read_line().upper())


answering = grt.Server(answer_lines, vms=2, idle_timeout=60)


def ask_pid(addr):
    with grt.dial("tcp", addr) as conn:
        return int(conn.read_line())


def start(handler, vms, **options):
    server = grt.Server(handler, vms=vms, **options)
    listener = grt.listen("tcp", "127.0.0.1:0")
    serving = grt.go(server.serve, listener)
    return server, listener.addr, serving


def test_vms_serve():
    server, addr, serving = start(tell_pid, 2)
    with grt.dial("tcp", addr) as conn:
        assert int(conn.read_line()) != os.getpid()
        conn.write(b"hello")
        assert conn.read() == b"HELLO"
    assert server.shutdown(timeout=10) == 0
    serving.result()
    with pytest.raises(ConnectionRefusedError):
        grt.dial("tcp", addr)


def test_handlers_ask_the_server_of_their_module():
    listener = grt.listen("tcp", "127.0.0.1:0")
    serving = grt.go(answering.serve, listener)
    with grt.dial("tcp", listener.addr) as conn:
        for _ in range(3):
            conn.write(b"spam\n")
            assert conn.read_line() == b"SPAM\n"
        assert answering.shutdown(timeout=30) == 0
        assert conn.read() == b""
    serving.result()


def test_a_connection_that_does_not_end_is_cut():
    server, addr, serving = start(linger, 1)
    with grt.dial("tcp", addr) as conn:
        assert conn.read() == b"here"
        assert server.shutdown(timeout=0.05) == 1
        assert conn.read() == b""
    serving.result()


def test_a_rolling_restart_refuses_nobody_and_ends_nothing():
    server, addr, serving = start(take_a_while, 2)
    before = {ask_pid(addr) for _ in range(20)}
    stop, failures, answers = grt.chan(), [], 0

    def keep_asking():
        nonlocal answers
        while grt.select(stop.recv_ok, default=True)[0] == -1:
            try:
                ask_pid(addr)
                answers += 1
            except OSError as error:
                failures.append(error)

    askers = [grt.go(keep_asking) for _ in range(4)]
    with grt.dial("tcp", addr) as old:
        pid = int(old.read_line())
        assert pid in before
        restarting = grt.go(server.restart, 30)
        while pid in [ask_pid(addr) for _ in range(10)]:
            pass
        assert old.read_exactly(4) == b"done"
    assert restarting.result() == 0
    stop.close()
    for asker in askers:
        asker.result()
    assert failures == [] and answers > 0
    assert not before & {ask_pid(addr) for _ in range(20)}
    server.shutdown(timeout=10)
    serving.result()


def test_one_that_dies_is_replaced():
    server, addr, serving = start(tell_pid, 1)
    pid = ask_pid(addr)
    os.kill(pid, signal.SIGKILL)
    assert ask_pid(addr) != pid
    server.shutdown(timeout=10)
    serving.result()


def test_what_has_no_vms_is_not_restarted():
    with pytest.raises(RuntimeError, match="no VMs that could be restarted"):
        grt.Server(tell_pid).restart()
    with pytest.raises(ValueError, match="not -1"):
        grt.Server(tell_pid, vms=-1)


def test_a_handler_that_cannot_be_sent_is_told():
    _server, _addr, serving = start(lambda conn: None, 1)
    with pytest.raises(TypeError, match="cannot be sent to another VM"):
        serving.result()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not spread connections")
def test_a_server_program_restarts_at_sighup_and_ends_at_sigterm(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = spawn(f"""
        import grt
        from tests.net.test_server_vms import tell_pid

        print("ready", flush=True)
        grt.Server(tell_pid, vms=2).run("tcp", "127.0.0.1:{port}", grace=10)
    """)
    read_line(child)
    addr = ("127.0.0.1", port)
    before = {ask_pid_soon(addr) for _ in range(40)}
    assert len(before) == 2
    child.send_signal(signal.SIGHUP)
    limit = time.monotonic() + 60
    while before & {ask_pid_soon(addr) for _ in range(20)}:
        assert time.monotonic() < limit
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (0, "", "")


def ask_pid_soon(addr):
    limit = time.monotonic() + 60
    while True:
        try:
            return ask_pid(addr)
        except ConnectionRefusedError:
            assert time.monotonic() < limit
            grt.sleep(0.01)
