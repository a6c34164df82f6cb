"""A run: everything in interleaved rounds (A B C, A B C, …), then the report.

A contender that fails is told of and the run goes on. Every step is bounded in time by measure.py.
"""

from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench import contenders, machine, measure, plot, process, programs, report
from bench.results import Results

MICRO_JOBS = (
    "spawn", "yield", "wave", "block", "channel", "rendezvous", "select", "mutex", "timer", "ring",
)  # fmt: skip


def run(options):
    console = Console(stderr=True)
    process.raise_file_limit()
    results = Results(options.rounds)
    available = programs.build(partial(tell, results, console))
    if "load" not in available:
        raise SystemExit("The load generator could not be compiled: a C compiler is needed.")
    take(steps(options, available), results, console)
    described = machine.describe()
    options.out.mkdir(parents=True, exist_ok=True)
    report.write(options, results, described)
    plot.draw(options.out, results)
    console.print(f"written: {options.out.name}/benchmarks.md, .json and .svg")


def tell(results, console, line):
    if line not in results.notices:
        results.notices.append(line)
        console.print(line, markup=False, highlight=False)


def steps(options, available):
    """Every measurement of the run, in order: round, contender, a line to show, and what to call."""
    echo = contenders.chosen("echo", available, options.only)
    micro = contenders.chosen("micro", available, options.only)
    jobs = []
    if "echo" in options.jobs:
        jobs += [(echo, *case) for case in echo_cases(options)]
    if "micro" in options.jobs:
        jobs += [(micro, job, partial(measure.micro, job=job)) for job in MICRO_JOBS]
    if "idle" in options.jobs:
        jobs.append((echo, "idle connections", measure.idle))
    jobs += [
        (contenders.chosen(kind, available, options.only), title, partial(call, seconds=options.seconds))
        for kind, title, call in network_jobs(available)
        if kind.partition("/")[0] in options.jobs
    ]
    return [
        (number, contender, title, call)
        for group, title, call in jobs
        for number in range(options.rounds)
        for contender in group
    ]


def network_jobs(available):
    if "redis-benchmark" in available:
        for pipeline in measure.PIPELINES:
            yield "redis", f"Redis, pipelines of {pipeline}", partial(measure.redis, pipeline=pipeline)
    if "TLS" in available:
        yield "tls", "TLS echo", measure.tls
    yield "bulk", "bulk transfer", measure.bulk
    yield "crowd", "beside idle connections", measure.crowd
    yield "procs", "computing in goroutines", measure.procs
    yield "cores", "echo by several threads", measure.cores
    yield "vm/oneway", "messages between VMs", measure.vm
    yield "vm/roundtrip", "messages there and back", measure.vm
    yield "vm/buffer", "large buffers between VMs", measure.vm
    yield "vm/compute", "computing in VMs", measure.vm


def echo_cases(options):
    for size in measure.SIZES:
        for connections in (100,) if options.quick else measure.CONNECTIONS:
            call = partial(measure.echo, size=size, connections=connections, seconds=options.seconds)
            yield f"echo {size} B × {connections}", call


def take(planned, results, console):
    columns = (
        TextColumn("{task.description:44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # No refresh of its own: that would be a thread beside fork, and work on the load generator's core.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        bar = progress.add_task("", total=len(planned))
        for number, contender, title, call in planned:
            progress.update(bar, description=f"round {number + 1}: {title}, {contender.name}", refresh=True)
            try:
                for figure, value in call(contender).items():
                    results.add(figure, contender.name, number, value)
            except process.Failed as failed:
                tell(results, console, f"{contender.name}, {title}: {failed}")
            progress.update(bar, advance=1, refresh=True)
