"""The three jobs, one function each: a contender in, its figures out."""

import json
import subprocess
import time

from bench.process import LOAD_CORE, SERVER_CORE, Failed, cpu_seconds, output_of, rss, serving, started
from bench.programs import LOAD

SIZES = (64, 16 * 1024)  # of an echoed message
CONNECTIONS = (1, 100, 1000)
WARMUP = 0.3  # seconds of load before the measurement
OPENING = 30  # seconds that all the connections may take to open
MICRO_LIMIT = 120  # seconds for one micro benchmark; the slowest takes three
IDLE_CONNECTIONS = 10_000
SETTLE = 0.3  # seconds for a server to come to rest before its memory is read


def echo(contender, size, connections, seconds):
    with serving(contender) as (pid, port):
        cpu = cpu_seconds(pid)
        command = [LOAD, port, connections, size, WARMUP, seconds]
        result = json.loads(output_of([str(part) for part in command], LOAD_CORE, seconds + OPENING))
        cpu = cpu_seconds(pid) - cpu
    if result["errors"] or not result["requests"]:
        raise Failed(f"{result['errors']} connections lost or with wrong bytes, {result['requests']} requests")
    values = {
        "rate": result["requests_per_s"],
        "mb": result["mb_per_s"],
        "p50": result["p50_us"],
        "p99": result["p99_us"],
        "cpu": cpu * 1e6 / result["total"],
        "generator": result["load_busy"],
    }
    return {echo_figure(size, connections, name): value for name, value in values.items()}


def echo_figure(size, connections, name):
    return f"echo/{size}/{connections}/{name}"


def micro(contender, job):
    printed = output_of(contender.command_for(job), SERVER_CORE, MICRO_LIMIT)
    figures = {}
    for line in printed.splitlines():
        name, value = line.split()
        figures[name] = float(value)
    return figures


def idle(contender):
    """Memory of the server for each connection that has had one echo and is silent since."""
    with serving(contender) as (pid, port):
        time.sleep(SETTLE)
        before = rss(pid)
        command = [str(LOAD), "--hold", str(port), str(IDLE_CONNECTIONS)]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with started(command, LOAD_CORE, **streams) as clients:
            if clients.stdout.readline() != b"ready\n":
                raise Failed(f"could not open {IDLE_CONNECTIONS} connections")
            time.sleep(SETTLE)
            return {"idle": (rss(pid) - before) / IDLE_CONNECTIONS}
