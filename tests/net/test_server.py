"""grt.Server: who is served, how many at a time, for how long, and how it ends."""

import contextlib
import gc
import signal
import time
from typing import Any

import pytest

import grt
from tests.child import finish, read_line, run_program, spawn, wait_ready
from tests.goroutines import living
from tests.net.test_dial import dial_when_up, unused_port


@pytest.fixture
def start(listener):
    """Starts a server of a handler on listener; it must have ended at the test's end, and left nothing."""
    started = []

    def start(handler, **options):
        server = grt.Server(handler, **options)
        started.append((server, grt.go(server.serve, listener)))
        return server

    yield start
    for server, serving in started:
        server.shutdown(0)
        serving.result()
        assert server.connections == 0
    assert len(living()) == 1


def echo(conn):
    for data in conn:
        conn.write(data)


def dial(listener):
    return grt.dial("tcp", listener.addr)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        grt.sleep(0.001)


def test_each_connection_has_its_goroutine_and_is_closed_behind_it(start, listener):
    names = []

    def greet(conn):
        names.append(grt.current().id)
        conn.write(b"hello")

    start(greet)
    for _ in range(3):
        with dial(listener) as conn:
            assert conn.read() == b"hello" and conn.read() == b""
    assert len(set(names)) == 3


def test_a_handler_that_raises_is_reported_and_the_others_are_served(start, listener, monkeypatch):
    reported = []
    monkeypatch.setattr(grt, "excepthook", reported.append)

    def handler(conn):
        if conn.read() == b"bad":
            raise ValueError("spam")
        conn.write(b"good")

    server = start(handler)
    with dial(listener) as bad, dial(listener) as good:
        bad.write(b"bad")
        assert bad.read() == b""
        good.write(b"good")
        assert good.read() == b"good"
    wait_for(lambda: server.connections == 0)
    assert [str(uncaught.error) for uncaught in reported] == ["spam"]


def test_a_client_that_resets_is_not_worth_a_report(start, listener, capfd):
    server = start(echo)
    for _ in range(3):
        conn = dial(listener)
        conn.write(b"x" * 100_000)
        conn.abort()
    wait_for(lambda: server.connections == 0)
    assert capfd.readouterr().err == ""


def test_a_backend_that_is_not_there_is_worth_a_report(start, listener, monkeypatch):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)
    with grt.listen("tcp", "127.0.0.1:0") as unused:
        nobody = unused.addr
    start(lambda conn: grt.dial("tcp", nobody))
    with dial(listener) as conn:
        assert conn.read() == b""
    wait_for(lambda: gc.collect() is not None and reported)  # a failed dial is a circle in the pure build
    assert isinstance(reported[0].error, ConnectionRefusedError)


def test_the_limit_keeps_others_waiting_until_one_has_gone(start, listener):
    server = start(echo, limit=2)
    with dial(listener) as first, dial(listener) as second, dial(listener) as third:
        for conn in (first, second):
            conn.write(b"x")
            assert conn.read() == b"x"
        third.write(b"y")
        third.set_read_deadline(time.monotonic() + 0.05)
        with pytest.raises(TimeoutError):
            third.read()
        assert server.connections == 2
        third.set_read_deadline(None)
        first.close()
        assert third.read() == b"y"


def ask(server_of):
    def handler(conn):
        while server_of[0].next_request(conn):
            conn.write(conn.read_line().upper())

    return handler


def test_requests_are_answered_until_the_client_closes(start, listener):
    server_of = []
    server_of.append(start(ask(server_of), idle_timeout=60, read_timeout=60))
    with dial(listener) as conn:
        for word in (b"spam\n", b"eggs\n"):
            conn.write(word)
            assert conn.read_line() == word.upper()
        conn.close_write()
        assert conn.read() == b""


def test_who_says_nothing_is_hung_up_on(start, listener):
    server_of = []
    server_of.append(start(ask(server_of), idle_timeout=0.02))
    with dial(listener) as conn:
        assert conn.read() == b""
    with dial(listener) as conn:
        conn.write(b"spam\n")
        assert conn.read() == b"SPAM\n" and conn.read() == b""


def test_who_says_a_byte_at_a_time_is_hung_up_on_without_a_report(start, listener, capfd):
    server_of = []
    server_of.append(start(ask(server_of), idle_timeout=60, read_timeout=0.02))
    with dial(listener) as conn:
        grt.sleep(0.04)  # not a request yet: nobody is in a hurry
        conn.write(b"s")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while conn.peek:
                conn.write(b"p")
                grt.sleep(0.005)
    assert capfd.readouterr().err == ""


def test_who_does_not_take_the_answer_is_hung_up_on_without_a_report(start, listener, capfd):
    cut = grt.chan()

    def pour(conn):
        while server.next_request(conn):
            try:
                conn.write(b"x" * int(conn.read_line()))
            except TimeoutError:
                cut.close()
                raise

    server = start(pour, write_timeout=0.5)
    with dial(listener) as slow, dial(listener) as quick:
        slow.write(b"50000000\n")
        for _ in range(3):  # for longer than write_timeout, which each answer has
            quick.write(b"3\n")
            assert quick.read() == b"xxx"
            grt.sleep(0.3)
        cut.recv_ok()
        wait_for(lambda: server.connections == 1)
    assert capfd.readouterr().err == ""


