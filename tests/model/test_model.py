"""Random programs of channel operations do what the reference model says, in the order in which it says so."""

import os
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import grt
from grt.testing import bubble
from tests.model.reference import Model

EXAMPLES = int(os.environ.get("GRT_MODEL_EXAMPLES", "400"))

channels = st.integers(0, 2)
timeouts = st.sampled_from([None, None, 1, 2, 5])
cases = st.tuples(st.sampled_from(["send", "recv", "recv_ok", "none"]), channels)
operations = st.one_of(
    st.tuples(st.sampled_from(["send", "recv", "recv_ok"]), channels, timeouts),
    st.tuples(st.just("select"), st.lists(cases, max_size=4).map(tuple), st.booleans(), timeouts),
    st.tuples(st.just("try_send"), channels),
    st.tuples(st.just("sleep"), st.sampled_from([1, 2, 3])),
    st.tuples(st.just("close"), channels),
    st.tuples(st.just("cancel"), st.integers(0, 4)),
)
programs = st.lists(st.lists(operations, min_size=1, max_size=8), min_size=1, max_size=5)


def perform(chans: list[Any], goroutines: list[Any], me: tuple[int, int], operation: tuple[Any, ...]) -> Any:
    """What operation really comes to, in the model's words."""
    name = operation[0]
    try:
        if name == "cancel":
            goroutines[operation[1] % len(goroutines)].cancel()
            return "cancels"
        if name == "close":
            chans[operation[1]].close()
            return "closes"
        if name == "try_send":
            return "sent" if chans[operation[1]].try_send(me) else "not sent"
        if name == "sleep":
            grt.sleep(operation[1])
            return "slept"
        if name == "send":
            chans[operation[1]].send(me, timeout=operation[2])
            return "sent"
        if name == "select":
            return select(chans, me, *operation[1:])
        outcome = getattr(chans[operation[1]], name)(timeout=operation[2])
        return in_words(name, outcome)
    except grt.Closed:
        return "closed"
    except TimeoutError:
        return "timeout"
    except grt.Cancelled:
        return "cancelled"


def select(chans: list[Any], me: tuple[int, int], wanted: Any, default: bool, timeout: float | None) -> Any:
    arguments: list[Any] = []
    for kind, number in wanted:
        if kind == "none":
            arguments.append(None)
        elif kind == "send":
            arguments.append((chans[number].send, me))
        else:
            arguments.append(getattr(chans[number], kind))
    index, value = grt.select(*arguments, default=default, timeout=timeout)
    return (index, None) if index < 0 else (index, in_words(wanted[index][0], value))


def in_words(kind: str, value: Any) -> Any:
    if kind == "send":
        return "sent"
    if kind == "recv_ok":
        value, ok = value
        return value if ok else ("end",)
    return value


def really(capacities: list[int], program: list[list[Any]]) -> list[tuple[int, int, Any]]:
    """Runs program in a bubble; returns what its operations came to, in the order in which they ended."""
    log: list[tuple[int, int, Any]] = []
    goroutines: list[grt.Goroutine] = []

    def run(number: int, operations: list[Any]) -> None:
        for at, operation in enumerate(operations):
            outcome = perform(chans, goroutines, (number, at), operation)
            log.append((number, at, outcome))
            if outcome == "cancelled":
                return

    with bubble():
        chans = [grt.chan(capacity) for capacity in capacities]
        goroutines += [grt.go(run, number, operations) for number, operations in enumerate(program)]
        grt.sleep(1000)
        happened = list(log)
        for g in goroutines:
            g.cancel()
        for g in goroutines:
            while not g.done:  # it may have taken one cancellation for the end of a wait, and wait on
                grt.sleep(10)
                g.cancel()
    return happened


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize="GRT_MODEL_EXAMPLES" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(st.lists(st.integers(0, 2), min_size=3, max_size=3), programs)
@example([0, 0, 0], [[("select", (("recv", 0), ("send", 0)), False, None)], [("recv", 0, None)]])
@example([0, 1, 2], [[("send", 0, 1)], [("sleep", 1), ("recv", 0, None)], [("close", 0)]])
@example([0, 0, 0], [[("recv", 0, None)], [("cancel", 0), ("send", 0, 2)], [("recv_ok", 0, 5)]])
def test_programs_do_what_the_model_says(capacities, program):
    happened = really(capacities, program)
    chosen = {
        (number, at): outcome[0]
        for number, at, outcome in happened
        if program[number][at][0] == "select" and isinstance(outcome, tuple)
    }
    assert happened == Model(capacities, program, chosen).run()
