"""TLS over any connection, by the standard library's ssl: what it encrypts and decrypts passes through memory.

Invariants: what has been encrypted is sent in that order and once, also when the write that made it was cut short: it
is `unsent` until then, so a timed-out write leaves the stream whole. A stream that ends without the peer's goodbye
(close_notify) is an error, for it may have been cut.
Threads: any; one goroutine at a time is in `pull`, one in `push`, one sends (`sending`).
"""

import ssl
from typing import Any

from grt._core.semaphore import Mutex
from grt._core.stream import Layered
from grt.net.conn import Conn
from grt.net.listener import Listener
from grt.scope import timeout as time_limit

__all__ = ["TLSConn", "client_context", "shake_hands", "start_tls", "wrap_listener"]

CHUNK = 65536  # bytes of ciphertext read at a time
PIECE = 131072  # bytes of plaintext encrypted at a time: eight records
RECORD = 16384  # bytes of plaintext in a record of TLS at most, and so the most that one call decrypts


class TLSConn(Layered, Conn):
    """A connection over TLS. The handshake is made by the first read or write, or by `handshake`."""

    __slots__ = (
        "early", "ended", "hungry", "incoming", "outgoing", "sending", "shaken", "shaking", "tls", "transport",
        "unsent",
    )  # fmt: skip

    network = "tls"

    def __init__(self, transport: Conn, context: ssl.SSLContext, **side: Any) -> None:
        super().__init__(-1, None)
        self.transport = transport  # what carries the ciphertext; this connection's to close from now on
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, **side)  # the ssl.SSLObject: version(), cipher(), ...
        self.shaken = False  # whether the handshake is over
        self.shaking = Mutex()  # whoever makes it holds this
        self.sending = Mutex()  # whoever hands ciphertext to the transport holds this
        self.unsent = b""  # ciphertext that a write which was cut short has left
        self.hungry = False  # whether nothing is left to decrypt
        self.early = b""  # decrypted before it was asked for
        self.ended = False  # whether the peer has said goodbye

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
        return self.tls.selected_alpn_protocol()

    @property
    def session(self) -> Any:
        """What `dial(session=...)` resumes later. A server of TLS 1.3 sends it after the handshake: read first."""
        return self.tls.session

    @property
    def idle(self) -> bool:
        """Whether a goroutine waits for the first byte of whatever comes next."""
        return not self.early and not self.incoming.pending and self.shaken and self.transport.idle

    def describe(self) -> str:
        return f"tls over {self.transport.describe()}"

    # -- the handshake

    def handshake(self, timeout: float | None = None) -> None:
        """Agrees with the peer on keys, if that has not been done; raises ssl.SSLError if they do not agree.

        Raises TimeoutError after timeout seconds, or at the connection's deadlines.
        """
        with time_limit(timeout), self.shaking:
            while not self.shaken:
                try:
                    self.tls.do_handshake()
                    self.shaken = True
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    self.try_flush()  # tells the peer why
                    error.filename = self.describe()
                    raise
                self.flush()
                if not self.shaken:
                    self.feed()

    def feed(self) -> None:
        """Takes ciphertext in; waits for it."""
        data = self.transport.read(CHUNK)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    # -- reading

    def pull(self, size: int) -> bytes:
        if not self.shaken:
            self.handshake()
        if self.early:
            data, self.early = self.early[:size], self.early[size:]
            return data
        most = size if size < RECORD else RECORD
        while not self.ended:
            if self.hungry:
                self.feed()
                self.hungry = False
            try:
                data = self.tls.read(most)
            except ssl.SSLWantReadError:
                self.hungry = True
                if self.outgoing.pending and not self.sending.locked:  # else whoever sends takes this along
                    self.flush()
                continue
            except ssl.SSLZeroReturnError:  # the same as b"", after our own goodbye
                data = b""
            except ssl.SSLEOFError as error:
                raise ssl.SSLEOFError(error.errno, f"{self.describe()} was cut short: no close_notify came") from None
            if not data:  # close_notify
                self.ended = True
            elif not self.incoming.pending and (len(data) < most or not self.tls.pending()):
                self.hungry = True
            return data
        return b""

    # -- writing

    def push(self, data: Any) -> int:
        if not self.shaken:
            self.handshake()
        if self.unsent or self.outgoing.pending:
            self.flush()
        if not data:
            self.transport.write(data)  # which may have kept something back, too
            return 0
        count: int = self.tls.write(data if len(data) <= PIECE else data[:PIECE])
        try:
            self.flush()
        except BaseException as error:
            error.sent = count  # type: ignore[attr-defined]  # the next write sends it
            raise
        return count

    def flush(self) -> None:
        """Sends what has been encrypted."""
        while self.unsent or self.outgoing.pending:
            with self.sending:
                data = self.outgoing.read()
                if self.unsent:
                    data = self.unsent + data
                    self.unsent = b""
                try:
                    self.transport.write(data)
                except BaseException as error:
                    self.unsent = data[getattr(error, "sent", 0) :]
                    error.sent = 0  # type: ignore[attr-defined]
                    raise

    def try_flush(self) -> None:
        """As flush, as far as the transport takes it at once: never waits."""
        if not self.sending.try_lock():
            return
        try:
            data = self.unsent + self.outgoing.read()
            self.unsent = data
            self.unsent = data[self.transport.try_write(data) :]
        except OSError:  # nobody is there any more
            pass
        finally:
            self.sending.unlock()

    def try_write(self, data: Any) -> int:
        count = self.tls.write(data) if self.shaken else 0
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
        self.flush()
        return True

    def say_goodbye(self) -> None:
        """Encrypts close_notify. What has come is decrypted first: unwrap would look for the peer's goodbye in it."""
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
        """Says goodbye, as far as that needs no waiting, and closes what is below."""
        if self.closed:
            return
        super().close()
        try:
            if self.shaken and not self.transport.closed:
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

    A client names the host that the certificate must be for. Raises ssl.SSLError, or TimeoutError after timeout
    seconds; then conn is closed.
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


def wrap_listener(listener: Listener, context: ssl.SSLContext) -> Listener:
    """Makes listener accept TLS. The handshake is the handler's, not the acceptor's, whom a slow peer must not hold."""
    if not isinstance(context, ssl.SSLContext):
        listener.close()
        raise TypeError(f"tls is an ssl.SSLContext, not {context!r}")
    listener.wrap = lambda conn: TLSConn(conn, context, server_side=True)
    return listener
