"""TLS: how handshakes fail and streams end."""

import re
import socket
import ssl
import time
from typing import Any

import pytest

import grt
from grt.net import TLSConn
from tests.child import run_program
from tests.goroutines import blocked
from tests.net.certificates import client_context, needs_openssl, server_context
from tests.net.test_tls import accept, dial, echo, over_a_pipe, quiet

pytestmark = needs_openssl


def test_no_goodbye_makes_a_stream_that_was_cut_seem_whole():
    near, far = grt.pipe()
    serving = grt.go(grt.start_tls, far, server_context(), True)
    tls = grt.start_tls(near, client_context(), server_hostname="localhost")
    with tls, serving.result() as other:
        writing = blocked(tls.write, bytes(200_000))
        received = other.read_exactly(40_000)  # a pipe holds 64 KiB: now all but a few bytes of the first piece fit
        grt.gosched()
        tls.set_write_deadline(time.monotonic())
        with pytest.raises(TimeoutError):
            writing.result()
        received += other.read_exactly(40_000)
        tls.close()
        with pytest.raises(ssl.SSLEOFError, match="was cut short"):
            while data := other.read():
                received += data
    assert len(received) < 200_000


def test_a_close_says_goodbye(serve):
    with dial(serve(lambda conn: conn.write(b"all"))) as conn:
        assert conn.read() == b"all" and conn.read() == b""


def test_a_stream_that_was_cut_is_told_from_one_that_has_ended(serve):
    def cut(conn):
        conn.write(b"half")
        conn.transport.close()

    with dial(serve(cut)) as conn:
        assert conn.read() == b"half"
        with pytest.raises(ssl.SSLEOFError, match="was cut short: no close_notify"):
            conn.read()


def test_a_handshake_that_is_never_finished_ends_at_its_deadline():
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        with grt.dial("tcp", listener.addr) as client, accept(listener) as conn:
            client.write(b"\x16\x03\x01")
            with pytest.raises(TimeoutError):
                conn.handshake(0.01)
            conn.set_deadline(time.monotonic() + 0.01)
            with pytest.raises(TimeoutError):
                conn.read()


def test_a_write_that_waits_for_the_handshake_of_a_reader_ends_at_its_deadline():
    near, far = grt.pipe()
    with far, TLSConn(near, client_context(), server_hostname="localhost") as tls, grt.timeout(60):
        reading = blocked(tls.read)
        writing = blocked(tls.write, b"x")
        tls.set_write_deadline(time.monotonic())
        with pytest.raises(TimeoutError, match="the write deadline has passed"):
            writing.result()
        reading.cancel()
        reading.join()


def test_a_handshake_that_was_cut_in_its_last_flight_is_made_on():
    near, far = grt.pipe()
    with TLSConn(near, client_context(), server_hostname="localhost") as tls:
        shaking = blocked(tls.handshake)
        tls.set_write_deadline(time.monotonic())
        serving = grt.go(grt.start_tls, far, server_context(), True)
        with pytest.raises(TimeoutError):
            shaking.result()
        tls.set_write_deadline(None)
        with grt.timeout(30):
            tls.handshake()
            with serving.result() as other:
                other.write(b"hello")
                assert tls.read() == b"hello"


def test_a_handshake_that_has_failed_has_failed_for_good(serve):
    with grt.dial("tcp", serve(quiet)) as transport:
        tls = TLSConn(transport, client_context(), server_hostname="elsewhere.invalid")
        with tls:
            for call in (tls.handshake, tls.read, tls.handshake, lambda: tls.write(b"x")):
                with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                    call()
            assert tls.try_write(b"x") == 0


def test_what_a_client_has_said_before_it_resets_is_read():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        near, far = grt.dial("tcp", listener.addr), accept(listener)
    serving = blocked(grt.start_tls, far, server_context(), True)
    tls = grt.start_tls(near, client_context(), server_hostname="localhost")
    tls.write(b"last words")
    tls.abort()
    with serving.result() as other:
        assert other.read() == b"last words"
        with pytest.raises((ConnectionError, ssl.SSLEOFError)):
            other.read()


BROKEN = "bad record mac|record layer failure"  # what versions of OpenSSL say
NO_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)  # of application data, and not what the keys would make of any


