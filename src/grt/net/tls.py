"""TLS over any connection, by the standard library's ssl: what it encrypts and decrypts passes through memory.

Invariants: a stream that ends without the peer's goodbye (close_notify) is an error, for it may have been cut.
Threads: any, as for Sealed.
"""

import errno
import os
import ssl
import sys
from typing import Any

from grt._core.errors import Closed
from grt._core.go import go, sleep
from grt._core.timers import now
from grt.net.conn import Conn
from grt.net.listener import Listener
from grt.net.sealed import PIECE, RECORD, Sealed
from grt.scope import timeout as time_limit

__all__ = [
    "GONE", "TLSConn", "client_context", "server_context", "shake_hands", "start_tls", "warn_of_peer", "wrap_listener",
]  # fmt: skip

GONE = ConnectionError, ssl.SSLEOFError  # how it is said that a peer has gone: by a reset, or without its goodbye
LAST = 5.0  # seconds that a goodbye has to go in; as Go
PATIENCE = 600.0  # seconds that what a cut write has left is tried for
LOOKS = 0.002, 0.1  # seconds between two attempts to send what is left, doubling


class TLSConn(Sealed, Conn):
    """A connection over TLS. The handshake is made by the first read or write, or by `handshake`."""

    __slots__ = ()

    network = "tls"

    def __init__(self, transport: Conn, context: ssl.SSLContext, **side: Any) -> None:
        if not isinstance(context, ssl.SSLContext):
            raise TypeError(f"TLS needs an ssl.SSLContext, not {context!r}")
        if context.check_hostname and not side.get("server_side") and not side.get("server_hostname"):
            raise ValueError("whose certificate must it be? Give server_hostname, or a context without check_hostname")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = context.wrap_bio(incoming, outgoing, **side)  # which looks at no name where none is given
        super().__init__(-1, None)
        self.begin(transport, engine, incoming, outgoing, ssl.SSLWantReadError)

    # -- what the connection is

    @property
    def remote_addr(self) -> Any:
        """The peer's address."""
        return self.transport.remote_addr

    @property
    def local_addr(self) -> Any:
        """The address of this end."""
        return self.transport.local_addr

    @property
    def raw(self) -> Any:
        """The socket below, for options: what is read and written there is ciphertext."""
        return self.transport.raw

    @property
    def alpn(self) -> str | None:
        """The protocol that both sides have agreed on (ALPN), None before the handshake or without one."""
        name: str | None = self.tls.selected_alpn_protocol()
        return name

    @property
    def session(self) -> Any:
        """What `dial(session=...)` resumes later. A server of TLS 1.3 sends it after the handshake: read first."""
        return self.tls.session

    @property
    def idle(self) -> bool:
        """Whether a goroutine waits for the first byte of whatever comes next, be it the peer's part of a handshake."""
        begun = self.early or self.incoming.pending or self.buffered or self.amid
        return not begun and self.transport.idle

    def describe(self) -> str:
        return f"tls over {self.transport.describe()}"

    # -- the handshake

    def handshake(self, timeout: float | None = None) -> None:
        """Agrees with the peer on keys, if that has not been done; raises ssl.SSLError if they do not agree.

        Raises TimeoutError after timeout seconds, or at the connection's deadlines.
        """
        with time_limit(timeout):
            self.await_turn()
            try:
                self.shake()
            finally:
                self.shaking.unlock()

    def await_turn(self) -> None:
        """Locks `shaking`, which another goroutine may hold for long: meanwhile the write deadline counts, too."""
        while not self.shaking.try_lock():
            self.transport.write(b"")  # raises TimeoutError if it has passed
            with time_limit(LOOKS[1]) as limit:
                try:
                    self.shaking.lock()
                    return
                except TimeoutError:
                    if not limit.expired:
                        raise

    def shake(self) -> None:
        if self.failure is not None:
            self.raise_failure()
        while not self.shaken:
            over = False
            try:
                self.guarded(self.tls.do_handshake)
                over = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.fail(error, "the handshake has failed: ")
                raise
            try:
                self.flush()
            except ConnectionError:
                if not over or not self.tls.server_side:
                    raise  # else what the client has sent before it left is still to be read
            self.shaken = over  # not before its last bytes have gone
            if not over:
                self.feed()

    # -- reading and writing, beside what Sealed does

    def judge_end(self, error: BaseException) -> bytes:
        if self.failure is not None:
            raise error
        if isinstance(error, ssl.SSLZeroReturnError):  # the same as b"", after our own goodbye
            return b""
        if isinstance(error, ssl.SSLEOFError):
            raise ssl.SSLEOFError(error.errno, f"{self.describe()} was cut short: no close_notify came") from None
        self.fail(error)
        raise error

    def fail(self, error: BaseException, what: str = "") -> None:
        """The engine has raised error, and is of no use any more: the peer is told, and whoever reads or writes."""
        self.try_flush()
        if isinstance(error, ssl.SSLError):
            error.strerror = f"{self.describe()}: {what}{error.strerror}"
            self.failure = type(error), error.errno, error.strerror  # not itself, whose traceback leads here
            self.decrypt = self.encrypt = self.raise_failure

    def raise_failure(self, *_: Any) -> Any:
        kind, number, text = self.failure
        raise kind(number, text)

    def flush_now(self) -> None:
        """As flush, as far as the transport takes it at once: never waits."""
        if not self.sending.try_lock():
            return
        try:
            data = self.unsent + self.guarded(self.outgoing.read)
            self.unsent = data
            self.unsent = data[self.transport.try_write(data) :]
        finally:
            self.sending.unlock()

    def try_flush(self) -> bool:
        """As flush_now. False if nobody is there any more."""
        try:
            self.flush_now()
        except (OSError, Closed):
            return False
        return True

    def send_later(self) -> None:
        if (self.sender is None or self.sender.done) and not self.transport.closed:
            self.sender = go(self.send_rest)

    def send_rest(self) -> None:
        """Sends what a write that was cut short has left, whatever the deadlines, while there is anybody to take it."""
        pause, limit = LOOKS[0], now() + PATIENCE
        while self.unsent and now() < limit and self.try_flush():
            sleep(pause)
            pause = min(2 * pause, LOOKS[1])

    def shake_again(self) -> None:
        self.flush()
        with time_limit(LOOKS[0]) as limit:
            try:
                self.read_by(self.read_early)  # in a reader's turn: one who is there already does it himself
            except TimeoutError:
                if not limit.expired:
                    raise

    def read_early(self) -> bool:
        """Decrypts what comes next, for whoever reads later."""
        self.feed()
        self.guarded(self.decrypt_early)
        return True

    def decrypt_early(self) -> None:
        """Decrypts all that has come."""
        try:
            while data := self.tls.read(PIECE):
                self.early += data
            self.ended = True
        except ssl.SSLError:  # there is no more, or it was cut: then the next read says so
            pass

    def offer(self, data: Any) -> int:
        self.flush_now()
        view, sent = memoryview(data), 0
        while self.shaken and not self.unsent and sent < len(view):
            try:
                sent += self.guarded(self.encrypt, view[sent : sent + RECORD])
            except ssl.SSLWantReadError:  # in the midst of another handshake
                break
            self.cut = False
            if not self.try_flush():  # the next call tells why
                break
        return sent

    # -- the end

    def set_read_deadline(self, moment: float | None) -> None:
        """As Conn.set_read_deadline. The handshake reads, too."""
        self.transport.set_read_deadline(moment)

    def set_write_deadline(self, moment: float | None) -> None:
        """As Conn.set_write_deadline. What a write has encrypted before it was cut short counts as sent."""
        self.transport.set_write_deadline(moment)

    def end_writing(self) -> bool:
        """Says goodbye (close_notify)."""
        if not self.shaken:
            self.handshake()
        if self.failure is not None:
            self.raise_failure()
        self.guarded(self.say_goodbye)
        self.encrypt = refuse
        self.try_flush()  # whatever the deadline
        self.flush()
        return True

    def say_goodbye(self) -> None:
        """Encrypts close_notify. What has come is decrypted first: unwrap would look for the peer's goodbye in it."""
        self.decrypt_early()
        try:
            self.tls.unwrap()
        except ssl.SSLError:  # it wants the peer's goodbye, or has been through this before
            pass

    def close(self) -> None:
        """Says goodbye and closes what is below, in a while if that takes no more at the moment. Never blocks.

        No goodbye after a write that has ended early: the peer is not to take what has come for all.
        """
        if self.closed:
            return
        super().close()
        late = False
        try:
            if self.shaken and not (self.cut or self.failure or self.transport.closed or sys.is_finalizing()):
                self.guarded(self.say_goodbye)
                late = self.try_flush() and len(self.unsent) > 0
                if late:
                    go(self.close_late)
        finally:
            if not late:
                self.transport.close()

    def close_late(self) -> None:
        try:
            with time_limit(LAST):
                self.send_rest()
        except TimeoutError:
            pass
        finally:
            self.transport.close()

    def abort(self) -> None:
        """Resets what is below: the peer's calls fail."""
        self.transport.abort()
        self.close()


