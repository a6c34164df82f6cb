"""Child processes: pinned to a core, and dead when the benchmark is, however it ends."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

from bench.environment import PEERS

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
START_TIMEOUT = 20.0
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[-1], CORES[0]
TWO_CORES = {SERVER_CORE, LOAD_CORE}
libc = ctypes.CDLL(None)


class Failed(Exception):
    """A contender that did not start, did not end, or echoed the wrong bytes."""


def raise_file_limit():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # children inherit it
    return most


@contextlib.contextmanager
def started(command, core, **streams):
    """A running process, killed on leaving. Nothing here runs threads, so preexec_fn is safe."""

    def before_exec():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # even if this process is killed itself
        os.sched_setaffinity(0, core if isinstance(core, set) else {core})

    process = subprocess.Popen(command, preexec_fn=before_exec, cwd=PEERS, **streams)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def output_of(command, core, timeout):
    """What the process printed. Anything on stderr is a failure too: goroutines that die are cheap to keep."""
    with tempfile.TemporaryFile("w+") as messages:
        with started(command, core, stdout=subprocess.PIPE, stderr=messages, text=True) as process:
            try:
                printed, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                raise Failed(f"not done within {timeout:.0f} s") from None
        if (message := last_line(messages)) or process.returncode != 0:
            raise Failed(message or f"exit status {process.returncode}")
    return printed


@contextlib.contextmanager
def serving(contender, core=SERVER_CORE):
    """An echo server that accepts connections, and its port."""
    port = free_port()
    command = contender.command_for(port)
    with (
        tempfile.TemporaryFile("w+") as messages,
        started(command, core, stdout=subprocess.DEVNULL, stderr=messages) as server,
    ):
        wait_until_it_listens(server, port, messages)
        yield server.pid, port


def wait_until_it_listens(server, port, messages):
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Failed(last_line(messages) or f"ended with status {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed("did not listen in time")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def last_line(messages):
    messages.seek(0)
    lines = messages.read().strip().splitlines()
    return lines[-1] if lines else ""


def rss(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")
