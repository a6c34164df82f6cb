"""A stream whose bytes an engine encrypts and decrypts, on their way through memory to and from another stream.

The engine is an ssl.SSLObject between two ssl.MemoryBIO. Here is what each message takes; which engine, the handshake
and the end of a stream are net.tls's business.

Invariants: what has been encrypted is sent in that order and once, also when the write that made it was cut short: it
is `unsent` until then, so a timed-out write leaves the stream whole.
Threads: any; one goroutine at a time is in `pull`, one in `push`, one sends (`sending`). `guard` is held for each call
of the engine and its memories: OpenSSL's are no two threads' at once, and the ssl module gives the GIL away inside.
"""

from collections.abc import Callable
from typing import Any

from grt._core.semaphore import Mutex
from grt._core.stream import Layered

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.pysys import guard_lock, guard_new, guard_unlock

__all__ = ["PIECE", "RECORD", "Sealed"]

CHUNK = 65536  # bytes of ciphertext read at a time
PIECE = 131072  # bytes of plaintext encrypted at a time: eight records
RECORD = 16384  # bytes of plaintext in a record of TLS at most, and so the most that one call decrypts


class Sealed(Layered):
    """A stream over another one, the transport, with an engine between."""

    __slots__ = (
        "cut", "decrypt", "early", "encrypt", "ended", "failure", "guard", "hungry", "incoming", "outgoing",
        "sender", "sending", "shaken", "shaking", "starved", "tls", "transport", "unsent",
    )  # fmt: skip

    def begin(self, transport: Any, engine: Any, incoming: Any, outgoing: Any, starved: type[Exception]) -> None:
        self.transport = transport  # what carries the ciphertext; this stream's to close from now on
        self.tls = engine  # the ssl.SSLObject: version(), cipher(), ...
        self.decrypt = engine.read
        self.encrypt = engine.write
        self.incoming = incoming  # the ssl.MemoryBIO that it decrypts from
        self.outgoing = outgoing  # and the one that it encrypts to
        self.starved = starved  # what it raises when nothing is left to decrypt
        self.guard = guard_new()  # nothing waits, and no goroutine gives way, with it held
        self.cut = False  # whether the last write has ended early: then no goodbye may make the stream seem whole
        self.failure: Any = None  # kind, number and text of the error after which the engine is of no use
        self.shaken = False  # whether the handshake is over
        self.shaking = Mutex()  # whoever makes it holds this
        self.sending = Mutex()  # whoever hands ciphertext to the transport holds this
        self.unsent = b""  # ciphertext that a write which was cut short has left
        self.sender: Any = None  # the goroutine that sees to it that this is sent
        self.hungry = False  # whether nothing is left to decrypt
        self.early = b""  # decrypted before it was asked for
        self.ended = False  # whether the peer has said goodbye

    def handshake(self) -> None:
        """Agrees with the peer on keys; waits for it. Sets `shaken`."""
        raise NotImplementedError

    def send_later(self) -> None:
        """Sees to it that what is left is sent, as soon as the transport takes it: the peer may wait for it."""
        raise NotImplementedError

    def shake_again(self) -> None:
        """Goes on with a handshake that the peer has asked for in the midst of a stream; waits a while for it."""
        raise NotImplementedError

    def judge_end(self, error: BaseException) -> bytes:
        """What a read returns when the engine has raised error; or raises what it is to raise."""
        raise NotImplementedError

    def guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        """What call(*args) returns, which is the engine's business, or that of its memories."""
        guard_lock(self.guard)
        try:
            return call(*args)
        finally:
            guard_unlock(self.guard)

    def feed(self) -> None:
        """Takes ciphertext in; waits for it."""
        data = self.transport.read(CHUNK)
        guard_lock(self.guard)
        try:
            if data:
                self.incoming.write(data)
            else:
                self.incoming.write_eof()
        finally:
            guard_unlock(self.guard)

    def pull(self, size: int) -> bytes:
        if not self.shaken:
            self.handshake()
        most = size if size < RECORD else RECORD
        while self.early or not self.ended:
            if self.hungry and not self.early:
                self.feed()
                self.hungry = False
            try:
                guard_lock(self.guard)
                try:
                    if self.early:  # another thread may have decrypted it meanwhile
                        data, self.early = self.early[:size], self.early[size:]
                        return data
                    data = self.decrypt(most)
                finally:
                    guard_unlock(self.guard)
            except self.starved:
                self.hungry = True
                if self.outgoing.pending and not self.sending.locked:  # else whoever sends takes this along
                    self.flush()
                continue
            except OSError as error:
                data = self.judge_end(error)
            if not data:  # close_notify
                self.ended = True
            elif not self.incoming.pending and (len(data) < most or not self.decrypted()):
                self.hungry = True
            return data
        return b""

    def decrypted(self) -> int:
        """How many bytes the engine has decrypted and not given yet."""
        count: int = self.guarded(self.tls.pending)
        return count

    def push(self, data: Any) -> int:
        self.cut = True
        if not self.shaken:
            self.handshake()
        if self.unsent or self.outgoing.pending:
            self.flush()
        size = len(data)
        if size == 0:
            self.transport.write(data)  # which may have kept something back, too
            self.cut = False
            return 0
        count = 0
        while count == 0:
            try:
                guard_lock(self.guard)
                try:
                    count = self.encrypt(data if size <= PIECE else memoryview(data)[:PIECE])
                finally:
                    guard_unlock(self.guard)
            except self.starved:
                self.shake_again()
        try:
            self.flush()
        except BaseException as error:
            error.sent = count  # type: ignore[attr-defined]  # the next write sends it
            raise
        self.cut = False
        return count

    def flush(self) -> None:
        """Sends what has been encrypted."""
        while self.unsent or self.outgoing.pending:
            if not self.sending.try_lock():
                self.sending.lock()
            try:
                self.send_sealed()
            finally:
                self.sending.unlock()

    def send_sealed(self) -> None:
        guard_lock(self.guard)
        try:
            data = self.outgoing.read()
        finally:
            guard_unlock(self.guard)
        if self.unsent:
            data = self.unsent + data
            self.unsent = b""
        try:
            self.transport.write(data)
        except BaseException as error:
            self.unsent = data[getattr(error, "sent", 0) :]
            self.send_later()
            error.sent = 0  # type: ignore[attr-defined]
            raise