def start_tls(
    conn: Conn,
    context: ssl.SSLContext,
    server_side: bool = False,
    server_hostname: str | None = None,
    timeout: float | None = None,
) -> TLSConn:
    """Goes on over TLS on a live connection (STARTTLS), which belongs to what is returned from then on.

    A client names the host that the certificate must be for. Raises ssl.SSLError, TimeoutError after timeout seconds,
    or ValueError if there is no such name and the context checks it; then conn is closed.
    """
    try:
        tls = TLSConn(conn, context, server_side=server_side, server_hostname=server_hostname)
    except BaseException:
        conn.close()
        raise
    return finish(tls, timeout)


def shake_hands(conn: Conn, context: ssl.SSLContext, server_hostname: str, session: Any) -> TLSConn:
    """A client's TLS over conn, with the handshake made."""
    try:
        tls = TLSConn(conn, context, server_hostname=server_hostname, session=session)
    except BaseException:
        conn.close()
        raise
    return finish(tls, None)


def finish(tls: TLSConn, timeout: float | None) -> TLSConn:
    try:
        tls.handshake(timeout)
    except BaseException:
        tls.close()
        raise
    return tls


def client_context(tls: Any) -> ssl.SSLContext:
    if tls is True:
        return ssl.create_default_context()
    if not isinstance(tls, ssl.SSLContext):
        raise TypeError(f"tls is True or an ssl.SSLContext, not {tls!r}")
    return tls


