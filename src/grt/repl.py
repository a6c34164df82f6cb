"""The REPL of `python -m grt`: Python's own prompt, beside which goroutines and callbacks go on running.

The thread that reads lines is the thread that runs goroutines. While a line is being edited, readline calls the
interpreter's input hook; there the prompt's goroutine parks until a key is pressed, and the others have the thread.
Invariants: statements and the prompt belong to the main goroutine, so Ctrl-C ends a statement or a line and nothing
else; without a terminal lines are read plainly, and goroutines run while statements block.
Threads: the main thread only.
Rejected: reading lines in a second thread (readline there cannot be interrupted: Ctrl-C leaves the prompt hanging).
"""

import atexit
import code
import ctypes
import os
import signal
import sys
import threading
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any

import grt
from grt import loop as callbacks
from grt import poll, sock
from grt._core.goroutine import Goroutine, enter, fire

__all__ = ["interact"]

HISTORY = Path("~/.grt_history").expanduser()
HISTORY_LINES = 1000
SETTLE = 0.02  # seconds until readline is certainly waiting again, and a signal ends that wait


class Keyboard(callbacks.Handler):
    """Wakes the prompt's goroutine when there is something to read on the terminal."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.waiter: Goroutine | None = None

    def on_event(self, flags: int) -> None:
        if self.waiter is not None:
            fire(self.waiter)

    def wait(self) -> None:
        """Lets the other goroutines run until a key is pressed."""
        loop = grt.current_loop()
        self.waiter = enter()
        loop.add(self, poll.READ)
        try:
            self.waiter.arm()
            self.waiter.park(inf)
        finally:
            loop.discard(self)
            self.waiter = None


class Prompt:
    """The input hook, and the way of a Ctrl-C from there to readline, which alone can throw a half-edited line away."""

    def __init__(self, keyboard: Keyboard) -> None:
        self.keyboard = keyboard
        self.main = grt.current()
        self.interrupted = False  # an interrupt that ended a park here is on its way to readline
        self.statement_sigint = signal.getsignal(signal.SIGINT)  # what an interrupt means to a statement
        self.callback = ctypes.CFUNCTYPE(ctypes.c_int)(self.hook)
        self.pointer = ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyOS_InputHook")

    def read_line(self, prompt: str) -> str:
        self.interrupted = False
        self.pointer.value = ctypes.cast(self.callback, ctypes.c_void_p).value
        try:
            return input(prompt)
        finally:
            self.pointer.value = None

    def hook(self) -> int:
        """Called by readline whenever it begins to wait for a key."""
        if grt.current() is self.main:  # input() in a goroutine waits as it would anywhere
            try:
                self.keyboard.wait()
            except KeyboardInterrupt:
                # readline looks for signals only when one has ended its own wait, and after calling the hook,
                # which must not take it first: so once more, without the hook.
                self.interrupted = True
                self.pointer.value = None
                threading.Timer(SETTLE, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        return 0

    def on_sigint(self, signum: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        if self.is_in_hook(frame):  # which readline's C code has called, and would lose the exception
            self.main.throw(KeyboardInterrupt())
        elif callable(self.statement_sigint):
            self.statement_sigint(signum, frame)

    def is_in_hook(self, frame: FrameType | None) -> bool:
        while frame is not None and frame.f_code is not Prompt.hook.__code__:
            frame = frame.f_back
        return frame is not None

    def interact(self, banner: str, names: dict[str, Any]) -> None:
        signal.signal(signal.SIGINT, self.on_sigint)
        try:
            code.interact(banner=banner, readfunc=self.read_line, local=names, exitmsg="")
        finally:
            signal.signal(signal.SIGINT, self.statement_sigint)


def edit_lines(names: dict[str, Any]) -> None:
    """Editing, history and completion, where this Python has readline."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    edit_line = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if edit_line else "tab: complete")
    try:
        readline.read_history_file(HISTORY)
    except OSError:
        pass  # there is none yet
    readline.set_history_length(HISTORY_LINES)

    def save() -> None:
        try:
            readline.write_history_file(HISTORY)
        except OSError:
            pass  # a home that cannot be written to is no reason to end with an error

    atexit.register(save)


def at_hand() -> dict[str, Any]:
    """The names that the prompt begins with."""
    names: dict[str, Any] = {"__name__": "__console__", "grt": grt, "sock": sock, "callbacks": callbacks}
    names |= {name: getattr(grt, name) for name in grt.__all__ if not name.startswith("__")}
    names |= {name: getattr(poll, name) for name in poll.__all__}
    names |= {"EventLoop": callbacks.EventLoop, "loop": grt.current_loop()}
    return names


def session() -> None:
    names = at_hand()
    banner = (
        f"grt {grt.__version__} ({'compiled' if grt.__compiled__ else 'pure'}) on Python {sys.version.split()[0]}\n"
        "Goroutines go on running while the prompt waits: try go(print, 'hello'). "
        "At hand: go, sleep, listen, dial, sock, Poller, loop, ..."
    )
    if not sys.stdin.isatty():
        code.interact(banner="", readfunc=read_plainly, local=names, exitmsg="")
        return
    edit_lines(names)
    Prompt(Keyboard(sys.stdin.fileno())).interact(banner, names)


def read_plainly(prompt: str) -> str:
    """A line of a stdin that is no terminal, without a prompt."""
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip(os.linesep)


def interact() -> None:
    """Runs the REPL until end of file or exit(); goroutines still alive then are cancelled.

    >>> from grt.repl import interact
    >>> interact()  # doctest: +SKIP
    """
    try:
        grt.run(session)
    except SystemExit as leaving:
        sys.exit(leaving.code)
