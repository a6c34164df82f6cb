"""Layer 2: connections of callbacks, their queued writes and every way they end, against plain sockets."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grt import Closed
from grt.loop import EventLoop, Listener
from grt.poll import READ, WRITE

LIMIT = 30  # seconds; nothing waits it out unless a test fails
DEMO1 = Path(__file__).parents[1] / "examples" / "demo1.py"


class Scene:
    """A loop, a listener on it, a plain socket connected to it, and what happens to the connection."""

    def __init__(self):
        self.loop = EventLoop()
        self.notes, self.conns, self.errors = [], [], []
        self.loop.on_error = lambda source, error: self.errors.append(error)
        self.giving_up = self.loop.call_later(LIMIT, self.loop.stop)
        self.listener = Listener(self.loop, "127.0.0.1:0", self.on_conn)
        self.near = socket.create_connection(self.listener.addr)
        self.near.settimeout(LIMIT)
        self.until(lambda: self.conns)
        self.conn = self.conns[0]

    def on_conn(self, conn):
        self.conns.append(conn)
        conn.on_read = lambda conn, data: self.notes.append(("read", data))
        conn.on_close = lambda conn: self.notes.append("close")
        conn.on_error = lambda conn, error: self.notes.append(type(error))

    def until(self, happened):
        while not happened():
            assert self.giving_up.cancel(), "waited too long"
            self.giving_up = self.loop.call_later(LIMIT, self.loop.stop)
            self.loop.turn(0.002)

    def drop(self):
        self.listener.close()
        for conn in self.conns:
            conn.on_close = None
            if not conn.closed:
                conn.abort()
        self.near.close()
        self.loop.close()


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.drop()


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def read_to_the_end(sock):
    while sock.recv(1_000_000):
        pass


def fill(conn, piece=b"x" * 65536):
    """Writes until the kernel takes no more."""
    written = 0
    while not conn.unsent:
        conn.write(piece)
        written += len(piece)
    return written


def test_what_arrives_is_handed_over(scene):
    scene.near.sendall(b"hello")
    scene.until(lambda: scene.notes)
    assert scene.notes == [("read", b"hello")]


def test_a_write_that_fits_goes_out_at_once(scene):
    scene.conn.write(b"hello")
    assert scene.near.recv(100) == b"hello"
    assert scene.conn.unsent == 0 and scene.conn.events == READ


def test_queued_writes_arrive_whole_and_in_order(scene):
    sent = [bytes([number % 251]) * 100_000 for number in range(100)]
    for piece in sent:
        scene.conn.write(piece)
    assert scene.conn.unsent  # the kernel did not take it all
    came, scene_near = bytearray(), scene.near
    scene_near.settimeout(0)

    def all_came():
        try:
            came.extend(scene_near.recv(50_000))
        except BlockingIOError:
            pass
        return len(came) == 100 * 100_000

    scene.until(all_came)
    assert came == b"".join(sent)


def test_the_unsent_rest_goes_back_to_the_front(scene):
    fill(scene.conn)
    scene.conn.write(b"second")
    assert bytes(scene.conn.queue[-1]) == b"second" and len(scene.conn.queue) == 2
    assert 0 < len(scene.conn.queue[0]) <= 65536


def test_write_interest_is_on_only_while_the_queue_is_not_empty(scene):
    assert scene.conn.events == READ
    left = fill(scene.conn)
    assert scene.conn.events == READ | WRITE
    scene.near.settimeout(0)

    def drained():
        nonlocal left
        try:
            left -= len(scene.near.recv(1_000_000))
        except BlockingIOError:
            pass
        return left == 0

    scene.until(drained)
    scene.until(lambda: not scene.conn.unsent)
    assert scene.conn.events == READ


def test_a_buffer_that_is_changed_after_the_write_was_copied(scene):
    fill(scene.conn)
    mine = bytearray(b"before")
    scene.conn.write(mine)
    mine[:] = b"after!"
    assert bytes(scene.conn.queue[-1]) == b"before"


def test_a_read_of_length_zero_closes(scene):
    scene.near.close()
    scene.until(lambda: scene.conn.closed)
    assert scene.notes == ["close"]


def test_close_sends_the_queue_first(scene):
    left = fill(scene.conn)
    scene.conn.close()
    assert not scene.conn.closed
    with pytest.raises(Closed):
        scene.conn.write(b"late")
    scene.near.settimeout(0)
    ended = False

    def at_end():
        nonlocal left, ended
        try:
            data = scene.near.recv(1_000_000)
            left -= len(data)
            ended = not data
        except BlockingIOError:
            pass
        return ended

    scene.until(at_end)
    assert left == 0 and scene.notes == ["close"]


def test_abort_drops_the_queue_and_resets(scene):
    fill(scene.conn)
    scene.conn.abort()
    assert scene.conn.closed and scene.notes == ["close"]
    with pytest.raises(ConnectionResetError):
        read_to_the_end(scene.near)


def test_a_reset_is_an_error_and_then_the_end(scene):
    reset(scene.near)
    scene.until(lambda: scene.conn.closed)
    assert scene.notes == [ConnectionResetError, "close"]


def test_writing_to_a_peer_that_is_gone_is_an_error_and_then_the_end(scene):
    fill(scene.conn)
    reset(scene.near)
    scene.until(lambda: scene.conn.closed)
    assert scene.notes[0] in (BrokenPipeError, ConnectionResetError) and scene.notes[1:] == ["close"]


def test_closing_twice_tells_once(scene):
    scene.conn.close()
    scene.conn.close()
    scene.conn.abort()
    assert scene.notes == ["close"]


def test_a_callback_that_raises_is_reported_and_the_connection_goes_on(scene):
    scene.conn.on_read = lambda conn, data: 1 / 0
    scene.near.sendall(b"x")
    scene.until(lambda: scene.errors)
    scene.conn.on_read = lambda conn, data: conn.write(data)
    scene.near.sendall(b"again")
    scene.until(lambda: not scene.loop.turn(0.01))
    assert scene.near.recv(100) == b"again"
    assert [type(error) for error in scene.errors] == [ZeroDivisionError]


def test_a_half_closed_peer_does_not_spin_the_loop_while_the_queue_waits(scene):
    scene.conn.write(b"x" * 30_000_000)  # more than the kernel takes, however it tunes its buffers
    scene.near.shutdown(socket.SHUT_WR)
    scene.until(lambda: scene.conn.closing)
    turns, over = 0, []
    scene.loop.call_later(0.2, over.append, True)
    while not over:
        scene.loop.turn(-1.0)
        turns += 1
    assert turns < 50 and scene.conn.unsent


def test_a_burst_of_connections_is_accepted(scene):
    many = [socket.create_connection(scene.listener.addr) for _ in range(200)]
    scene.until(lambda: len(scene.conns) == 201)
    for one in many:
        one.close()
    scene.until(lambda: all(conn.closed for conn in scene.conns[1:]))


def test_a_closed_listener_leaves_its_connections_alone(scene):
    scene.listener.close()
    scene.listener.close()
    scene.near.sendall(b"x")
    scene.until(lambda: scene.notes)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(scene.listener.addr)


def test_a_port_in_use_is_named(scene):
    with pytest.raises(OSError, match=f"listen tcp 127.0.0.1:{scene.listener.addr[1]}"):
        Listener(scene.loop, scene.listener.addr, print)


EXHAUSTED = """
import resource, socket
from grt.loop import EventLoop, Listener
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
loop, conns = EventLoop(), []
listener = Listener(loop, "127.0.0.1:0", conns.append)
clients = []
while True:
    client = socket.socket()
    clients.append(client)
    if client.fileno() > 24:
        break
    client.connect(listener.addr)
clients.pop().close()
while len(conns) + 1 < len(clients) and loop.timers.next_when() == float("inf"):
    loop.turn(0.1)
assert len(conns) < len(clients), "descriptors did not run out"
for client in clients[:len(conns)]:
    client.close()
seen = len(clients)
while len(conns) < seen:
    loop.turn(0.5)
print("served", len(conns) == seen)
for conn in conns:
    conn.close()
for client in clients:
    client.close()
listener.close()
loop.close()
"""


def test_accepting_goes_on_after_descriptors_have_run_out():
    done = subprocess.run([sys.executable, "-c", EXHAUSTED], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("served True\n", "")


def test_demo1_echoes_and_ends_quietly_on_ctrl_c():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(DEMO1), f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        client = None
        while client is None and server.poll() is None:
            try:
                client = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
            except ConnectionRefusedError:
                continue
        assert client is not None, server.communicate()
        client.sendall(b"echo")
        assert client.recv(100) == b"echo"
        client.close()
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=LIMIT)
    assert server.returncode == 0 and "Traceback" not in said
