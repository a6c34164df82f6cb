"""The event loop itself: dispatch, timers, calls from other threads, and what survives a handler that raises."""

import math
import os
import random
import signal
import socket
import sys
import threading

import pytest

from grt._core.loop import EventLoop, Handler, ScheduledCall
from grt.poll import EDGE, READ, WRITE, Poller

LIMIT = 30  # seconds; nothing waits it out unless a test fails


@pytest.fixture(params=Poller.backends())
def loop(request):
    loop = EventLoop(request.param)
    giving_up = loop.call_later(LIMIT, loop.stop)
    yield loop
    giving_up.cancel()
    loop.close()


@pytest.fixture
def pairs():
    made = [socket.socketpair() for _ in range(4)]
    for pair in made:
        for end in pair:
            end.setblocking(False)
    yield made
    for pair in made:
        for end in pair:
            end.close()


class Reader(Handler):
    """Notes what it reads; does whatever else a test wants."""

    def __init__(self, end, note, then=None):
        super().__init__(end.fileno())
        self.end, self.note, self.then = end, note, then

    def on_event(self, flags):
        self.note.append(self.end.recv(100))
        if self.then is not None:
            self.then()


def test_a_handler_is_called_when_its_descriptor_is_readable(loop, pairs):
    (near, far), note = pairs[0], []
    loop.add(Reader(near, note, loop.stop), READ)
    far.send(b"news")
    loop.run()
    assert note == [b"news"]


def test_calls_come_in_the_order_of_their_delays(loop):
    note = []
    loop.call_later(0.02, note.append, 2)
    loop.call_later(0.01, note.append, 1)
    loop.call_later(0.03, loop.stop)
    loop.run()
    assert note == [1, 2]


def test_a_cancelled_call_is_never_made(loop):
    note = []
    call = loop.call_later(0.0, note.append, "no")
    assert call.cancel() is True and call.cancel() is False
    loop.call_later(0.01, loop.stop)
    loop.run()
    assert note == []


def test_other_threads_queue_calls_and_wake_the_loop(loop):
    seen = []

    def work():
        loop.call_soon(lambda: seen.append(threading.current_thread()))
        loop.call_soon(loop.stop)

    thread = threading.Thread(target=work)
    loop.call_soon(thread.start)
    loop.run()
    thread.join()
    assert seen == [threading.current_thread()]


