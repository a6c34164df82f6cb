"""Programs run by goroutines, in the shape of the standard library's subprocess: only the calling goroutine waits.

>>> import grt
>>> grt.subprocess.run(["echo", "hello"], capture_output=True, text=True).stdout
'hello\\n'

Invariants: a child that `run` has started has ended when it returns or raises, and no descriptor of it is left.
Threads: any.
"""

import io
import locale
import os
import subprocess
from contextlib import suppress
from subprocess import DEVNULL, PIPE, STDOUT, CalledProcessError, CompletedProcess, TimeoutExpired
from typing import Any

from grt._core.errors import Closed
from grt._core.go import go
from grt._core.goroutine import Goroutine
from grt._core.netfd import NetFD
from grt.net.conn import ConnFile
from grt.net.stdio import FDConn
from grt.offload import blocking
from grt.scope import timeout as time_limit

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "TimeoutExpired",
    "call",
    "check_call",
    "check_output",
    "run",
]


class Popen:
    """A running program. stdin, stdout and stderr are connections where PIPE was asked for, or files of text.

    The arguments are those of subprocess.Popen, but for bufsize.
    """

    __slots__ = (
        "_collecting", "_encoding", "_ends", "_errors", "_exit", "_found", "_process", "_writing", "stderr", "stdin",
        "stdout",
    )  # fmt: skip

    def __init__(
        self,
        args: Any,
        *,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        text: bool | None = None,
        universal_newlines: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Any,
    ) -> None:
        wants_text = text or universal_newlines or errors
        self._encoding = encoding or (locale.getpreferredencoding(False) if wants_text else None)
        self._errors = errors or "strict"
        self._ends: dict[str, FDConn] = {}  # ours of the pipes
        self._collecting: dict[str, Goroutine] = {}  # by whom `communicate` reads
        self._found: dict[str, bytearray] = {}  # what they have read
        self._writing: Goroutine | None = None
        self._exit: NetFD | None = None  # readable when the program has ended
        theirs = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        to_close = []
        try:
            for name, wanted in theirs.items():
                if wanted == PIPE:
                    reader, writer = os.pipe()
                    our, theirs[name] = (writer, reader) if name == "stdin" else (reader, writer)
                    to_close.append(theirs[name])
                    self._ends[name] = FDConn(our)
            self._process = subprocess.Popen(args, **theirs, **options)
            if hasattr(os, "pidfd_open"):
                self._exit = NetFD(os.pidfd_open(self._process.pid))
        except BaseException:
            self._close_ends()
            raise
        finally:
            for fd in to_close:
                os.close(fd)
        self.stdin = self._file("stdin", "w")
        self.stdout = self._file("stdout", "r")
        self.stderr = self._file("stderr", "r")

    def _file(self, name: str, mode: str) -> Any:
        end = self._ends.get(name)
        if end is None or self._encoding is None:
            return end
        raw = EndFile(end, {mode})
        buffered = io.BufferedWriter(raw) if mode == "w" else io.BufferedReader(raw)
        return io.TextIOWrapper(buffered, self._encoding, self._errors, line_buffering=mode == "w")

    @property
    def args(self) -> Any:
        """What was run."""
        return self._process.args

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal's number; None until `wait` or `poll` has seen its end."""
        return self._process.returncode

    def poll(self) -> int | None:
        """Its exit status, None while it runs. Never waits."""
        status = self._process.poll()
        if status is not None and self._exit is not None:
            self._exit.close()
        return status

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, and returns its exit status. Raises TimeoutExpired after timeout seconds."""
        with time_limit(timeout) as limit:
            try:
                return self._wait()
            except TimeoutError:
                if not limit.expired or timeout is None:
                    raise
                raise TimeoutExpired(self.args, timeout) from None

    def _wait(self) -> int:
        if self._process.returncode is None:
            if self._exit is None:
                blocking(self._process.wait)
            else:
                try:
                    self._exit.read_by(self._status)
                except Closed:  # by one that was told of the end before
                    if self._process.returncode is None:
                        raise
                self._exit.close()
        status: Any = self._process.returncode
        return int(status)

    def _status(self) -> bool:
        if self._process.poll() is None:
            raise BlockingIOError
        return True

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Writes input, reads all that it prints and waits for its end; returns (stdout, stderr), None without a pipe.

        Raises TimeoutExpired, with what it has printed, after timeout seconds: call it again, and nothing is lost.
        """
        if input and isinstance(input, str) == (self._encoding is None):
            wanted = "bytes, without text=True" if self._encoding is None else "str, with text=True"
            raise TypeError(f"the input of a program is {wanted}: not {input[:20]!r}")
        if self._writing is None and "stdin" in self._ends:
            self._writing = go(self._write_input, input)
        for name in ("stdout", "stderr"):
            if name in self._ends and name not in self._collecting:
                self._found[name] = bytearray()
                self._collecting[name] = go(collect, self._ends[name], self._found[name])
        with time_limit(timeout) as limit:
            try:
                for g in self._collecting.values():
                    g.result()
                if self._writing is not None:
                    self._writing.result()
                self._wait()
                self._release()
            except TimeoutError:
                if not limit.expired or timeout is None:
                    raise
                printed = (self._printed(name, "replace") for name in ("stdout", "stderr"))
                raise TimeoutExpired(self.args, timeout, *printed) from None
        return self._printed("stdout", self._errors), self._printed("stderr", self._errors)

    def _write_input(self, input: Any) -> None:
        with self._ends["stdin"]:
            try:
                if input:
                    self.stdin.write(input)
                self.stdin.close()  # after what a file of text still holds
            except (BrokenPipeError, Closed):  # it does not want all, or somebody does not
                pass

    def _printed(self, name: str, errors: str) -> Any:
        """What `communicate` has read of it until now."""
        data = self._found.get(name)
        if data is None:
            return None
        if self._encoding is None:
            return bytes(data)
        return data.decode(self._encoding, errors).replace("\r\n", "\n").replace("\r", "\n")

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it has not ended."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Asks it to end (SIGTERM)."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it (SIGKILL)."""
        self._process.kill()

    def _hush(self) -> None:
        """Ends what a `communicate` that was cut short has left."""
        for g in (self._writing, *self._collecting.values()):
            if g is not None:
                g.cancel()

    def _close_ends(self) -> None:
        self._hush()
        for end in self._ends.values():
            end.close()

    def _end_now(self) -> None:
        """Kills it, and what was to talk to it."""
        self.kill()
        self._close_ends()
        self._process.wait()  # in this thread: it has been killed, and whoever is cancelled cannot wait otherwise
        self._release()

    def _release(self) -> None:
        self._close_ends()
        if self._exit is not None:
            self._exit.close()

    def __repr__(self) -> str:
        status = "running" if self.returncode is None else f"ended with {self.returncode}"
        return f"<grt.subprocess.Popen {self.args!r} {status}>"

    def __enter__(self) -> "Popen":
        return self

    def __exit__(self, *exc: object) -> None:
        self._hush()
        try:
            if self.stdin is not None:
                self.stdin.close()  # a file of text still holds something
        finally:
            self._close_ends()
            try:
                self.wait()
            finally:
                self._release()


class EndFile(ConnFile):
    """The file under one of text: it is all that the program has of the pipe, so that closes with it."""

    __slots__ = ()

    def close(self) -> None:
        self.conn.close()
        super().close()


def collect(end: FDConn, found: bytearray) -> None:
    """Adds to found all that is printed, to the end, or until somebody closes it."""
    with suppress(Closed):
        for data in end:
            found += data


def run(
    args: Any,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> CompletedProcess[Any]:
    """Runs a program to its end, as subprocess.run does; returns a CompletedProcess.

    Raises TimeoutExpired, with what it had printed, after timeout seconds, CalledProcessError if check and its exit
    status is not 0. The program is killed when the goroutine is cancelled, or its time is over.
    """
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("input and stdin cannot both be given")
        options["stdin"] = PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("capture_output is for programs without stdout and stderr of their own")
        options["stdout"] = options["stderr"] = PIPE
    process = Popen(args, **options)
    try:
        out, err = process.communicate(input, timeout)
    except BaseException:
        process._end_now()  # and waits for nothing else: what it has started may hold its pipes for long
        raise
    process._release()
    status = process._wait()
    if check and status:
        raise CalledProcessError(status, process.args, out, err)
    return CompletedProcess(process.args, status, out, err)


def call(args: Any, **options: Any) -> int:
    """Runs a program to its end; returns its exit status."""
    return run(args, **options).returncode


def check_call(args: Any, **options: Any) -> int:
    """As call, but raises CalledProcessError if the status is not 0."""
    return run(args, check=True, **options).returncode


def check_output(args: Any, **options: Any) -> Any:
    """Runs a program to its end; returns what it has printed. Raises CalledProcessError if its status is not 0."""
    return run(args, stdout=PIPE, check=True, **options).stdout
