"""Every goroutine's state, what it waits for, and its stack."""

import gc
import io
import sys
import threading
import weakref
from contextlib import contextmanager

import pytest

import grt
from grt import sync
from grt.debug.stack import stack_of_thread
from tests.goroutines import blocked, end


def of(g):
    [found] = [stack for stack in grt.debug.stacks() if stack.id == g.id]
    return found


def functions(stack):
    return [frame.name for frame in stack.frames]


@contextmanager
def held(*goroutines):
    try:
        yield goroutines[0]
    finally:
        end(*goroutines)


def deep(call, *args):
    return deeper(call, *args)


def deeper(call, *args):
    return call(*args)


def test_a_parked_goroutine_has_its_stack_and_its_start():
    with held(blocked(deep, grt.sleep, 60)) as g:
        found = of(g)
        assert functions(found) == ["deep", "deeper"]
        assert found.started_at is not None and found.started_at[0].endswith("goroutines.py")
        assert (found.name, found.state, found.thread) == ("deep", "parked", threading.current_thread().name)
        assert found.waited >= 0.0


def test_a_running_goroutine_has_the_stack_that_asks():
    g = grt.go(deep, grt.debug.stacks)
    [found] = [stack for stack in g.result() if stack.id == g.id]
    assert functions(found) == ["deep", "deeper"] and found.state == "running"
    assert found.waits_for is None


def test_the_threads_own_stack_is_the_first_and_parked_while_another_asks():
    first = grt.go(grt.debug.stacks).result()[0]
    assert first.state == "parked" and "_that_asks" not in str(first)
    assert functions(first)[-1] == "test_the_threads_own_stack_is_the_first_and_parked_while_another_asks"
    assert first.started_at is None


def test_one_that_has_not_begun_has_no_stack():
    with held(grt.go(deep, grt.sleep, 60)) as g:
        assert (of(g).state, of(g).frames, of(g).waits_for) == ("new", [], None)


def test_one_that_may_run_again_is_runnable():
    g = grt.go(grt.gosched)
    grt.gosched()
    assert of(g).state == "runnable" and of(g).waits_for is None
    g.join()


def test_what_it_waits_for_is_told_in_words():
    c, d, mutex = grt.chan(), grt.chan(1), sync.Mutex()
    d.send(1)
    mutex.lock()
    sleeper = blocked(grt.sleep, 60)
    waits = {
        blocked(c.recv): f"in recv from {c!r}",
        blocked(d.send, 2): f"in send to {d!r}",
        blocked(mutex.lock): f"for {mutex!r}",
        blocked(sleeper.join): f"for the end of goroutine {sleeper.id} (sleep)",
        blocked(grt.select): "in select of nothing",
        blocked(grt.select, c.recv): f"in select of recv from {c!r}",
        blocked(grt.select, (d.send, 2)): f"in select of send to {d!r}",
        sleeper: "in sleep",
    }
    with held(*waits):
        assert {g: of(g).waits_for for g in waits} == waits


def test_a_select_names_all_its_cases():
    c, d = grt.chan(), grt.chan()
    with held(blocked(grt.select, c.recv, (d.send, 1))) as g:
        said = of(g).waits_for
        assert said is not None and f"recv from {c!r}" in said and f"send to {d!r}" in said


def test_a_reader_waits_for_its_connection():
    with grt.listen("tcp", "127.0.0.1:0") as listener, held(blocked(listener.accept)) as g:
        assert of(g).waits_for == f"for {listener!r}"


class Bad:
    def __repr__(self):
        raise ValueError


def test_what_cannot_be_shown_does_not_end_the_dump():
    def wait():
        g = grt.current()
        g.arm(Bad())
        g.park(float("inf"))

    with held(blocked(wait)) as g:
        assert of(g).waits_for == "for <Bad, whose repr raised ValueError>"


@contextmanager
def other_thread(fn):
    """fn(tell, stop) in a thread of its own, which tells when it is where it should be seen."""
    told, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=fn, args=(told.set, stop), name="other")
    thread.start()
    assert told.wait(60)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def waits_there(tell, stop):
    g = blocked(deep, grt.sleep, 60)
    tell()
    while not stop.is_set():
        grt.sleep(0.001)
    end(g)


def computes_there(tell, stop):
    g = blocked(deep, grt.sleep, 60)
    tell()
    while not stop.is_set():
        pass
    end(g)


def of_other_thread():
    return {stack.name: stack for stack in grt.debug.stacks() if stack.thread == "other"}


def test_goroutines_of_other_threads_are_seen_while_those_wait():
    with other_thread(waits_there):
        found = of_other_thread()
    assert functions(found["deep"]) == ["deep", "deeper"] and found["deep"].waits_for == "in sleep"
    assert "waits_there" in functions(found["other"])


def test_goroutines_of_other_threads_are_seen_while_those_compute():
    with other_thread(computes_there):
        found = of_other_thread()
    assert found["deep"].state == "parked"
    assert found["other"].state == "running" and "computes_there" in functions(found["other"])


def test_a_thread_that_never_used_grt_may_ask():
    found = []
    thread = threading.Thread(target=lambda: found.extend(grt.debug.stacks()))
    with held(blocked(deep, grt.sleep, 60)) as g:
        while thread.ident is None or thread.is_alive():  # without a GIL this thread has to answer
            if thread.ident is None:
                thread.start()
            grt.sleep(0.001)
        assert [stack.name for stack in found if stack.id == g.id] == ["deep"]


def test_goroutines_may_come_and_go_while_other_threads_look():
    over = threading.Event()
    faults = []

    def look():
        try:
            while not over.is_set():
                grt.debug.stacks()
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    c = grt.chan()
    for _ in range(300):
        g = blocked(deep, c.recv)
        ends = [grt.go(deep, max, 1, 2) for _ in range(20)]
        c.send(1)
        for e in [g, *ends]:
            e.join()
    over.set()
    thread.join()
    assert faults == []


def test_the_stack_of_a_thread_leaves_the_core_out():
    with other_thread(waits_there):
        [ident] = [thread.ident for thread in threading.enumerate() if thread.name == "other"]
        found = stack_of_thread(ident or 0)
    names = [frame.name for frame in found]
    assert "waits_there" in names and not any("/_core/" in frame.filename for frame in found)


def test_dump_prints_what_stacks_finds(capsys):
    with held(blocked(deep, grt.sleep, 60)) as g:
        grt.debug.dump()
        said = capsys.readouterr().err
        file = io.StringIO()
        grt.debug.dump(file)
    for text in (said, file.getvalue()):
        assert f"goroutine {g.id} (deep) of " in text and "parked for 0." in text and ", in sleep, started at " in text
        assert "    return deeper(call, *args)\n" in text
        assert "_core" not in text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="greenlet shows frames otherwise there")
def test_asking_leaves_nothing_behind():
    g = blocked(deep, grt.sleep, 60)
    grt.debug.stacks()
    g.cancel()
    g.join()
    gone = weakref.ref(g)
    del g
    gc.collect()
    assert gone() is None
