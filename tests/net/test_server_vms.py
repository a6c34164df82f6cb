"""Servers whose connections are served by VMs."""

import contextlib
import errno
import functools
import gc
import os
import signal
import ssl
import sys
import time

import pytest

import grt
from tests.child import finish, read_line, spawn
from tests.goroutines import blocked
from tests.net.certificates import client_context, made, needs_openssl, server_context
from tests.net.test_dial import dial_when_up, unused_port

pytestmark = pytest.mark.usefixtures("fork_server")


def tell_pid(conn):
    conn.write(b"%d\n" % os.getpid())
    for data in conn:
        conn.write(data.upper())


def take_a_while(conn):
    conn.write(b"%d\n" % os.getpid())
    grt.sleep(0.3)
    conn.write(b"done")


def take_long(conn):
    conn.write(b"%d\n" % os.getpid())
    grt.sleep(2)
    conn.write(b"done")


def linger(conn):
    conn.write(b"here")
    grt.select()


def compute(conn):
    conn.write(b"here")
    while True:
        pass


def answer_lines(conn):
    while answering.next_request(conn):
        conn.write(conn.read_line().upper())


answering = grt.Server(answer_lines, vms=2, idle_timeout=60)


def ask_for_the_end(conn):
    for call in ending.shutdown, ending.restart:
        try:
            call()
        except RuntimeError as error:
            conn.write(f"{error}\n".encode())


ending = grt.Server(ask_for_the_end, vms=1)


def ask_pid(addr, **options):
    with grt.dial("tcp", addr, **options) as conn:
        return int(conn.read_line())


def start(handler, vms, **options):
    server = grt.Server(handler, vms=vms, **options)
    listener = grt.listen("tcp", "127.0.0.1:0")
    serving = grt.go(server.serve, listener)
    return server, listener.addr, serving


def start_program(handler, vms, grace=10):
    """A program that serves by VMs; returns it and its address."""
    addr = ("127.0.0.1", unused_port())
    child = spawn(f"""
        import grt
        from tests.net.test_server_vms import {handler.__name__}

        print("ready", flush=True)
        grt.Server({handler.__name__}, vms={vms}).run("tcp", {addr}, grace={grace})
    """)
    read_line(child)
    return child, addr


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


def test_a_handler_that_never_gives_way_is_cut(monkeypatch):
    monkeypatch.setattr(grt.vm.workers, "LATE", 0.5)
    server, addr, serving = start(compute, 1)
    for end in server.restart, server.shutdown:
        with grt.dial("tcp", addr) as conn:
            assert conn.read() == b"here"
            assert end(timeout=0.05) == 1
            with contextlib.suppress(ConnectionResetError):
                assert conn.read() == b""
    serving.result(timeout=60)


def test_who_waits_for_a_shutdown_can_be_cancelled_or_time_out():
    for way in "cancel", "timeout":
        server, addr, serving = start(linger, 1)
        with grt.dial("tcp", addr) as conn:
            assert conn.read() == b"here"
            while server.workers is None:
                grt.sleep(0.001)
            if way == "cancel":
                ending = blocked(server.shutdown, 60)
                ending.cancel()
                with pytest.raises(grt.Cancelled):
                    ending.result()
            else:
                with grt.timeout(0.05), pytest.raises(TimeoutError, match=r"of grt\.timeout are over"):
                    server.shutdown(60)
            with contextlib.suppress(ConnectionResetError):
                assert conn.read() == b""
        serving.result(timeout=60)
        assert server.shutdown(60) == 0


def never_begin(folder):
    (folder / "asked").touch()
    grt.select()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_vm_that_never_begins_does_not_hold_a_shutdown_up(tmp_path, restarts):
    if restarts:
        server, addr, serving = start(tell_pid, 1)
        ask_pid(addr)
        server.handler, server.workers.args = None, (tell_pid, {"tls": functools.partial(never_begin, tmp_path)})
        restarting = grt.go(server.restart, 1)
    else:
        server, addr, serving = start(tell_pid, 1, tls=functools.partial(never_begin, tmp_path))
    while not (tmp_path / "asked").exists():
        grt.sleep(0.001)
    assert server.shutdown(timeout=0.05) == 0
    serving.result(timeout=60)
    if restarts:
        assert restarting.result(timeout=60) == 0