def refuse(_: Any) -> int:
    """What encrypts once the goodbye has been said."""
    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def server_context(tls: Any) -> ssl.SSLContext:
    """The context that tls is, or makes."""
    context = tls() if callable(tls) else tls
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"tls is an ssl.SSLContext, or a function that makes one, not {context!r}")
    refuse_clients(context)
    return context


def refuse_clients(context: ssl.SSLContext) -> None:
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(
            f"{context!r} is for clients: a server's is ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"
        )


def wrap_listener(listener: Listener, context: ssl.SSLContext) -> Listener:
    """Makes listener accept TLS. The handshake is the handler's, not the acceptor's, whom a slow peer must not hold."""
    try:
        if not isinstance(context, ssl.SSLContext):
            raise TypeError(f"tls is an ssl.SSLContext, not {context!r}")
        refuse_clients(context)
    except BaseException:
        listener.close()
        raise
    listener.wrap = lambda conn: TLSConn(conn, context, server_side=True)
    return listener


def warn_of_peer(conn: Conn, error: OSError) -> bool:
    """Logs error, if it is of TLS over conn, and so of the peer's making; returns whether it is."""
    if not isinstance(error, ssl.SSLError) or conn.describe() not in str(error):
        return False
    import logging  # not before it is needed: it takes a while to import

    logging.getLogger("grt").warning("%s", error)
    return True