def test_a_timeout_of_the_handlers_own_is_worth_a_report(start, listener, monkeypatch):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)

    def handler(conn):
        while server.next_request(conn):
            with grt.timeout(0.01):
                grt.select()

    server = start(handler, read_timeout=60, write_timeout=60)
    with dial(listener) as conn:
        conn.write(b"x")
        assert conn.read() == b""
    gc.collect()  # in the pure build the frames of the timeout lead back to the goroutine
    wait_for(lambda: reported)
    assert "0.01 s of grt.timeout" in str(reported[0].error)


def test_next_request_is_for_connections_that_are_served(start, listener):
    server = start(echo)
    near, far = grt.pipe()
    with near, far, pytest.raises(ValueError, match="is not served"):
        server.next_request(near)


def test_without_descriptors_it_goes_on_serving_whom_it_has_and_then_the_rest():
    status, out, err = run_program("""
        import os, resource, socket, grt

        def echo(conn):
            for data in conn:
                conn.write(data)

        def ask(client):
            grt.blocking(client.sendall, b"hello")
            return grt.blocking(client.recv, 100)

        def main():
            server, listener = grt.Server(echo), grt.listen("tcp", "127.0.0.1:0")
            serving = grt.go(server.serve, listener)
            clients = [socket.socket() for _ in range(6)]
            before = len(os.listdir("/dev/fd"))
            most = max(client.fileno() for client in clients) + 3  # for those that are accepted
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            for client in clients:
                client.connect(listener.addr)
            while server.connections < 2:
                grt.sleep(0.01)
            grt.sleep(0.05)
            first = [ask(client) for client in clients[:2]]
            print(server.connections, first)
            for client in clients[:2]:
                client.close()
            for client in clients[2:]:
                print(ask(client))
                client.close()
            print(server.shutdown(60))
            serving.result()
            print(before - len(os.listdir("/dev/fd")))

        grt.run(main)
    """)
    assert (status, err) == (0, "")
    assert out == "2 [b'hello', b'hello']\n" + "b'hello'\n" * 4 + "0\n7\n"  # 6 clients, 1 listener


def test_shutdown_closes_the_idle_and_waits_for_the_rest(start, listener):
    go_on = grt.chan()

    def handler(conn):
        for data in conn:
            if data == b"slow":
                go_on.recv()
            conn.write(data.upper())

    server = start(handler)
    with dial(listener) as idle, dial(listener) as busy:
        idle.write(b"fast")
        assert idle.read() == b"FAST"
        busy.write(b"slow")
        grt.sleep(0.01)
        ending = grt.go(server.shutdown, 60)
        assert idle.read() == b""
        assert not ending.done and server.connections == 1
        with pytest.raises(ConnectionRefusedError):
            dial(listener)
        go_on.send(None)
        assert busy.read() == b"SLOW" and busy.read() == b""
        assert ending.result() == 0


def test_shutdown_waits_for_the_first_request_of_who_has_just_connected(start, listener, monkeypatch):
    monkeypatch.setattr("grt.net.server.FIRST", 1000.0)

    def serve(conn):
        while server.next_request(conn):
            conn.write(b"you said " + conn.read_line())

    server = start(serve)
    with dial(listener) as conn, dial(listener) as other:
        wait_for(lambda: server.connections == 2)
        ending = grt.go(server.shutdown, 60)
        wait_for(lambda: server.stopping)
        grt.sleep(0.01)
        conn.write(b"hi\n")
        assert conn.read_exactly(12) == b"you said hi\n" and conn.read() == b""
        assert not ending.done
        monkeypatch.setattr("grt.net.server.FIRST", 0.0)
        assert other.read() == b""
        assert ending.result() == 0


def test_shutdown_lets_a_request_that_has_begun_be_answered(start, listener):
    server_of = []
    server = start(ask(server_of))
    server_of.append(server)
    with dial(listener) as conn:
        conn.write(b"half a ")
        wait_for(lambda: server.connections == 1)
        grt.sleep(0.01)
        ending = grt.go(server.shutdown, 60)
        grt.sleep(0.01)
        assert not ending.done
        conn.write(b"line\n")
        assert conn.read_line() == b"HALF A LINE\n" and conn.read() == b""
        assert ending.result() == 0


def test_shutdown_cuts_what_is_left_and_says_how_many(start, listener):
    cleaned = []

    def stubborn(conn):
        conn.read()
        try:
            grt.sleep(60)
        finally:
            cleaned.append(True)

    server = start(stubborn)
    with dial(listener) as one, dial(listener) as two:
        for conn in (one, two):
            conn.write(b"x")
        wait_for(lambda: server.connections == 2)
        grt.sleep(0.01)
        assert server.shutdown(0.01) == 2
        assert cleaned == [True, True] and one.read() == b""


