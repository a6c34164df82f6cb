"""TLS over any connection, by the standard library's ssl: what it encrypts and decrypts passes through memory.

Invariants: a stream that ends without the peer's goodbye (close_notify) is an error, for it may have been cut.
Threads: any, as for Sealed.
"""

import errno
import os
import ssl
from typing import Any

from grt.net.conn import Conn
from grt.net.listener import Listener
from grt.net.sealed import PIECE, Sealed
from grt.scope import timeout as time_limit

__all__ = [
    "GONE", "TLSConn", "client_context", "server_context", "shake_hands", "start_tls", "warn_of_handshake",
    "wrap_listener",
]  # fmt: skip

GONE = ConnectionError, ssl.SSLEOFError  # how it is said that a peer has gone: by a reset, or without its goodbye


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
        return not self.early and not self.incoming.pending and self.transport.idle

    def describe(self) -> str:
        return f"tls over {self.transport.describe()}"

    # -- the handshake

    def handshake(self, timeout: float | None = None) -> None:
        """Agrees with the peer on keys, if that has not been done; raises ssl.SSLError if they do not agree.

        Raises TimeoutError after timeout seconds, or at the connection's deadlines.
        """
        with time_limit(timeout), self.shaking:
            while not self.shaken:
                over = False
                try:
                    with self.guard:
                        self.tls.do_handshake()
                    over = True
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    self.try_flush()  # tells the peer why
                    error.filename = self.describe()
                    raise
                self.flush()
                self.shaken = over  # not before its last bytes have gone
                if not over:
                    self.feed()

    # -- reading and writing, beside what Sealed does

    def judge_end(self, error: BaseException) -> bytes:
        if isinstance(error, ssl.SSLZeroReturnError):  # the same as b"", after our own goodbye
            return b""
        if isinstance(error, ssl.SSLEOFError):
            raise ssl.SSLEOFError(error.errno, f"{self.describe()} was cut short: no close_notify came") from None
        raise error

    def try_flush(self) -> None:
        """As flush, as far as the transport takes it at once: never waits."""
        if not self.sending.try_lock():
            return
        try:
            with self.guard:
                data = self.unsent + self.outgoing.read()
            self.unsent = data
            self.unsent = data[self.transport.try_write(data) :]
        except OSError:  # nobody is there any more
            pass
        finally:
            self.sending.unlock()

    def offer(self, data: Any) -> int:
        self.try_flush()
        if not self.shaken or self.unsent:
            return 0
        with self.guard:
            count: int = self.encrypt(data)
        self.cut = False
        self.try_flush()
        return count

    # -- the end

    def set_read_deadline(self, moment: float | None) -> None:
        """As Conn.set_read_deadline. The handshake reads, too."""
        self.transport.set_read_deadline(moment)

    def set_write_deadline(self, moment: float | None) -> None:
        """As Conn.set_write_deadline. What a write has encrypted before it was cut short counts as sent."""
        self.transport.set_write_deadline(moment)

    def close_write(self) -> None:
        """Tells the peer that no more will be written (close_notify); reading goes on."""
        self.write_by(self.end_writing)

    def end_writing(self) -> bool:
        if not self.shaken:
            self.handshake()
        self.say_goodbye()
        self.encrypt = refuse
        self.flush()
        return True

    def say_goodbye(self) -> None:
        """Encrypts close_notify. What has come is decrypted first: unwrap would look for the peer's goodbye in it."""
        with self.guard:
            try:
                while data := self.tls.read(PIECE):
                    self.early += data
                self.ended = True
            except ssl.SSLError:  # there is no more, or it was cut: then the next read says so
                pass
            try:
                self.tls.unwrap()
            except ssl.SSLError:  # it wants the peer's goodbye, or has been through this before
                pass

    def close(self) -> None:
        """Says goodbye, as far as that needs no waiting, and closes what is below.

        Not after a write that has ended early: the peer is not to take what has come for all.
        """
        if self.closed:
            return
        super().close()
        try:
            if self.shaken and not self.cut and not self.transport.closed:
                self.say_goodbye()
                self.try_flush()
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
    return context


def wrap_listener(listener: Listener, context: ssl.SSLContext) -> Listener:
    """Makes listener accept TLS. The handshake is the handler's, not the acceptor's, whom a slow peer must not hold."""
    if not isinstance(context, ssl.SSLContext):
        listener.close()
        raise TypeError(f"tls is an ssl.SSLContext, not {context!r}")
    listener.wrap = lambda conn: TLSConn(conn, context, server_side=True)
    return listener


def warn_of_handshake(conn: Conn, error: OSError) -> bool:
    """Logs error, if that is how conn's handshake has failed; returns whether it is."""
    if not isinstance(error, ssl.SSLError) or error.filename != conn.describe():
        return False
    import logging  # not before it is needed: it takes a while to import

    logging.getLogger("grt").warning("%s: the handshake has failed: %s", error.filename, error)
    return True