def test_who_sends_what_is_no_record_is_told_by_an_alert():
    tls, other = over_a_pipe()
    with tls, other:
        tls.transport.write(NO_RECORD)
        with pytest.raises(ssl.SSLError, match=rf"^tls over pipe far->near: .*({BROKEN})"):
            other.read()
        with pytest.raises(ssl.SSLError, match=r"^tls over pipe near->far: .*alert"):
            tls.read()


def test_after_a_broken_record_all_calls_tell_of_it():
    tls, other = over_a_pipe()
    with tls, other:
        tls.transport.write(NO_RECORD)
        for call in (
            other.read,
            lambda: other.write(b"x"),
            lambda: other.try_write(b"x"),
            other.close_write,
            other.read,
        ):
            with pytest.raises(ssl.SSLError, match=rf"^tls over pipe far->near: .*({BROKEN})"):
                call()


def test_a_try_to_write_tells_that_nobody_is_there():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        near, far = grt.dial("tcp", listener.addr), accept(listener)
    serving = grt.go(grt.start_tls, far, server_context(), True)
    with grt.start_tls(near, client_context(), server_hostname="localhost") as tls:
        serving.result().abort()
        with pytest.raises((ConnectionResetError, BrokenPipeError)), grt.timeout(60):
            while True:
                tls.try_write(bytes(1000))
                grt.sleep(0.001)


def test_the_goodbye_is_not_lost_where_there_is_no_room_for_it():
    near, far = grt.pipe()
    serving = grt.go(grt.start_tls, far, server_context(), True)
    tls = grt.start_tls(near, client_context(), server_hostname="localhost")
    with serving.result() as other, grt.timeout(60):
        sent = 0
        while sent < 2_000_000:  # so that the last bytes have just found room
            writing = grt.go(tls.write, bytes(16384 - 64))
            sent += 16384 - 64
            grt.gosched()
            if not writing.done:
                break
        while not writing.done:
            other.read_exactly(1)
            sent -= 1
            grt.gosched()
        tls.close()
        assert sum(map(len, other)) == sent


def test_a_server_warns_of_a_stream_that_is_broken(serve, monkeypatch, caplog):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)
    with dial(serve(echo)) as conn:
        conn.write(b"x")
        assert conn.read() == b"x"
        conn.transport.write(NO_RECORD)
        with pytest.raises(ssl.SSLError, match="alert"):
            conn.read()
    assert not reported and [record.levelname for record in caplog.records] == ["WARNING"]
    assert re.search(BROKEN, caplog.text) and "handshake" not in caplog.text


def test_an_open_connection_is_no_trouble_at_the_interpreters_end():
    program = """
        import grt
        from tests.net.certificates import client_context, server_context

        kept = []

        def serve():
            kept.append(listener.accept())
            kept[0].write(b"hello")

        listener = grt.listen("tcp", "127.0.0.1:0", tls=server_context())
        grt.go(serve)
        kept.append(grt.dial("tcp", listener.addr, tls=client_context(), server_hostname="localhost"))
        print(kept[-1].read())
    """
    assert run_program(program, PYTHONWARNINGS="ignore") == (0, "b'hello'\n", "")


def test_a_dial_to_one_who_never_answers_the_handshake_times_out():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        with pytest.raises(TimeoutError, match="no answer within"):
            grt.dial("tcp", listener.addr, timeout=0.05, tls=client_context())
        with accept(listener) as conn:
            assert conn.read_exactly(3)[:1] == b"\x16" and drained(conn)


def drained(conn):
    for _ in conn:
        pass
    return True


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, bytes(range(256))])
def test_what_is_no_tls_is_refused_with_an_alert(said):
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        with grt.dial("tcp", listener.addr) as client, accept(listener) as conn:
            client.write(said)
            client.close_write()
            with pytest.raises(ssl.SSLError):
                conn.handshake(60)
            conn.close()
            try:
                assert client.read()[:1] in (b"\x15", b"")
            except ConnectionResetError:
                pass


@pytest.mark.parametrize("makes_one", [False, True])
def test_a_server_is_given_a_context_or_makes_one(makes_one):
    def shout(conn):
        while server.next_request(conn):
            conn.write(conn.read_line().upper())

    server = grt.Server(shout, tls=server_context if makes_one else server_context())
    listener = grt.listen("tcp", "127.0.0.1:0")
    serving = grt.go(server.serve, listener)
    with dial(listener.addr) as conn:
        conn.write(b"spam\n")
        assert conn.read_line() == b"SPAM\n"
    server.shutdown()
    serving.result()


