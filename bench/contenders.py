"""Who is compared: one line for each program.

A contender of kind "micro" runs the job that it is given where its command has {}, one of kind "procs" or "vm/..."
takes seconds there; all others are servers that take a port. Commands run in peers/.
"""

from dataclasses import dataclass

from bench.environment import COMPILED, FREE, PURE, ROOT, python_of
from bench.programs import BUILT, CERTIFICATE, KEY

BASELINE = "grt"  # ratios are of this one to the others


@dataclass(frozen=True)
class Contender:
    name: str
    kind: str  # the job
    needs: str  # what programs.build() must have found
    command: tuple

    def command_for(self, argument):
        return [str(part).replace("{}", str(argument)) for part in self.command]


PY, PURE_PY, FREE_PY = python_of(COMPILED), python_of(PURE), python_of(FREE)
REDIS = ROOT / "examples" / "redis_server.py"

CONTENDERS = (
    Contender("grt", "echo", "grt", (PY, "grt_echo.py", "{}")),
    Contender("grt pure", "echo", "grt pure", (PURE_PY, "grt_echo.py", "{}")),
    Contender("epoll in C", "echo", "C", (BUILT / "epoll_echo", "{}")),
    Contender("Go", "echo", "Go", (BUILT / "echo_go", "{}")),
    Contender("gevent", "echo", "gevent", (PY, "gevent_echo.py", "{}")),
    Contender("uvloop protocol", "echo", "uvloop", (PY, "asyncio_echo.py", "{}", "uvloop", "protocol")),
    Contender("uvloop stream", "echo", "uvloop", (PY, "asyncio_echo.py", "{}", "uvloop", "stream")),
    Contender("asyncio protocol", "echo", "asyncio", (PY, "asyncio_echo.py", "{}", "asyncio", "protocol")),
    Contender("asyncio stream", "echo", "asyncio", (PY, "asyncio_echo.py", "{}", "asyncio", "stream")),
    Contender("trio", "echo", "trio", (PY, "trio_echo.py", "{}")),
    Contender("curio", "echo", "curio", (PY, "curio_echo.py", "{}")),
    Contender("grt", "micro", "grt", (PY, "grt_micro.py", "{}")),
    Contender("grt pure", "micro", "grt pure", (PURE_PY, "grt_micro.py", "{}")),
    Contender("Go", "micro", "Go", (BUILT / "micro_go", "{}")),
    Contender("gevent", "micro", "gevent", (PY, "gevent_micro.py", "{}")),
    Contender("uvloop", "micro", "uvloop", (PY, "asyncio_micro.py", "{}", "uvloop")),
    Contender("asyncio", "micro", "asyncio", (PY, "asyncio_micro.py", "{}", "asyncio")),
    Contender("trio", "micro", "trio", (PY, "trio_micro.py", "{}")),
    Contender("curio", "micro", "curio", (PY, "curio_micro.py", "{}")),
    Contender("grt", "redis", "grt", (PY, REDIS, "127.0.0.1:{}")),
    Contender("grt pure", "redis", "grt pure", (PURE_PY, REDIS, "127.0.0.1:{}")),
    Contender("gevent", "redis", "gevent", (PY, "gevent_redis.py", "{}")),
    Contender("gevent tuned", "redis", "gevent", (PY, "gevent_redis.py", "{}", "tuned")),
    Contender("asyncio stream", "redis", "asyncio", (PY, "asyncio_redis.py", "{}", "asyncio")),
    Contender("uvloop stream", "redis", "uvloop", (PY, "asyncio_redis.py", "{}", "uvloop")),
    Contender("Redis itself", "redis", "redis-server", ("redis-server", "--port", "{}", "--save", "")),
    Contender("grt", "tls", "grt", (PY, "grt_tls.py", "{}", CERTIFICATE, KEY)),
    Contender("gevent", "tls", "gevent", (PY, "gevent_tls.py", "{}", CERTIFICATE, KEY)),
    Contender("uvloop protocol", "tls", "uvloop", (PY, "asyncio_tls.py", "{}", CERTIFICATE, KEY, "uvloop", "protocol")),
    Contender("uvloop stream", "tls", "uvloop", (PY, "asyncio_tls.py", "{}", CERTIFICATE, KEY, "uvloop", "stream")),
    Contender(
        "asyncio protocol", "tls", "asyncio", (PY, "asyncio_tls.py", "{}", CERTIFICATE, KEY, "asyncio", "protocol")
    ),
    Contender("grt", "bulk", "grt", (PY, "grt_bulk.py", "{}")),
    Contender("Go", "bulk", "Go", (BUILT / "bulk_go", "{}")),
    Contender("gevent", "bulk", "gevent", (PY, "gevent_bulk.py", "{}")),
    Contender("uvloop stream", "bulk", "uvloop", (PY, "asyncio_bulk.py", "{}", "uvloop")),
    Contender("grt", "crowd", "grt", (PY, "grt_deadlines.py", "{}")),
    Contender("1 Proc", "procs", "grt free-threaded", (FREE_PY, "grt_procs.py", "{}", 1)),
    Contender("2 Procs", "procs", "grt free-threaded", (FREE_PY, "grt_procs.py", "{}", 2)),
    Contender("grt", "cores", "grt free-threaded", ("env", "GRT_PROCS=2", FREE_PY, "grt_echo.py", "{}")),
    Contender("tonio", "cores", "tonio", (FREE_PY, "tonio_echo.py", "{}", 2)),
    Contender("grt", "vm/oneway", "grt", (PY, "grt_vm.py", "oneway", "{}")),
    Contender("multiprocessing.Queue", "vm/oneway", "asyncio", (PY, "multiprocessing_vm.py", "oneway", "{}", "queue")),
    Contender("multiprocessing.Pipe", "vm/oneway", "asyncio", (PY, "multiprocessing_vm.py", "oneway", "{}", "pipe")),
    Contender("grt", "vm/roundtrip", "grt", (PY, "grt_vm.py", "roundtrip", "{}")),
    Contender(
        "multiprocessing.Pipe", "vm/roundtrip", "asyncio", (PY, "multiprocessing_vm.py", "roundtrip", "{}", "pipe")
    ),
    Contender("grt", "vm/buffer", "grt", (PY, "grt_vm.py", "buffer", "{}")),
    Contender("1 VM", "vm/compute", "grt", (PY, "grt_vm.py", "compute", "{}", 1)),
    Contender("2 VMs", "vm/compute", "grt", (PY, "grt_vm.py", "compute", "{}", 2)),
)


def chosen(kind, available, only):
    """Those of that kind that can run here and whose names begin with one of `only` (all, when it is empty)."""
    return [
        contender
        for contender in CONTENDERS
        if contender.kind == kind
        and contender.needs in available
        and (not only or contender.name.lower().startswith(only))
    ]