def test_each_threads_calls_are_made_in_its_order(loop):
    note, left = [], [4]

    def last():
        left[0] -= 1
        if not left[0]:
            loop.stop()

    def work(name):
        for number in range(500):
            loop.call_soon(note.append, (name, number))
        loop.call_soon(last)

    threads = [threading.Thread(target=work, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    loop.run()
    for thread in threads:
        thread.join()
    for name in range(4):
        assert [number for found, number in note if found == name] == list(range(500))


def while_waiting(loop, act):
    """Turns once, for as long as it takes; another thread acts when the loop is in its wait."""

    def work():
        while not loop.waiting:
            pass
        act()

    thread = threading.Thread(target=work)
    thread.start()
    loop.turn(-1.0)
    thread.join()
    assert len(loop.timers) == 1, "only the limit has ended the wait"


def test_wake_from_another_thread_ends_the_wait(loop):
    while_waiting(loop, loop.wake)


def test_a_wake_before_the_wait_is_not_lost(loop):
    loop.wake()
    loop.turn(-1.0)
    assert len(loop.timers) == 1


def test_a_signal_handler_can_wake_the_loop_and_queue_calls(loop):
    note = []
    loop.heed_signals()
    former = signal.signal(signal.SIGUSR1, lambda number, frame: loop.call_soon(note.append, number))
    try:
        while_waiting(loop, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1))
        loop.turn(0.0)  # the wait may have ended by the signal, before the call was queued
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert note == [signal.SIGUSR1]


def test_stop_from_another_thread_ends_run(loop):
    thread = threading.Thread(target=loop.stop)
    loop.call_soon(thread.start)
    loop.run()
    thread.join()


def test_stop_before_run_makes_it_return_at_once(loop):
    loop.stop()
    loop.run()
    assert not loop.running


def test_a_running_loop_cannot_be_run_again(loop):
    errors = []

    def again():
        try:
            loop.run()
        except RuntimeError as error:
            errors.append(str(error))
        loop.stop()

    loop.call_soon(again)
    loop.run()
    assert errors == ["this event loop is already running"]


def test_a_callback_cannot_turn_its_loop(loop):
    errors = []
    loop.on_error = lambda source, error: errors.append(type(error))
    loop.call_soon(loop.turn, 0.0)
    loop.call_soon(loop.stop)
    loop.run()
    assert errors == [RuntimeError]


def test_what_raises_is_reported_and_the_loop_goes_on(loop, pairs):
    (near, far), note, reported = pairs[0], [], []
    loop.on_error = lambda source, error: reported.append((source, type(error)))
    handler = Reader(near, note, lambda: 1 / 0)

    def fail():
        raise KeyError("soon")

    loop.add(handler, READ)
    loop.call_soon(fail)
    loop.call_later(0.0, fail)
    far.send(b"x")
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert note == [b"x"]
    assert (handler, ZeroDivisionError) in reported and len(reported) == 3


def test_without_a_hook_errors_are_printed(loop, capsys):
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(loop.stop)
    loop.run()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_on_error_that_raises_ends_run_and_the_rest_comes_later(loop, pairs):
    note, reported = [], []

    def give_up(source, error):
        reported.append(source)
        raise error

    loop.on_error = give_up
    for near, far in pairs:
        loop.add(Reader(near, note, lambda: 1 / 0), READ | EDGE)
        far.send(b"once")
    loop.call_soon(note.append, "soon")
    loop.call_later(0.0, note.append, "later")
    for _ in pairs:
        with pytest.raises(ZeroDivisionError):
            loop.run()
    assert note == [b"once"] * len(pairs) and len(set(reported)) == len(pairs)
    loop.call_soon(loop.stop)
    loop.run()
    assert note[len(pairs) :] == ["later", "soon"]


def test_a_standard_error_that_is_gone_does_not_end_the_loop(loop, monkeypatch):
    broken = open(os.devnull)  # noqa: SIM115 - cannot be written to
    monkeypatch.setattr(sys, "stderr", broken)
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(loop.stop)
    loop.run()
    broken.close()


def test_an_interrupt_ends_run_and_the_rest_of_the_batch_comes_later(loop, pairs):
    note = []

    def interrupt():
        raise KeyboardInterrupt

    for near, far in pairs:
        loop.add(Reader(near, note, interrupt), READ | EDGE)
        far.send(b"once")
    for _ in pairs:
        with pytest.raises(KeyboardInterrupt):
            loop.run()
    assert note == [b"once"] * len(pairs)


def test_a_handler_removed_in_the_batch_gets_nothing(loop, pairs):
    note, handlers = [], []

    for near, far in pairs:
        handlers.append(Reader(near, note))
        far.send(b"x")

    def first():
        for handler in handlers:
            loop.discard(handler)
        loop.call_soon(loop.stop)

    for handler in handlers:
        handler.then = first
        loop.add(handler, READ)
    loop.run()
    assert note == [b"x"]


def test_an_event_of_a_closed_and_reused_number_wakes_nobody(loop, pairs):
    note, fresh = [], []
    near, far = pairs[0]
    other, its_far = socket.socketpair()
    handlers = [Reader(near, note), Reader(other, note)]

    def reuse():
        for handler in handlers:
            loop.discard(handler)
        number = other.fileno()
        other.close()
        fresh.extend(socket.socketpair())
        assert number in {end.fileno() for end in fresh}
        for end in fresh:
            loop.add(Reader(end, note), READ)
        loop.call_soon(loop.call_soon, loop.stop)

    for handler in handlers:
        handler.then = reuse
        loop.add(handler, READ)
    far.send(b"x")
    its_far.send(b"x")
    loop.run()
    assert note == [b"x"]
    for end in (its_far, *fresh):
        end.close()


def test_discard_forgives_what_remove_does_not(loop, pairs):
    handler = Reader(pairs[0][0], [])
    loop.discard(handler)
    with pytest.raises(KeyError):
        loop.remove(handler)


def test_timers_do_not_starve_descriptors(loop, pairs):
    (near, far), note = pairs[0], []

    def again():
        loop.call_later(0.0, again)

    again()
    loop.add(Reader(near, note, loop.stop), READ)
    far.send(b"x")
    loop.run()
    assert note == [b"x"]


def test_descriptors_do_not_starve_timers_and_calls(loop, pairs):
    near, far = pairs[0]
    note = []

    class Busy(Handler):
        def on_event(self, flags):
            """Leaves what there is, so that there is always something."""

    loop.add(Busy(near.fileno()), READ)
    far.send(b"x")
    loop.call_soon(note.append, "soon")
    loop.call_later(0.01, note.append, "later")
    loop.call_later(0.02, loop.stop)
    loop.run()
    assert note == ["soon", "later"]


def test_calls_that_queue_calls_do_not_starve_descriptors_and_timers(loop, pairs):
    (near, far), note = pairs[0], []

    def again():
        loop.call_soon(again)

    def later():
        note.append("later")
        far.send(b"x")

    again()
    loop.call_later(0.01, later)
    loop.add(Reader(near, note, loop.stop), READ)
    loop.run()
    assert note == ["later", b"x"]


def test_modify_replaces_what_a_handler_is_called_for(loop, pairs):
    near, far = pairs[0]
    flags = []

    class Flags(Handler):
        def on_event(self, found):
            flags.append(found)

    handler = Flags(near.fileno())
    loop.add(handler, READ)
    loop.turn(0.0)
    assert flags == []
    loop.modify(handler, WRITE)
    far.send(b"x")
    loop.turn(0.0)
    assert flags == [WRITE]
    loop.modify(handler, READ | WRITE)
    loop.turn(0.0)
    assert flags == [WRITE, READ | WRITE]
    loop.remove(handler)
    loop.turn(0.0)
    assert len(flags) == 2


def test_a_call_that_is_due_can_still_be_cancelled_by_an_earlier_one(loop):
    note = []
    calls: list[ScheduledCall] = []
    first = loop.call_later(0.0, lambda: calls[0].cancel())
    calls.append(loop.call_later(0.0, note.append, "no"))
    loop.call_later(0.0, loop.stop)
    loop.run()
    assert note == [] and first.cancel() is False


def test_ten_thousand_calls_come_in_order_or_not_at_all(loop):
    rng, note, kept = random.Random(7), [], []
    made = [loop.call_later(rng.random() / 100, note.append, number) for number in range(10_000)]
    for number, call in enumerate(made):
        if rng.random() < 0.5:
            assert call.cancel()
        else:
            kept.append((call.when, number))
    loop.call_later(0.5, loop.stop)
    loop.run()
    assert note == [number for _, number in sorted(kept)]


def test_a_delay_that_is_no_number_is_named(loop):
    with pytest.raises(ValueError, match="nan"):
        loop.call_later(math.nan, print)
    assert len(loop.timers) == 1


def test_a_delay_without_end_never_comes(loop):
    call = loop.call_later(math.inf, print, "never")
    loop.call_later(0.01, loop.stop)
    loop.run()
    assert call.cancel() is True


def test_an_unknown_backend_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'devpoll' here: choose from .*poll"):
        EventLoop("devpoll")


def test_a_descriptor_is_added_once(loop, pairs):
    loop.add(Reader(pairs[0][0], []), READ)
    with pytest.raises(KeyError, match="already registered"):
        loop.add(Reader(pairs[0][0], []), READ)


def test_a_loop_closed_by_a_callback_ends_its_run(loop, pairs):
    note = []
    for near, far in pairs:
        loop.add(Reader(near, note, loop.close), READ)
        far.send(b"x")
    loop.run()
    assert note == [b"x"] and not loop.running
    with pytest.raises(ValueError, match="closed"):
        loop.run()


@pytest.mark.parametrize("backend", Poller.backends())
def test_close_gives_every_descriptor_back_and_may_be_repeated(backend):
    before = len(os.listdir("/dev/fd"))
    loop = EventLoop(backend)
    loop.close()
    loop.close()
    loop.wake()  # by a thread that has not heard: nothing happens
    assert len(os.listdir("/dev/fd")) == before


def test_a_handler_without_on_event_says_so():
    with pytest.raises(NotImplementedError, match="Handler has no on_event"):
        Handler(0).on_event(READ)


def test_a_loop_that_is_woken_while_it_closes_writes_to_no_other_descriptor():
    """Its waker's number may be somebody else's a moment later."""
    loops: list[EventLoop] = [EventLoop()]
    errors: list[BaseException] = []
    over = False

    def wake():
        while not over:
            try:
                loops[-1].wake()
            except OSError as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=wake) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            loops[-1].close()
            reader, writer = os.pipe()  # which take the numbers
            loops.append(EventLoop())
            os.set_blocking(reader, False)
            with pytest.raises(BlockingIOError):
                os.read(reader, 1)
            os.close(reader)
            os.close(writer)
    finally:
        over = True
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
        loops[-1].close()
    assert errors == []