def test_shutdown_of_a_server_that_waits_for_a_place(start, listener):
    server = start(echo, limit=1)
    with dial(listener) as conn:
        conn.write(b"x")
        assert conn.read() == b"x"
        assert server.shutdown(60) == 0


def test_shutdown_cuts_also_whose_handler_has_not_begun(listener, monkeypatch):
    begun, cutting = [], []
    server = grt.Server(begun.append, limit=1)
    serving = grt.go(server.serve, listener)

    def go_behind_a_shutdown(fn, *args):
        cutting.append(grt.go(server.shutdown, 0))
        return grt.go(fn, *args)

    monkeypatch.setattr(grt.net.server, "go", go_behind_a_shutdown)
    with dial(listener) as conn:
        serving.result(timeout=60)
        assert cutting[0].result() == 1 and server.connections == 0 and begun == []
        assert conn.read() == b""


def test_after_a_shutdown_a_connection_is_closed_unserved():
    served: list[Any] = []
    server = grt.Server(served.append, limit=1)
    assert server.shutdown(0) == 0
    for _ in range(2):
        near, far = grt.pipe()
        server.serve_conn(far)
        assert near.read() == b"" and not served and server.connections == 0
        near.close()


def test_after_a_shutdown_it_serves_no_more(start, listener):
    server = start(echo)
    server.shutdown()
    with grt.listen("tcp", "127.0.0.1:0") as other:
        server.serve(other)
        assert other.closed


def test_one_server_on_two_listeners(start, listener):
    server = start(echo)
    with grt.listen("tcp", "127.0.0.1:0") as other:
        serving = grt.go(server.serve, other)
        for at in (listener, other):
            with dial(at) as conn:
                conn.write(b"x")
                assert conn.read() == b"x"
        server.shutdown(60)
        serving.result()


def test_a_listener_that_is_closed_ends_serve_and_not_the_connections(start, listener):
    server = start(echo)
    with dial(listener) as conn:
        conn.write(b"x")
        assert conn.read() == b"x"
        listener.close()
        conn.write(b"y")
        assert conn.read() == b"y" and server.connections == 1


def test_no_function_is_refused():
    with pytest.raises(TypeError, match="a function that takes a connection"):
        grt.Server("handler")  # type: ignore[arg-type]


async def handle_async(conn):
    pass


def test_a_coroutine_function_is_refused():
    with pytest.raises(TypeError, match="async"):
        grt.Server(handle_async)


@pytest.mark.parametrize(
    ("option", "value", "kind", "said"),
    [
        ("limit", 0, ValueError, "connections are served at once, at least 1, not 0"),
        ("limit", "x", TypeError, "str"),
        ("idle_timeout", "x", TypeError, "not 'x'"),
        ("read_timeout", 0, ValueError, "a positive number of seconds, or None, not 0"),
        ("write_timeout", -1, ValueError, "a positive number of seconds, or None, not -1"),
        ("tls", "cert.pem", TypeError, "an ssl.SSLContext, or a function that makes one, not 'cert.pem'"),
        ("vms", -1, ValueError, "not -1"),
        ("vms", "x", TypeError, "str"),
    ],
)
def test_options_that_make_no_sense_are_refused(option, value, kind, said):
    with pytest.raises(kind, match=said):
        grt.Server(echo, **{option: value})


LIFE = """
import grt

def handler(conn):
    for data in conn:
        if data == b"slow":
            print("serving", flush=True)
            grt.sleep(%s)
        conn.write(data.upper())

print("ready", flush=True)
grt.Server(handler).run("tcp", "127.0.0.1:%d", grace=%s)
print("drained", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(number):
    port = unused_port()
    child = spawn(LIFE % (0.2, port, 60))
    wait_ready(child)
    with dial_when_up(("127.0.0.1", port)) as idle, grt.dial("tcp", ("127.0.0.1", port)) as busy:
        idle.write(b"x")
        assert idle.read() == b"X"
        busy.write(b"slow")
        assert grt.blocking(read_line, child) == "serving\n"
        child.send_signal(number)
        assert idle.read() == b"" and busy.read() == b"SLOW" and busy.read() == b""
    status, out, err = finish(child)
    assert (status, out) == (0, "drained\n"), err


def test_the_second_signal_ends_it_at_once():
    port = unused_port()
    child = spawn(LIFE % (60, port, 60))
    wait_ready(child)
    with dial_when_up(("127.0.0.1", port)) as busy:
        for word in (b"x", b"slow"):
            busy.write(word)
            assert word == b"slow" or busy.read() == b"X"
        assert grt.blocking(read_line, child) == "serving\n"
        child.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionRefusedError):
            while True:
                with contextlib.suppress(ConnectionResetError):  # it was in the backlog
                    grt.dial("tcp", ("127.0.0.1", port)).close()
        child.send_signal(signal.SIGTERM)
        status, _, err = finish(child)
    assert status == -signal.SIGTERM, err