def test_a_server_is_not_upset_by_what_is_no_tls_nor_by_who_leaves_without_goodbye(serve, monkeypatch, caplog):
    reported: list[Any] = []
    monkeypatch.setattr(grt, "excepthook", reported.append)
    served = []

    def handler(conn):
        echo(conn)
        served.append(conn)

    address = serve(handler)
    with grt.dial("tcp", address) as scanner:
        scanner.write(b"GET / HTTP/1.0\r\n\r\n")
        scanner.close_write()
        assert drained(scanner)
    grt.dial("tcp", address).close()
    with grt.dial("tcp", address) as transport:
        rude = grt.start_tls(transport, client_context(), server_hostname="localhost")
        rude.write(b"spam")
        assert rude.read() == b"spam"
        transport.close_write()
        assert drained(transport)
        rude.close()
    with dial(address, server_hostname="localhost") as polite:
        polite.write(b"spam")
        polite.close_write()
        assert b"".join(polite) == b"spam"
    assert not reported and len(served) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "handshake has failed" in caplog.text and str(address[1]) in caplog.text


def test_a_shutdown_does_not_wait_for_a_client_that_never_begins_its_handshake():
    listener = grt.listen("tcp", "127.0.0.1:0", tls=server_context())
    server = grt.Server(echo)
    serving = grt.go(server.serve, listener)
    with grt.dial("tcp", listener.addr) as scanner, grt.timeout(60):
        while server.connections == 0:
            grt.sleep(0.001)
        assert server.shutdown() == 0
        assert scanner.read() == b""
    serving.result()


def test_a_reset_ends_the_handshake_and_a_read():
    with grt.listen("tcp", "127.0.0.1:0", tls=server_context()) as listener:
        client = grt.dial("tcp", listener.addr)
        with accept(listener) as conn:
            waiting = blocked(conn.handshake)
            client.abort()
            with pytest.raises(ConnectionResetError):
                waiting.result()


def test_a_cancelled_handshake_closes_what_it_was_to_protect():
    near, far = grt.pipe()
    with far:
        waiting = blocked(grt.start_tls, near, client_context(), False, "localhost")
        waiting.cancel()
        with pytest.raises(grt.Cancelled):
            waiting.result()
        assert near.closed and far.read_exactly(1) == b"\x16"


def test_something_that_is_no_context_is_refused():
    with pytest.raises(TypeError, match=r"tls is True or an ssl\.SSLContext"):
        with grt.listen("tcp", "127.0.0.1:0") as listener:
            grt.dial("tcp", listener.addr, tls="yes")
    with pytest.raises(TypeError, match=r"tls is an ssl\.SSLContext"):
        grt.listen("tcp", "127.0.0.1:0", tls=True)
    with pytest.raises(ValueError, match=r"is for clients: a server's is"):
        grt.listen("tcp", "127.0.0.1:0", tls=client_context())
    with pytest.raises(ValueError, match=r"is for clients: a server's is"):
        grt.Server(echo, tls=client_context())
    with grt.listen("tcp", "127.0.0.1:0") as listener, pytest.raises(ValueError, match="is for clients"):
        grt.Server(echo, tls=client_context).serve(listener)
    near, far = grt.pipe()
    with far, pytest.raises(TypeError, match=r"needs an ssl\.SSLContext, not None"):
        grt.start_tls(near, None)  # type: ignore[arg-type]
    assert near.closed


def test_a_client_that_checks_names_names_the_host():
    near, far = grt.pipe()
    with far, pytest.raises(ValueError, match="server_hostname"):
        grt.start_tls(near, client_context())
    assert near.closed


def test_a_failed_handshake_leaves_no_descriptor(serve):
    address = serve(quiet)
    with socket.socket() as probe:
        lowest = probe.fileno()
    for _ in range(3):
        with pytest.raises(ssl.SSLError):
            dial(address, tls=True)
    grt.sleep(0.01)
    with socket.socket() as probe:
        assert probe.fileno() <= lowest + 1