def test_a_restart_goes_on_when_a_vm_that_is_replaced_dies():
    server, addr, serving = start(linger, 2)
    with grt.dial("tcp", addr) as conn:
        assert conn.read() == b"here"
        while len(server.workers.keepers) < 2:
            grt.sleep(0.001)
        before = [worker.vm for worker in server.workers.workers]
        restarting = grt.go(server.restart, 60)
        for vm in before:
            while vm not in [worker.vm for worker in server.workers.retiring] and vm.alive:
                grt.sleep(0.001)
            vm.kill()
        assert restarting.result(timeout=60) >= 1  # who served nobody may have ended before
        assert not {vm.pid for vm in before} & {worker.vm.pid for worker in server.workers.workers}
    assert server.shutdown(timeout=0) == 0
    serving.result()


def test_a_fresh_vm_that_dies_while_the_one_before_finishes_is_replaced():
    server, addr, serving = start(linger, 1)
    with grt.dial("tcp", addr) as conn:
        assert conn.read() == b"here"
        restarting = grt.go(server.restart, 60)
        while not server.workers.retiring:
            grt.sleep(0.001)
        fresh = server.workers.workers[0].vm
        fresh.kill()
        while server.workers.workers[0].vm is fresh:
            grt.sleep(0.001)
        with grt.dial("tcp", addr) as other:
            assert other.read() == b"here"
        assert server.shutdown(timeout=0.05) == 1
        assert restarting.result() == 1
    serving.result()


def test_a_server_that_is_over_leaves_nothing_behind():
    def left_after(rounds):
        for _ in range(rounds):
            server, addr, serving = start(tell_pid, 1)
            ask_pid(addr)
            server.shutdown(timeout=10)
            serving.result()
        server = serving = None
        gc.collect()
        return sum(isinstance(each, grt.vm.workers.Workers) for each in gc.get_objects())

    assert left_after(3) == left_after(0)


def test_a_vm_is_not_asked_to_end_them_all():
    listener = grt.listen("tcp", "127.0.0.1:0")
    serving = grt.go(ending.serve, listener)
    with grt.dial("tcp", listener.addr) as conn:
        assert [line.rpartition(b": ")[2] for line in b"".join(conn).splitlines()] == [
            b"the main program ends and restarts its VMs, not one of them"
        ] * 2
    assert ending.shutdown(timeout=10) == 0
    serving.result()


def test_a_shutdown_can_be_hurried():
    server, addr, serving = start(linger, 1)
    with grt.dial("tcp", addr) as conn:
        assert conn.read() == b"here"
        while not server.workers.keepers:
            grt.sleep(0.001)
        patient = blocked(server.shutdown, 600)
        assert server.shutdown(0) == 1 and conn.read() == b""
        assert patient.result(timeout=60) == 1
    serving.result()


def test_after_a_shutdown_no_vms_serve_any_more():
    server, _, serving = start(tell_pid, 1)
    assert server.shutdown(timeout=10) == 0
    serving.result()
    with grt.listen("tcp", "127.0.0.1:0") as other:
        server.serve(other)
        assert other.closed


def test_a_server_whose_vms_serve_has_one_address():
    server, addr, serving = start(tell_pid, 1)
    ask_pid(addr)
    with grt.listen("tcp", "127.0.0.1:0") as other:
        with pytest.raises(RuntimeError, match="has one address"):
            server.serve(other)
        assert other.closed
    assert server.shutdown(timeout=10) == 0
    serving.result()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_the_vms_at_once(second):
    child, addr = start_program(linger, vms=1, grace=600)
    with dial_when_up(addr) as conn:
        assert conn.read() == b"here"
        child.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionRefusedError):  # also while VMs finish
            while True:
                with contextlib.suppress(ConnectionResetError):  # it was in the backlog
                    grt.dial("tcp", addr).close()
        child.send_signal(second)
        status, _, err = finish(child)
        with contextlib.suppress(ConnectionResetError):
            assert conn.read() == b""
    assert status == -second, err


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


def test_a_port_that_another_server_has_is_not_shared_with_it():
    with grt.listen("tcp", "127.0.0.1:0", reuse_port=True) as other:
        with pytest.raises(OSError, match=f"listen tcp 127.0.0.1:{other.addr[1]}") as raised:
            grt.Server(tell_pid, vms=2).run("tcp", other.addr)
    assert raised.value.errno == errno.EADDRINUSE


