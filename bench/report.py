"""docs/benchmarks.md and benchmarks.json, written from the results and nothing else."""

import json
from datetime import date

from bench.contenders import BASELINE
from bench.measure import CONNECTIONS, IDLE_CONNECTIONS, PIPELINES, REDIS_CLIENTS, SIZES, echo_figure, redis_figure
from bench.targets import KB, TARGETS

GOROUTINES = (  # figure, head of its column, scale
    ("spawn", "start, run, end: ns", 1),
    ("fresh", "start one that waits: ns", 1),
    ("wave", "… wake it, end: ns", 1),
    ("yield", "yield: ns", 1),
    ("staying", "start one that stays: ns", 1),
    ("blocked", "memory of that one: KB", KB),
)
GOROUTINES_TEXT = f"""A goroutine is a greenlet in gevent and a task in the others; {BASELINE} × in brackets.

- *start, run, end*: batches of 1000 that do nothing and that nobody joins (in trio the nursery does).
- *start one that waits*: batches of 1000, each started when the one before has ended, so that stacks are new
  but their memory is not; then *wake it, end*, the start included. In grt: the first run of those that find no
  greenlet to reuse, their place in the run queue already taken.
- *yield*: two that yield to each other.
- *one that stays*: 50 000 are started and stay blocked, so nothing can be reused, and the kernel's price for a new
  page of memory is part of it."""
CHANNELS = (
    ("channel", "buffered: ns", 1),
    ("rendezvous", "unbuffered: ns", 1),
    ("select", "select: ns", 1),
    ("mutex", "mutex: ns", 1),
    ("timer", "timer: ns", 1),
    ("ring", "ring, each hop: ns", 1),
)
CHANNELS_TEXT = f"""All on one core; {BASELINE} × in brackets. A dash: there is no such thing in that one.

- *buffered*, *unbuffered*: one goroutine sends, another receives, each item is one send and one receive. The buffer
  holds 100. gevent's Queue and Channel, asyncio's and curio's Queue, trio's memory channel.
- *select*: one goroutine sends to two unbuffered channels in turn, another selects over both.
- *mutex*: lock and unlock, with nobody else about. gevent's BoundedSemaphore, the others' Lock.
- *timer*: set one and stop it, while 100 000 others wait, with moments before and after its own. gevent's loop.timer,
  asyncio's call_later.
- *ring*: 10 000 goroutines in a ring of unbuffered channels; one item goes round. asyncio and curio have no such
  channel: there each is a queue that holds one."""
REDIS = tuple(
    (redis_figure(name, pipeline, value), f"{name.upper()} × {pipeline}: {unit}", scale)
    for pipeline in PIPELINES
    for name in ("set", "get")
    for value, unit, scale in (("rate", "thousand/s", 1000), ("cpu", "CPU µs", 1))
)
REDIS_TEXT = f"""`redis-benchmark` with {REDIS_CLIENTS} clients that send one command at a time, or 16, against
[redis_server.py](../examples/redis_server.py), the same commands behind gevent's sockets and asyncio's streams, and
Redis itself; {BASELINE} × in brackets. *CPU* is the server's processor time for each command: one by one, the load
generator is the limit for the fastest. grt's connections show what they have buffered, so the example keeps its answers
back while more of a pipeline is there; gevent's files and asyncio's streams do not, *gevent tuned* has a reader of its
own for that."""
TLS = (("tls/rate", "requests/s", 1), ("tls/p50", "p50 µs", 1), ("tls/p99", "p99 µs", 1))
TLS_TEXT = (
    f"""Echo of 1 KiB over 100 connections with TLS 1.3; the load generator is in Go. {BASELINE} × in brackets."""
)
BULK = (("bulk/mb", "MB/s", 1),)
BULK_TEXT = f"""A server writes 64 KiB at a time to one client, which only reads; {BASELINE} × in brackets. How fast
that goes differs by half from one connection to the next, whoever writes: in each round it is the median of five."""
CORES = (("cores/rate", "requests/s", 1), ("cores/cpu", "CPU µs", 1))
CORES_TEXT = f"""Echo of 64 B over 100 connections by a server of two threads, on an interpreter without a GIL. It
shares two cores with the load generator, so the server's processor time for each request says more than their number;
{BASELINE} × in brackets."""
CLOSER_TEXT = f"""With one message on its way for each connection, the time there and back grows with their
number. *CPU* is the server's processor time for each request, kernel included, with {BASELINE} × beside it: it stands
even where the load generator is the limit. *generator* is how busy that one was."""
NONE = "–"


