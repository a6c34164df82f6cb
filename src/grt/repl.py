"""The REPL of `python -m grt`: Python's own prompt, beside which goroutines and callbacks go on running.

The keyboard is a descriptor like any other. The main goroutine runs the statements, and parks while a line is typed;
the event loop hands each key to readline, through the functions that readline has for programs with a loop of their
own, and the line that a key completes wakes the main goroutine.

Invariants: readline has the terminal only while a line is awaited, so statements find it as always; Ctrl-C is the
main goroutine's, so it ends the statement, or the line, and nothing else.
Threads: the main thread only.
Rejected: reading in a second thread (its half-typed line cannot be thrown away from here); readline's input hook
(goroutines stand still for a tenth of a second after each key).
"""

import code
import ctypes
import os
import sys
from math import inf
from pathlib import Path
from typing import Any

import grt
from grt import poll, sock
from grt._core.goroutine import Goroutine, enter, fire
from grt.loop import EventLoop, Handler

__all__ = ["interact"]

HISTORY = Path("~/.grt_history").expanduser()  # not Python's own, which 3.13 keeps in a form that readline cannot read
HISTORY_LINES = 1000
READING = 0x80000  # readline's RL_STATE_CALLBACK: it has a line to read, as `begin` told it


class Terminal(Handler):
    """Lines from the terminal, edited as far as the terminal itself can."""

    def __init__(self) -> None:
        super().__init__(sys.stdin.fileno())
        self.reader: Goroutine | None = None  # who waits for the line
        self.line: str | None = None  # what was typed last, None for the end of input

    def read_line(self, prompt: object) -> str:
        """Waits for a line, while other goroutines run; raises EOFError at the end of input."""
        self.reader = enter()
        loop = grt.current_loop()
        sys.stdout.flush()
        try:
            self.begin(str(prompt))
            loop.add(self, poll.READ)
            self.reader.arm(self)
            self.reader.park(inf)
        except BaseException:
            self.abandon()
            raise
        finally:
            loop.discard(self)
        if self.line is None:
            raise EOFError
        return self.line

    def begin(self, prompt: str) -> None:
        print(prompt, end="", flush=True)

    def on_event(self, flags: int) -> None:
        line = sys.stdin.readline()
        self.finish(line.rstrip("\n") if line else None)

    def finish(self, line: str | None) -> None:
        """Takes the line, and no key of the next one."""
        self.line = line
        grt.current_loop().discard(self)
        assert self.reader is not None
        fire(self.reader)

    def abandon(self) -> None:
        """Forgets what was typed."""


class Editor(Terminal):
    """Lines edited by readline, with history and completion. AttributeError or ValueError if it cannot be called."""

    def __init__(self, readline: Any, names: dict[str, Any]) -> None:
        import rlcompleter

        super().__init__()
        self.prompt = b""
        self.size = (0, 0)  # columns and lines of the terminal, as readline knows them
        self.readline = readline
        readline.set_completer(rlcompleter.Completer(names).complete)
        self.library = ctypes.CDLL(readline.__file__)  # through it, the library that it is linked with
        self.genuine = hasattr(self.library, "rl_callback_sigcleanup")  # or else libedit, under readline's name
        readline.parse_and_bind("tab: complete" if self.genuine else "bind ^I rl_complete")
        take_line = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.take_line = take_line(self.on_line)  # kept, for readline calls it
        self.library.rl_callback_handler_install.argtypes = ctypes.c_char_p, take_line
        self.library.free.argtypes = (ctypes.c_void_p,)
        self.state = ctypes.c_ulong.in_dll(self.library, "rl_readline_state")
        ctypes.c_int.in_dll(self.library, "rl_catch_signals").value = 0  # Python does

    def begin(self, prompt: str) -> None:
        self.prompt = prompt.encode()
        self.install()

    def install(self) -> None:
        """Shows the prompt and lets readline have the keys from here on."""
        self.size = width, height = os.get_terminal_size(self.fd)
        self.library.rl_set_screen_size(height, width)
        self.library.rl_callback_handler_install(self.prompt, self.take_line)

    def on_event(self, flags: int) -> None:
        if self.genuine and not self.state.value & READING:  # a goroutine has called input() meanwhile, or a debugger
            self.install()
        elif self.size != os.get_terminal_size(self.fd):
            self.size = os.get_terminal_size(self.fd)
            self.library.rl_resize_terminal()
        self.library.rl_callback_read_char()

    def on_line(self, pointer: int | None) -> None:
        """Called by readline with a line to be freed, or without one at Ctrl-D."""
        self.library.rl_callback_handler_remove()
        line = None
        if pointer is not None:
            line = ctypes.string_at(pointer).decode(errors="surrogateescape")
            self.library.free(pointer)
            self.remember(line)
        self.finish(line)

    def remember(self, line: str) -> None:
        last = self.readline.get_history_item(self.readline.get_current_history_length())
        if line and line != last:
            self.readline.add_history(line)

    def abandon(self) -> None:
        self.library.rl_free_line_state()
        if self.genuine:
            self.library.rl_callback_sigcleanup()
        self.library.rl_callback_handler_remove()

    def load_history(self) -> None:
        try:
            self.readline.read_history_file(HISTORY)
        except OSError:
            pass  # there is none yet
        self.readline.set_history_length(HISTORY_LINES)

    def save_history(self) -> None:
        try:
            self.readline.write_history_file(HISTORY)
        except OSError:
            pass  # a home that cannot be written to is no reason to end with an error


def at_hand() -> dict[str, Any]:
    """The names that a session begins with."""
    names: dict[str, Any] = {"__name__": "__main__", "grt": grt, "sock": sock, "EventLoop": EventLoop}
    for module in (poll, grt):
        names |= {name: getattr(module, name) for name in module.__all__}
    return names | {"loop": grt.current_loop()}


def converse(names: dict[str, Any], banner: str) -> None:
    """Reads statements from the terminal and runs them, until the end of input."""
    try:
        import readline

        editor = Editor(readline, names)
    except (ImportError, AttributeError, ValueError):  # there is none, or it is another library under its name
        code.interact(banner, Terminal().read_line, names, exitmsg="")
        return
    editor.load_history()
    try:
        code.interact(banner, editor.read_line, names, exitmsg="")
    finally:
        editor.save_history()


def session(version: str) -> None:
    names = at_hand()
    if sys.stdin.isatty() and sys.stdout.isatty():
        converse(
            names, f"{version}\nGoroutines go on running while the prompt waits: go, sleep, listen, dial, sock, ..."
        )
    else:
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)


def interact(version: str) -> None:
    """Runs the REPL until Ctrl-D or exit(); a stdin that is no terminal is run as a program, as Python itself does it.

    Goroutines that are still alive then are cancelled.
    """
    grt.run(session, version, procs=1)  # goroutines that ask at the terminal belong in the thread that reads it
