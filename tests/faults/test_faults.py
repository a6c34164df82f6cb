"""A server met by clients that open, send, half-close, reset and vanish at random: it leaves nothing behind.

    GRT_FAULTS=10000 pytest tests/faults      the long run

The server is demo2's, in a process of its own; the clients are plain sockets.
"""

import itertools
import os
import random
import resource
import socket
import struct
import sys
from pathlib import Path

import pytest

from tests.child import finish, read_line, spawn, wait_ready

CONNECTIONS = int(os.environ.get("GRT_FAULTS", "1000"))
AT_ONCE = 100
ROUNDS = 5
# How far a process's memory varies by itself: without a GIL, what one thread frees another collects later.
NOISE = 1_000_000 if getattr(sys, "_is_gil_enabled", lambda: True)() else 20_000_000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the close to come sends a reset

SERVER = """
    import gc, os, sys
    import grt

    def echo(conn):
        with conn:
            for data in conn:
                conn.write(data)

    def quiet(uncaught):
        if not isinstance(uncaught.error, ConnectionError):
            print(uncaught, file=sys.stderr)

    def serve(listener):
        for conn in listener:
            grt.go(echo, conn)

    def report():
        while len(grt.current().proc.living()) > 3:
            grt.sleep(0.01)
        gc.collect()
        with open("/proc/self/statm") as statm:
            resident = int(statm.read().split()[1])
        print(len(os.listdir("/proc/self/fd")), resident, flush=True)

    def control(listener):
        for _ in range(5):
            listener.accept().close()
            grt.go(report).join()

    def main():
        grt.excepthook = quiet
        with grt.listen("tcp", "127.0.0.1:0") as listener, grt.listen("tcp", "127.0.0.1:0") as controls:
            grt.go(serve, listener)
            print("ready")
            print(listener.addr[1], controls.addr[1], flush=True)
            control(controls)

    grt.run(main)
"""


def start(port, chance):
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    for _ in range(chance.randrange(3)):
        send(client, chance)
    return client


def send(client, chance):
    size = chance.choice([1, 10, 1000, 100_000])
    client.setblocking(False)
    try:
        client.send(bytes(size))
    except (BlockingIOError, ConnectionError):
        pass
    client.settimeout(60)


def end(client, chance):
    """Ends a connection in one of the ways in which connections end."""
    how = chance.randrange(4)
    if how == 0:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    elif how == 1:
        send(client, chance)
    elif how == 2:
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):
            pass
    client.close()


def attack(port, count, chance):
    """Makes count connections, about AT_ONCE of them alive, ended in any order."""
    alive = []
    for _ in range(count):
        alive.append(start(port, chance))
        if len(alive) > AT_ONCE:
            end(alive.pop(chance.randrange(len(alive))), chance)
    while alive:
        end(alive.pop(), chance)


def measure(child, port):
    socket.create_connection(("127.0.0.1", port)).close()
    descriptors, pages = map(int, read_line(child).split())
    return descriptors, pages * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.timeout(600)
def test_random_faults_leave_no_descriptor_no_goroutine_and_no_memory():
    child = spawn(SERVER)
    wait_ready(child)
    port, controls = map(int, read_line(child).split())
    chance = random.Random(11)
    descriptors, memory = [], []
    for round in range(ROUNDS):
        if round:
            attack(port, CONNECTIONS, chance)
        found = measure(child, controls)
        descriptors.append(found[0])
        memory.append(found[1])
    status, _, err = finish(child)
    assert (status, err) == (0, "")
    assert descriptors[-1] - descriptors[0] <= 1  # without a GIL a second thread may have begun
    # What leaks leaks each time; how many connections are there at once differs.
    assert min(later - before for before, later in itertools.pairwise(memory)) < NOISE, memory
