"""What the tests have VMs do: functions that are found by name there."""

import os
import signal
import sys
import time

import grt


def double(x):
    return 2 * x


def ident():
    return os.getpid()


def fail(text):
    raise ValueError(text)


class Stubborn(Exception):
    """Pickles, and cannot be made again."""

    def __init__(self, one, two):
        super().__init__(one)


def fail_stubbornly():
    raise Stubborn("one", "two")


def wait_for_ever(started=None):
    if started is not None:
        started.send(os.getpid())
    grt.select()


def compute_until(path, begun=None):
    if begun is not None:
        begun.touch()
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        pass


def append_to(path, text):
    with path.open("a") as file:
        file.write(text)


def wait_to_receive(channel, started):
    started.send(None)
    return channel.recv()


def clean_up(started, told):
    try:
        wait_for_ever(started)
    finally:
        told.send("cleaned up")


def exit_with(status):
    os._exit(status)


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def spin(started):
    started.send(os.getpid())
    while True:
        time.sleep(0)


def say(text):
    print(text)
    print(text, file=sys.stderr)


def echo(requests, replies):
    for value in requests:
        replies.send(value)
    replies.close()


def send_all(channel, values, close=True):
    for value in values:
        channel.send(value)
    if close:
        channel.close()


def recv_all(channel):
    return list(channel)


def recv_some(channel, count):
    return [channel.recv() for _ in range(count)]


def recv_one(channel, timeout=None):
    return channel.recv(timeout)


def send_one(channel, value, timeout=None):
    channel.send(value, timeout)


def answer_on(channel):
    for value, reply in channel:
        reply.send(2 * value)


def make_channel(capacity, values):
    channel = grt.chan(capacity)
    for value in values:
        channel.send(value)
    return channel


def make_and_fill(out, values):
    channel = grt.chan()
    out.send(channel)
    send_all(channel, values)


def select_all(a, b, count):
    found = []
    for _ in range(count):
        found.append(grt.select(a.recv, b.recv))
    return found


def select_mixed(crossing, local_first):
    """A select over a channel of this VM and one that crosses: what it chose, and what is left."""
    mine = grt.chan(1)
    if local_first:
        mine.send("mine")
    return grt.select(mine.recv, crossing.recv)


def try_recv(channel):
    return grt.select(channel.recv_ok, default=True)


def try_send(channel, value):
    return grt.select((channel.send, value), default=True)


def close(channel):
    channel.close()


def closed_error(channel):
    try:
        channel.send("too late")
    except grt.Closed as error:
        return str(error)
    return None


def describe(value):
    """What came: its type and its content."""
    return type(value).__name__, bytes(value)[:3], memoryview(value).nbytes


def first_byte_changed(value):
    value[0] = 7
    return value


def serve_one(conn):
    with conn:
        for data in conn:
            conn.write(data.upper())


def accept_one(listener):
    with listener.accept() as conn:
        conn.write(b"from a VM")


def flood(channel, count):
    for i in range(count):
        channel.send(i)


def worker(jobs, results):
    done = 0
    for job in jobs:
        results.send((job, 2 * job))
        done += 1
    return done


def send_unopenable(channel):
    channel.send(Unopenable())


class Reluctant:
    """Cannot be pickled."""

    def __init__(self, why=None):
        self.why = why

    def __reduce__(self):
        raise self.why or TypeError("I stay here")


class Unopenable:
    """Can be pickled, and not be made again."""

    def __reduce__(self):
        return fail, ("it cannot be opened",)
