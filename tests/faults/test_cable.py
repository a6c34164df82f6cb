"""Peers behind a bad network: packets lost and late, black holes, cut cables. Each in a process of its own."""

import subprocess

import pytest

from tests.child import finish, spawn
from tests.faults.cable import UNSHARE, needs_namespaces, needs_netem
from tests.net.certificates import made, needs_openssl

HEAD = """
    import contextlib, hashlib, os, random, socket, ssl, subprocess, sys, time
    import grt
    from tests.faults.cable import FAR, FAR6, Netem, UserSpace
    from tests.goroutines import blocked, living

    PATIENCE = 60

    @contextlib.contextmanager
    def laid(kind=UserSpace):
        "A cable, and at its end: nothing is left of what was done over it."
        grt.current()
        before, alive = len(os.listdir("/proc/self/fd")), len(living())
        cable = kind()
        yield cable
        cable.close()
        assert (len(os.listdir("/proc/self/fd")), len(living())) == (before, alive)

    def refused(call, error):
        try:
            call()
        except error as caught:
            return str(caught)
        raise AssertionError(f"no {error}")
"""


@pytest.fixture(scope="module", autouse=True)
def _namespaces():
    needs_namespaces()


def run(program):
    status, out, err = finish(spawn(HEAD + program, under=UNSHARE))
    assert (status, out, err) == (0, "done\n", ""), err


def test_a_dial_into_a_black_hole_ends_at_its_timeout_and_by_cancellation():
    run("""
    with laid() as cable:
        cable.cut()
        said = refused(lambda: grt.dial("tcp", (FAR, 80), timeout=0.05), TimeoutError)
        assert said == f"dial tcp {FAR}:80: no answer within 0.05 s", said
        dialling = blocked(grt.dial, "tcp", (FAR, 80))
        dialling.cancel()
        refused(dialling.result, grt.Cancelled)
        assert cable.seen
    print("done")
    """)


def test_a_second_address_is_tried_while_the_first_is_a_black_hole():
    run("""
    with open("/etc/hosts") as before, open("/dev/shm/hosts", "w") as hosts:
        hosts.write(f"{before.read()}\\n{FAR} twofold\\n{FAR6} twofold\\n")
    subprocess.run(["mount", "--bind", "/dev/shm/hosts", "/etc/hosts"], check=True)
    with laid() as cable:
        first, second = grt.lookup("twofold")
        assert {first, second} == {FAR, FAR6}
        version = 6 if ":" in first else 4
        lost = []
        cable.loses = lambda packet: packet[0] >> 4 == version and not lost.append(packet)
        with cable.far.entered():
            listener = grt.listen("tcp", ":0")
        port = listener.addr[1]
        with listener, grt.dial("tcp", ("twofold", port), timeout=PATIENCE) as conn, listener.accept() as far:
            assert conn.remote_addr == (second, port) and lost, (conn.remote_addr, lost)
            conn.write(b"hello")
            assert far.read() == b"hello"
        cable.cut()
        cable.seen.clear()
        refused(lambda: grt.dial("tcp", ("twofold", port), timeout=0.1), TimeoutError)
        assert {packet[0] >> 4 for packet in cable.seen} == {4, 6}  # the time was for both
    print("done")
    """)


def test_a_peer_that_has_vanished_is_found_out():
    run("""
    with laid() as cable:
        with cable.far.entered():
            listener = grt.listen("tcp", f"{FAR}:0")
        with listener, grt.dial("tcp", listener.addr) as near, listener.accept() as far:
            near.set_keepalive(1)
            near.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
            cable.cut()
            far.abort()  # of which near hears nothing
            reading = blocked(near.read)
            assert "Connection timed out" in refused(reading.result, TimeoutError)
    print("done")
    """)


def test_a_peer_that_has_forgotten_the_connection_resets_it():
    run("""
    with laid() as cable:
        with cable.far.entered():
            listener = grt.listen("tcp", f"{FAR}:0")
        with listener:
            for call in ("read", "write"):
                with grt.dial("tcp", listener.addr) as near, listener.accept() as far:
                    cable.cut()
                    far.abort()  # its reset is lost
                    near.set_deadline(time.monotonic() + 0.01)
                    refused(near.read, TimeoutError)
                    near.set_deadline(None)
                    cable.mend()
                    near.write(b"are you there?")
                    def again():
                        while True:
                            near.write(bytes(100)) if call == "write" else near.read()
                            grt.sleep(0.001)
                    refused(again, (ConnectionResetError, BrokenPipeError))
    print("done")
    """)


def test_a_server_gives_up_clients_that_have_vanished():
    run("""
    def handler(conn):
        while server.next_request(conn):
            conn.write(conn.read_line())

    with laid() as cable:
        server = grt.Server(handler, idle_timeout=0.2)
        with cable.far.entered():
            listener = grt.listen("tcp", f"{FAR}:0")
        serving = grt.go(server.serve, listener)
        clients = [grt.dial("tcp", listener.addr) for _ in range(10)]
        for client in clients:
            client.write(b"hello\\n")
            assert client.read_line() == b"hello\\n"
        cable.cut()
        with grt.timeout(PATIENCE):
            while server.connections:
                grt.sleep(0.01)
        server.shutdown(0)
        serving.result()
        for client in clients:
            client.close()
    print("done")
    """)


TRANSFER = """
    SIZE = 300_000

    def digest_of(conn):
        digest, count = hashlib.blake2b(), 0
        while count < SIZE:
            data = conn.read()
            assert data
            digest.update(data)
            count += len(data)
        return digest.hexdigest()

    def exchange(conn, data):
        writing = grt.go(conn.write, data)
        conn.set_read_deadline(time.monotonic() + PATIENCE)
        digest = digest_of(conn)
        writing.result()
        return digest

    def ends(cable, tls):
        server = client = None
        if tls:
            server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=f"{tls}/ca.pem")
            server.load_cert_chain(f"{tls}/localhost.pem", f"{tls}/localhost.key")
        with cable.far.entered():
            listener = grt.listen("tcp", f"{FAR}:0", tls=server)
        with listener:
            dialling = grt.go(grt.dial, "tcp", listener.addr, PATIENCE, tls=client, server_hostname="localhost")
            far = listener.accept()
            if tls:
                far.handshake(PATIENCE)
            return dialling.result(), far

    def main(kind, tls):
        with laid(kind) as cable:
            cable.worsen(0.03, 0.002)
            near, far = ends(cable, tls)
            with near, far:
                data = random.Random(1).randbytes(SIZE)
                there, back = grt.go(exchange, near, data), grt.go(exchange, far, data)
                assert there.result() == back.result() == hashlib.blake2b(data).hexdigest()
                near.set_read_deadline(time.monotonic() + 0.01)
                refused(near.read, TimeoutError)
                near.set_read_deadline(None)
                far.write(b"on it goes")
                assert near.read_exactly(10) == b"on it goes"
        print("done")
"""


@pytest.mark.parametrize("kind", ["UserSpace", "Netem"])
@pytest.mark.parametrize("tls", [False, pytest.param(True, marks=needs_openssl)])
def test_what_is_lost_on_the_way_and_late_arrives_whole(kind, tls):
    if kind == "Netem":
        needs_netem()
    run(TRANSFER + f"    main({kind}, {str(made()) if tls else ''!r})\n")


def test_the_namespaces_are_the_childs_own():
    said = subprocess.run([*UNSHARE, "ip", "-br", "link"], capture_output=True, text=True, timeout=60, check=False)
    assert said.stdout.startswith("lo ") and said.stdout.count("\n") <= 2
