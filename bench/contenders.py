"""Who is compared: one line for each program.

A contender of kind "echo" is a server that takes a port where its command has {}; one of kind "micro" runs the job
it is given there. Commands run in peers/.
"""

from dataclasses import dataclass

from bench.environment import COMPILED, PURE, python_of
from bench.programs import BUILT

BASELINE = "grt"  # ratios are of this one to the others


@dataclass(frozen=True)
class Contender:
    name: str
    kind: str  # "echo" or "micro"
    needs: str  # what programs.build() must have found
    command: tuple

    def command_for(self, argument):
        return [str(part).replace("{}", str(argument)) for part in self.command]


PY, PURE_PY = python_of(COMPILED), python_of(PURE)

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