def write(options, results, described):
    command = repeat_command(options)
    parts = [
        heading(options, command),
        section("What must be reached", targets_table(results)),
        "![The main figures as bars](benchmarks.svg)",
        *echo_sections(results),
        micro_section(results, "Goroutines", GOROUTINES_TEXT, GOROUTINES),
        micro_section(results, "Channels, locks and timers", CHANNELS_TEXT, CHANNELS),
        idle_section(results),
        micro_section(results, "A Redis in Python", REDIS_TEXT, REDIS),
        micro_section(results, "TLS", TLS_TEXT, TLS),
        micro_section(results, "One connection, as fast as it goes", BULK_TEXT, BULK),
        crowd_section(results),
        procs_section(results),
        micro_section(results, "All cores: connections", CORES_TEXT, CORES),
        vm_section(results),
        closer_section(results),
        section("The machine", "\n".join(f"- {name}: {value}" for name, value in described.items())),
    ]
    if results.notices:
        parts.append(section("Left out", "\n".join(f"- {line}" for line in results.notices)))
    (options.out / "benchmarks.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    data = {"command": command, "machine": described, "notices": results.notices, "values": results.values}
    (options.out / "benchmarks.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def repeat_command(options):
    if options.quick:
        return "python3 -m bench --quick"
    return f"python3 -m bench --rounds {options.rounds} --seconds {options.seconds:g}"


def heading(options, command):
    rounds = "once" if options.rounds == 1 else f"{options.rounds} times over"
    return f"""# Benchmarks

Written on {date.today()} by

    {command}

from the project's root; every number of every round is in [benchmarks.json](benchmarks.json).

All contenders take their turns, {rounds}, and each figure is the median of the rounds. *{BASELINE} ×* says how many
times better {BASELINE} is: above 1 it is ahead, whether more or less of the figure is good. It is taken within each
round, between runs that are seconds apart, and then the median. Servers run on one core, the load generator on another,
over the loopback interface, with `TCP_NODELAY` everywhere. Each connection has one message on its way, and every byte
that comes back is compared with the one sent."""


def section(title, body):
    return f"## {title}\n\n{body}" if body else ""


def table(head, rows):
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def targets_table(results):
    rows = []
    for target in TARGETS:
        value = target.reached(results)
        measured = "not measured" if value is None else f"{number(value)} {target.counted_in()}"
        verdict = NONE if value is None else "pass" if target.passes(value) else "**FAIL**"
        rows.append((target.promise, target.must_be(), measured, verdict))
    return table(("promise", "must be", "is", ""), rows)


def number(value, scale=1):
    """Three digits that count, thousands apart."""
    if value is None:
        return NONE
    value /= scale
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def against(results, figure, peer):
    return NONE if peer == BASELINE else number(results.advantage(figure, peer))


def measured_counts(results, size):
    return [count for count in CONNECTIONS if results.contenders(echo_figure(size, count, "rate"))]


def echo_sections(results):
    for size in SIZES:
        if counts := measured_counts(results, size):
            yield section(f"Echo, messages of {size_name(size)}", rates_table(results, size, counts))


def closer_section(results):
    tables = [
        f"### {size_name(size)} × {count}\n\n{closer_table(results, size, count)}"
        for size in SIZES
        for count in measured_counts(results, size)
    ]
    return section("Echo, closer", "\n\n".join([CLOSER_TEXT, *tables])) if tables else ""


def size_name(size):
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"


def rates_table(results, size, counts):
    head = ["requests/s"]
    for count in counts:
        head += [f"{count} conn.", f"{BASELINE} ×"]
    names = {name: None for count in counts for name in results.contenders(echo_figure(size, count, "rate"))}
    rows = []
    for name in names:
        row = [name]
        for count in counts:
            figure = echo_figure(size, count, "rate")
            row += [number(results.median(figure, name)), against(results, figure, name)]
        rows.append(row)
    return table(head, rows)


def closer_table(results, size, count):
    figure = {name: echo_figure(size, count, name) for name in ("rate", "mb", "p50", "p99", "cpu", "generator")}
    rows = [
        (
            name,
            number(results.median(figure["mb"], name)),
            number(results.median(figure["p50"], name)),
            number(results.median(figure["p99"], name)),
            number(results.median(figure["cpu"], name)),
            against(results, figure["cpu"], name),
            f"{results.median(figure['generator'], name):.0%}",
        )
        for name in results.contenders(figure["rate"])
    ]
    return table(("", "MB/s", "p50 µs", "p99 µs", "CPU µs", f"{BASELINE} ×", "generator"), rows)


def micro_section(results, title, text, columns):
    columns = [column for column in columns if results.contenders(column[0])]
    if not columns:
        return ""
    names = {name: None for figure, _, _ in columns for name in results.contenders(figure)}
    rows = [(name, *(with_ratio(results, figure, name, scale) for figure, _, scale in columns)) for name in names]
    head = ("", *(name for _, name, _ in columns))
    return section(title, f"{text}\n\n{table(head, rows)}")


def idle_section(results):
    rows = [(name, with_ratio(results, "idle", name, KB)) for name in results.contenders("idle")]
    if not rows:
        return ""
    text = (
        f"{number(IDLE_CONNECTIONS)} connections, each silent after one echo: what the server's memory grew by for\n"
        f"each, without the kernel's part; {BASELINE} × in brackets."
    )
    return section("Idle connections", f"{text}\n\n{table(('', 'KB'), rows)}")


def crowd_section(results):
    slower = results.median("crowd", BASELINE)
    if slower is None:
        return ""
    text = (
        f"Echo of 64 B over 100 connections, a deadline set for each read, alone and beside\n"
        f"{number(IDLE_CONNECTIONS)} idle connections with a deadline each: alone it is {slower:.2f} times as fast."
    )
    return section("Beside idle connections", text)


def procs_section(results):
    one, two = (results.median("procs/rate", name) for name in ("1 Proc", "2 Procs"))
    if not one or not two:
        return ""
    ratio = results.advantage("procs/rate", "1 Proc", of="2 Procs")
    text = (
        "Goroutines that compute, about a millisecond each, on an interpreter without a GIL and two cores:\n"
        f"{number(one)} of them each second with `procs=1`, {number(two)} with `procs=2`, {ratio:.2f} times as many."
    )
    return section("All cores: Procs", text)


def vm_section(results):
    one, two = (results.median("vm/compute/rate", name) for name in ("1 VM", "2 VMs"))
    oneway = [
        results.median("vm/oneway/rate", name) for name in ("grt", "multiprocessing.Queue", "multiprocessing.Pipe")
    ]
    there = [results.median("vm/roundtrip/rate", name) for name in ("grt", "multiprocessing.Pipe")]
    buffer = results.median("vm/buffer/rate", "grt")
    if not all([one, two, buffer, *oneway, *there]):
        return ""
    ratio = results.advantage("vm/compute/rate", "1 VM", of="2 VMs")
    text = (
        "Between the main program and a VM, on two cores; multiprocessing has two processes, too.\n\n"
        f"- Messages of 64 B each second: {number(oneway[0])} over a channel that holds 1000, "
        f"{number(oneway[1])} over a `multiprocessing.Queue`, {number(oneway[2])} over a `multiprocessing.Pipe`.\n"
        f"- There and back, each second: {number(there[0])}; {number(there[1])} over a `multiprocessing.Pipe`.\n"
        f"- Buffers of 64 MiB: {buffer / 1e9:.2f} GB/s.\n"
        f"- Pieces of computing, about ten milliseconds each: {number(one)} each second in a pool of one VM, "
        f"{number(two)} in one of two, {ratio:.2f} times as many."
    )
    return section("All cores: VMs", text)


def with_ratio(results, figure, name, scale):
    value, ratio = number(results.median(figure, name), scale), against(results, figure, name)
    return value if ratio == NONE else f"{value} ({ratio})"
