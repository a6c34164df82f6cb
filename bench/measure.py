"""The jobs, one function each: a contender in, its figures out."""

import contextlib
import csv
import json
import statistics
import subprocess
import time

from bench.process import LOAD_CORE, SERVER_CORE, TWO_CORES, Failed, cpu_seconds, output_of, rss, serving, started
from bench.programs import LOAD, LOAD_TLS

SIZES = (64, 16 * 1024)  # of an echoed message
CONNECTIONS = (1, 100, 1000)
WARMUP = 0.3  # seconds of load before the measurement
OPENING = 30  # seconds that all the connections may take to open
MICRO_LIMIT = 120  # seconds for one micro benchmark; the slowest takes three
IDLE_CONNECTIONS = 10_000
TLS_SIZE = 1024
BULK_CONNECTIONS = 5  # one after the other, in each round
PIPELINES = (1, 16)  # commands that a Redis client sends at once
REDIS_CLIENTS = 50
REDIS_RATE = {1: 40_000, 16: 200_000}  # commands for each second that the job should take
SETTLE = 0.3  # seconds for a server to come to rest before its memory is read


def echo(contender, size, connections, seconds):
    result = echoed(contender, size, connections, seconds, SERVER_CORE, LOAD_CORE)
    values = {
        "rate": result["requests_per_s"],
        "mb": result["mb_per_s"],
        "p50": result["p50_us"],
        "p99": result["p99_us"],
        "cpu": result["cpu_us"],
        "generator": result["load_busy"],
    }
    return {echo_figure(size, connections, name): value for name, value in values.items()}


def echoed(contender, size, connections, seconds, server_core, load_core):
    """What the load generator found, and the server's processor time for each message."""
    with serving(contender, server_core) as (pid, port):
        cpu = cpu_seconds(pid)
        result = loaded(LOAD, port, connections, size, seconds, load_core)
        cpu = cpu_seconds(pid) - cpu
    return {**result, "cpu_us": cpu * 1e6 / result["total"]}


def loaded(generator, port, connections, size, seconds, core=LOAD_CORE):
    command = [generator, port, connections, size, WARMUP, seconds]
    result = json.loads(output_of([str(part) for part in command], core, seconds + OPENING))
    if result["errors"] or not result["requests"]:
        raise Failed(f"{result['errors']} connections lost or with wrong bytes, {result['requests']} requests")
    return result


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
        with holding(port):
            time.sleep(SETTLE)
            return {"idle": (rss(pid) - before) / IDLE_CONNECTIONS}


@contextlib.contextmanager
def holding(port):
    command = [str(LOAD), "--hold", str(port), str(IDLE_CONNECTIONS)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with started(command, LOAD_CORE, **streams) as clients:
        if clients.stdout.readline() != b"ready\n":
            raise Failed(f"could not open {IDLE_CONNECTIONS} connections")
        yield


def crowd(contender, seconds):
    """By how much the idle connections slow down 100 active ones."""
    with serving(contender) as (_, port):

        def rate():
            return loaded(LOAD, port, 100, 64, seconds)["requests_per_s"]

        alone = [rate()]
        with holding(port):
            beside = [rate(), rate()]
        alone.append(rate())
        return {"crowd": sum(alone) / sum(beside)}


def tls(contender, seconds):
    with serving(contender) as (_, port):
        result = loaded(LOAD_TLS, port, 100, TLS_SIZE, seconds)
    return {"tls/rate": result["requests_per_s"], "tls/p50": result["p50_us"], "tls/p99": result["p99_us"]}


def bulk(contender, seconds):
    """MB each second that a connection carries to a client: the median of some, for they differ by half."""
    with serving(contender) as (_, port):
        command = [str(LOAD), "--drain", str(port), str(seconds)]
        rates = [float(output_of(command, LOAD_CORE, OPENING)) for _ in range(BULK_CONNECTIONS)]
    return {"bulk/mb": statistics.median(rates)}


def cores(contender, seconds):
    """Echo of 64 B by a server that has both cores, as has the load generator."""
    result = echoed(contender, 64, 100, seconds, TWO_CORES, TWO_CORES)
    return {"cores/rate": result["requests_per_s"], "cores/cpu": result["cpu_us"]}


def procs(contender, seconds):
    """Pieces of computing each second, with both cores at hand."""
    return {"procs/rate": float(output_of(contender.command_for(seconds), TWO_CORES, MICRO_LIMIT))}


def vm(contender, seconds):
    """What is done between VMs each second, with both cores at hand."""
    return {f"{contender.kind}/rate": float(output_of(contender.command_for(seconds), TWO_CORES, MICRO_LIMIT))}


def redis(contender, pipeline, seconds):
    """Commands each second under redis-benchmark, and the server's processor time for each."""
    count = int(REDIS_RATE[pipeline] * seconds)
    figures = {}
    with serving(contender) as (pid, port):
        for name in ("set", "get"):
            options = f"-h 127.0.0.1 -p {port} -c {REDIS_CLIENTS} -P {pipeline} -n {count} -t {name} -q --csv"
            cpu = cpu_seconds(pid)
            printed = output_of(["redis-benchmark", *options.split()], LOAD_CORE, MICRO_LIMIT)
            rates = [float(row[1]) for row in csv.reader(printed.splitlines()) if row[0].lower() == name]
            if not rates:
                raise Failed(f"redis-benchmark printed {printed!r}")
            figures[redis_figure(name, pipeline, "rate")] = rates[0]
            figures[redis_figure(name, pipeline, "cpu")] = (cpu_seconds(pid) - cpu) * 1e6 / count
    return figures


def redis_figure(name, pipeline, value):
    return f"redis/{name}/{pipeline}/{value}"
