"""Signals that goroutines receive, as values of a channel.

    >>> import os, signal, grt
    >>> hangups = grt.chan(1)
    >>> grt.signal.notify(hangups, signal.SIGHUP)
    >>> os.kill(os.getpid(), signal.SIGHUP)
    >>> hangups.recv()
    <Signals.SIGHUP: 1>
    >>> grt.signal.stop(hangups)

Invariants: a signal has grt's handler from the first `notify` of it until the last of its channels is stopped; then it
has again what it had before.
Threads: Python calls handlers in the main thread only, and lets only that one install them.
"""

import signal
import threading
from types import FrameType
from typing import Any

from grt._core.chan import Chan, SendChan
from grt._core.errors import Closed
from grt._core.goroutine import here
from grt.debug.silence import sources
from grt.goroutine import module_of

__all__ = ["notify", "stop", "watched"]

_channels: dict[int, list[Any]] = {}  # of each signal: who is told. A list is replaced, never changed
_previous: dict[int, Any] = {}  # of each signal that has grt's handler: the one it had before


def notify(channel: "Chan[Any] | SendChan[Any]", *signals: int) -> None:
    """Sends each of signals to channel when the process gets it, instead of what would happen otherwise.

    Nothing waits for a receiver: a signal for which channel has no room is dropped, so give it a capacity of 1 at
    least. Several channels may ask for a signal: each is told. SIGINT asked for no longer raises KeyboardInterrupt.
    Only the main thread may ask (RuntimeError); OSError or ValueError is raised for what cannot be caught.
    """
    if not isinstance(channel, (Chan, SendChan)):
        raise TypeError(f"signals are sent to a channel, grt.chan(1), not to {channel!r}")
    if not signals:
        raise ValueError("which signals? as in grt.signal.notify(channel, signal.SIGTERM, signal.SIGHUP)")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("grt.signal.notify must be called in the main thread: Python lets no other handle signals")
    channel = whole(channel)
    for signum in map(signal.Signals, signals):
        install(signum)
        told = _channels.get(signum, [])
        if not any(channel is known for known in told):
            _channels[signum] = [*told, channel]
    here().loop.heed_signals()


def stop(channel: "Chan[Any] | SendChan[Any]") -> None:
    """Sends no more signals to channel. Those that nobody else is told of do again what they did before `notify`."""
    channel = whole(channel)
    for signum, told in list(_channels.items()):
        left = [known for known in told if known is not channel]
        _channels[signum] = left
        if not left and threading.current_thread() is threading.main_thread():
            uninstall(signum)  # any other thread leaves that to the handler


def whole(channel: "Chan[Any] | SendChan[Any]") -> Any:
    """The channel itself, of which there may be many views."""
    return channel.chan if isinstance(channel, SendChan) else channel


def watched() -> bool:
    """Whether any channel may still be sent a signal."""
    return any(_channels.values())


def install(signum: int) -> None:
    previous = signal.getsignal(signum)
    if previous is on_signal:
        return
    try:
        signal.signal(signum, on_signal)
    except OSError as error:
        raise OSError(error.errno, f"{signal.Signals(signum).name} cannot be caught: {error.strerror}") from None
    _previous[signum] = signal.SIG_DFL if previous is None else previous  # None: not installed by Python


def uninstall(signum: int) -> None:
    previous = _previous.pop(signum, None)
    if previous is not None and signal.getsignal(signum) is on_signal:
        signal.signal(signum, previous)


def on_signal(signum: int, frame: FrameType | None) -> None:
    if not _channels.get(signum):  # stopped by another thread
        uninstall(signum)
        signal.raise_signal(signum)
    elif module_of(frame).startswith("grt."):  # which may hold the lock that `send` takes
        here().loop.call_soon(send, signum)
    else:
        send(signum)


def send(signum: int) -> None:
    for channel in _channels.get(signum, ()):
        try:
            channel.try_send(signal.Signals(signum))
        except Closed:
            stop(channel)


sources.append(watched)
