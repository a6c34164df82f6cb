"""Signals over channels: real ones, sent to this process or to a program of its own."""

import os
import signal
import threading
import time
from typing import Any

import pytest

import grt
from tests.child import run_program
from tests.goroutines import blocked

PATIENCE = 60


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch):
    """The guides' programs, run by other tests, leave channels behind."""
    monkeypatch.setattr(grt.signal, "_channels", {})


@pytest.fixture
def usr1():
    """A channel that is told of SIGUSR1."""
    channel = grt.chan(1)
    grt.signal.notify(channel, signal.SIGUSR1)
    yield channel
    grt.signal.stop(channel)


def raise_usr1():
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_signal_is_received(usr1):
    g = blocked(usr1.recv)
    raise_usr1()
    assert g.result(PATIENCE) is signal.SIGUSR1


def test_a_signal_that_comes_while_all_wait_wakes_the_receiver(usr1):
    sender = threading.Timer(0.05, raise_usr1)
    sender.start()
    assert usr1.recv(PATIENCE) is signal.SIGUSR1
    sender.join()


def test_a_signal_for_which_there_is_no_room_is_dropped(usr1):
    for _ in range(3):
        raise_usr1()
    assert usr1.recv(PATIENCE) is signal.SIGUSR1
    assert grt.select(usr1.recv, default=True)[0] == -1


def test_each_channel_is_told(usr1):
    other = grt.chan(1)
    grt.signal.notify(other, signal.SIGUSR1, signal.SIGUSR2)
    grt.signal.notify(other, signal.SIGUSR1)  # asking again changes nothing
    raise_usr1()
    assert usr1.recv(PATIENCE) is other.recv(PATIENCE) is signal.SIGUSR1
    assert len(other) == 0
    grt.signal.stop(other)
    raise_usr1()
    assert usr1.recv(PATIENCE) is signal.SIGUSR1
    assert len(other) == 0


def test_a_send_only_channel_will_do():
    channel = grt.chan(1)
    sending = channel.send_only()
    grt.signal.notify(sending, signal.SIGUSR1)
    raise_usr1()
    assert channel.recv(PATIENCE) is signal.SIGUSR1
    grt.signal.stop(sending)


def test_a_channel_and_its_views_are_one():
    channel = grt.chan(3)
    grt.signal.notify(channel.send_only(), signal.SIGUSR1)
    grt.signal.notify(channel, signal.SIGUSR1)
    before = signal.getsignal(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert channel.recv(PATIENCE) == signal.SIGUSR1
    assert len(channel) == 0
    grt.signal.stop(channel.send_only())
    assert signal.getsignal(signal.SIGUSR1) is not before


def test_stop_gives_the_signal_back_to_who_had_it():
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: calls.append(signum))
    try:
        channel = grt.chan(1)
        grt.signal.notify(channel, signal.SIGUSR1)
        assert grt.signal.watched()
        grt.signal.stop(channel)
        assert not grt.signal.watched()
        raise_usr1()
        assert calls == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_stop_in_another_thread_gives_the_signal_back_too():
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: calls.append(signum))
    try:
        channel = grt.chan(1)
        grt.signal.notify(channel, signal.SIGUSR1)
        thread = threading.Thread(target=grt.signal.stop, args=[channel])
        thread.start()
        thread.join()
        raise_usr1()
        assert (calls, len(channel)) == ([signal.SIGUSR1], 0)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_somebody_else_installs_meanwhile_stays():
    before = signal.getsignal(signal.SIGUSR1)
    channel = grt.chan(1)
    grt.signal.notify(channel, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    grt.signal.stop(channel)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    signal.signal(signal.SIGUSR1, before)


def test_a_closed_channel_is_told_no_more(usr1):
    closed = grt.chan(1)
    grt.signal.notify(closed, signal.SIGUSR1)
    closed.close()
    raise_usr1()
    assert usr1.recv(PATIENCE) is signal.SIGUSR1
    raise_usr1()
    assert usr1.recv(PATIENCE) is signal.SIGUSR1


def test_a_goroutine_of_another_thread_receives_a_signal(usr1):
    got = []
    thread = threading.Thread(target=lambda: got.append(usr1.recv(PATIENCE)))
    thread.start()
    raise_usr1()
    thread.join(PATIENCE)
    assert got == [signal.SIGUSR1]


def test_a_flood_of_signals_in_the_midst_of_channel_traffic_deadlocks_nobody(usr1):
    """The handler sends on a channel, whose lock the pure build may hold at that moment."""
    stop = threading.Event()

    def flood():
        while not stop.is_set():
            raise_usr1()
            time.sleep(0.0001)

    thread = threading.Thread(target=flood)
    thread.start()
    deadline = time.monotonic() + 1
    count = 0
    while time.monotonic() < deadline:
        usr1.try_send(None)
        while grt.select(usr1.recv, default=True)[0] == 0:
            count += 1
    stop.set()
    thread.join()
    assert count > 0


def test_what_cannot_be_told_of_is_refused():
    channel = grt.chan(1)
    wrong: Any = print
    with pytest.raises(OSError, match="SIGKILL cannot be caught"):
        grt.signal.notify(channel, signal.SIGKILL)
    with pytest.raises(ValueError, match="12345"):
        grt.signal.notify(channel, 12345)
    with pytest.raises(ValueError, match="which signals"):
        grt.signal.notify(channel)
    with pytest.raises(TypeError, match="sent to a channel"):
        grt.signal.notify(wrong, signal.SIGUSR1)
    assert not grt.signal.watched()


def test_another_thread_is_told_to_ask_in_the_main_one():
    errors = []

    def ask():
        try:
            grt.signal.notify(grt.chan(1), signal.SIGUSR1)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "main thread" in errors[0]


def test_a_server_ends_in_its_own_way_on_sigterm():
    status, output, errors = run_program(
        """
        import os, signal, grt

        def serve(listener):
            for conn in listener:
                pass

        def main():
            ending = grt.chan(1)
            grt.signal.notify(ending, signal.SIGTERM, signal.SIGINT)
            with grt.listen("tcp", "127.0.0.1:0") as listener:
                grt.go(serve, listener)
                os.kill(os.getpid(), signal.SIGTERM)
                print(ending.recv().name)
                os.kill(os.getpid(), signal.SIGINT)
                print(ending.recv().name)

        grt.run(main)
        """
    )
    assert (status, output.split(), errors) == (0, ["SIGTERM", "SIGINT"], "")


def test_sigint_interrupts_again_once_stopped():
    status, output, errors = run_program(
        """
        import os, signal, grt

        def main():
            channel = grt.chan(1)
            grt.signal.notify(channel, signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            print(channel.recv().name)
            grt.signal.stop(channel)
            os.kill(os.getpid(), signal.SIGINT)
            grt.sleep(60)

        try:
            grt.run(main)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (status, output.split(), errors) == (0, ["SIGINT", "interrupted"], "")


def test_who_waits_for_a_signal_is_no_deadlock():
    status, output, errors = run_program(
        """
        import os, signal, time, grt

        ending = grt.chan(1)
        grt.signal.notify(ending, signal.SIGTERM)
        pid = os.fork()
        if pid == 0:
            time.sleep(0.4)  # longer than it takes to see that all is silent
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(0)
        print(ending.recv().name)
        os.waitpid(pid, 0)
        grt.signal.stop(ending)
        try:
            ending.recv()
        except grt.Deadlock:
            print("deadlock")
        """
    )
    assert (status, output.split(), errors) == (0, ["SIGTERM", "deadlock"], "")