def own_context(folder, missing):
    """A server's context; none while there is a file that says so."""
    if missing.exists():
        raise OSError("no certificate today")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "localhost.pem", folder / "localhost.key")
    return context


@needs_openssl
def test_each_vm_makes_its_own_context_for_tls(tmp_path):
    missing = tmp_path / "missing"
    server, addr, serving = start(tell_pid, 2, tls=functools.partial(own_context, made(), missing))
    ask = functools.partial(ask_pid, addr, tls=client_context(), server_hostname="localhost")

    assert ask() != os.getpid()
    server.restart(timeout=10)  # which waits until all have begun
    before = {worker.vm.pid for worker in server.workers.workers}
    missing.touch()
    with pytest.raises(OSError, match="no certificate today"):
        server.restart(timeout=10)
    assert ask() in before  # a restart that fails changes nothing
    missing.unlink()
    server.restart(timeout=10)
    assert not before & {ask() for _ in range(20)}
    assert server.shutdown(timeout=10) == 0
    serving.result()


def test_what_fails_to_begin_is_told_at_once(tmp_path):
    _server, _addr, serving = start(tell_pid, 2, tls=functools.partial(own_context, tmp_path, tmp_path))
    with pytest.raises(OSError, match="no certificate today"):
        serving.result()


@needs_openssl
def test_a_context_cannot_be_given_to_vms():
    with pytest.raises(TypeError, match="each VM makes a context of its own"):
        grt.Server(tell_pid, vms=1, tls=server_context())


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
    child, addr = start_program(tell_pid, vms=2)
    before = {ask_pid_soon(addr) for _ in range(40)}
    assert len(before) == 2
    child.send_signal(signal.SIGHUP)
    limit = time.monotonic() + 60
    while before & {ask_pid_soon(addr) for _ in range(20)}:
        assert time.monotonic() < limit
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (0, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not spread connections")
def test_a_sighup_is_not_lost_while_some_of_them_begin():
    child, addr = start_program(tell_pid, vms=2)
    first = ask_pid_soon(addr)
    child.send_signal(signal.SIGHUP)
    limit = time.monotonic() + 60
    while first in {ask_pid_soon(addr) for _ in range(20)}:
        assert time.monotonic() < limit
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (0, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not spread connections")
def test_a_sigterm_lets_those_that_are_being_replaced_finish():
    child, addr = start_program(take_long, vms=1, grace=60)
    ask_pid_soon(addr)
    with grt.dial("tcp", addr) as old:
        first = int(old.read_line())
        child.send_signal(signal.SIGHUP)
        limit = time.monotonic() + 60
        while ask_pid_soon(addr) == first:
            assert time.monotonic() < limit
        child.send_signal(signal.SIGTERM)
        assert old.read_exactly(4) == b"done"
    assert finish(child) == (0, "", "")


@needs_openssl
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not spread connections")
def test_a_restart_that_fails_leaves_a_server_program_as_it_was(tmp_path):
    addr = ("127.0.0.1", unused_port())
    missing = tmp_path / "missing"
    child = spawn(f"""
        import functools, pathlib, grt
        from tests.net.test_server_vms import own_context, tell_pid

        print("ready", flush=True)
        context = functools.partial(own_context, *map(pathlib.Path, {[str(made()), str(missing)]}))
        grt.Server(tell_pid, vms=1, tls=context).run("tcp", {addr})
    """)
    read_line(child)
    options = {"tls": client_context(), "server_hostname": "localhost"}
    before = ask_pid_soon(addr, **options)
    missing.touch()
    child.send_signal(signal.SIGHUP)
    assert child.stderr is not None
    while "no certificate today" not in child.stderr.readline():
        assert child.poll() is None
    assert ask_pid_soon(addr, **options) == before
    missing.unlink()
    child.send_signal(signal.SIGHUP)
    limit = time.monotonic() + 60
    while ask_pid_soon(addr, **options) == before:
        assert time.monotonic() < limit
    child.send_signal(signal.SIGTERM)
    assert finish(child)[0] == 0


def ask_pid_soon(addr, **options):
    with dial_when_up(addr, **options) as conn:
        return int(conn.read_line())
