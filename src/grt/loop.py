"""Layer 2: an event loop of callbacks, and on it listeners and connections with buffered, asynchronous writes.

Invariants: a connection's writes go out whole and in order: what the kernel does not take is queued, the unsent rest
of a piece at the front again; the loop asks about writability only while that queue is not empty; `on_close` is
called once, last, whatever ended the connection.
Threads: the loop's owner only; other threads use `call_soon`.
"""

from collections import deque
from collections.abc import Callable
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOL_SOCKET, TCP_NODELAY
from typing import Any

from grt import sock
from grt._core.errors import Closed
from grt._core.loop import EventLoop, Handler, ScheduledCall
from grt.address import Address, join, split
from grt.poll import ERROR, HANGUP, READ, WRITE

__all__ = ["Connection", "EventLoop", "Handler", "Listener", "ScheduledCall"]

PER_EVENT = 64  # connections accepted per event, so that a flood of them does not starve those that are open
EXHAUSTED = frozenset({12, 23, 24, 105})  # ENOMEM, ENFILE, EMFILE, ENOBUFS
PAUSE = 0.1  # seconds without accepting when descriptors have run out


class Connection(Handler):
    """A connection of callbacks. Set `on_read`, `on_close` and `on_error` in the listener's `on_conn`.

    on_read(conn, data) gets what arrived; on_error(conn, error) an OSError that ends it; on_close(conn) is called
    once when it is closed, for whatever reason. A callback that raises is reported by the loop, which goes on.
    """

    __slots__ = ("closing", "events", "loop", "on_close", "on_error", "on_read", "queue", "remote_addr")

    def __init__(self, loop: EventLoop, fd: int, remote_addr: Address) -> None:
        super().__init__(fd)
        self.loop = loop
        self.remote_addr = remote_addr
        self.on_read: Callable[[Connection, bytes], object] | None = None
        self.on_close: Callable[[Connection], object] | None = None
        self.on_error: Callable[[Connection, OSError], object] | None = None
        self.queue: deque[Any] = deque()  # what the kernel has not taken yet, in order
        self.closing = False  # close() was called: no more reads, the queue is flushed
        self.events = READ
        loop.add(self, READ)

    @property
    def closed(self) -> bool:
        """Whether its descriptor was given back."""
        return self.fd < 0

    @property
    def unsent(self) -> int:
        """Bytes written that the kernel has not taken yet: a producer that sees many should wait."""
        return sum(map(len, self.queue))

    def write(self, data: Any) -> None:
        """Sends data (bytes or any buffer), now or when the kernel takes it; never blocks. grt.Closed after close."""
        if self.closing or self.closed:
            raise Closed(f"the connection to {join(self.remote_addr)} is closed")
        piece = memoryview(data).cast("B")
        if not piece.readonly:
            piece = memoryview(bytes(piece))  # the caller may change his buffer while ours waits
        if len(piece):
            self.queue.append(piece)
            if len(self.queue) == 1:
                self.flush()

    def close(self) -> None:
        """Reads no more, sends what is queued, then closes. Closing again does nothing."""
        if not self.closing and not self.closed:
            self.closing = True
            if self.queue:
                self.watch()
            else:
                self.finish()

    def abort(self) -> None:
        """Closes at once with a reset; what is queued is dropped."""
        if not self.closed:
            try:
                sock.linger_zero(self.fd)
            except OSError:
                pass  # the peer's own reset came first
            self.finish()

    def on_event(self, flags: int) -> None:
        if flags & (WRITE | HANGUP | ERROR) and self.queue:
            self.flush()
        if flags & (READ | HANGUP | ERROR) and not self.closing and not self.closed:
            self.receive()

    def receive(self) -> None:
        try:
            data = sock.read(self.fd)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if not data:
            self.close()
        elif self.on_read is not None:
            self.on_read(self, data)

    def flush(self) -> None:
        """Sends from the queue until it is empty or the kernel takes no more."""
        try:
            while self.queue:
                piece = self.queue.popleft()
                try:
                    count = sock.write(self.fd, piece)
                except BlockingIOError:
                    count = 0
                if count < len(piece):
                    self.queue.appendleft(piece[count:])
                    break
        except OSError as error:
            self.fail(error)
            return
        if self.closing and not self.queue:
            self.finish()
        else:
            self.watch()

    def watch(self) -> None:
        """Asks the loop for what this connection waits for now."""
        events = (0 if self.closing else READ) | (WRITE if self.queue else 0)
        if events != self.events:
            self.events = events
            self.loop.modify(self, events)

    def fail(self, error: OSError) -> None:
        try:
            if self.on_error is not None:
                self.on_error(self, error)
        finally:
            self.finish()

    def finish(self) -> None:
        """Gives the descriptor back, and tells."""
        if self.closed:
            return
        self.queue.clear()
        self.loop.discard(self)
        fd, self.fd = self.fd, -1
        sock.close(fd)
        if self.on_close is not None:
            self.on_close(self)


class Listener(Handler):
    """Accepts connections and calls on_conn(conn) with each.

    >>> loop = EventLoop()
    >>> listener = Listener(loop, "127.0.0.1:0", on_conn=lambda conn: conn.close())
    >>> listener.close(); loop.close()
    """

    __slots__ = ("addr", "loop", "on_conn")

    def __init__(
        self, loop: EventLoop, address: str | Address, on_conn: Callable[[Connection], object], backlog: int = 4096
    ) -> None:
        host, port = split(address)
        host = host or "0.0.0.0"
        fd = sock.open(AF_INET6 if ":" in host else AF_INET)
        try:
            sock.set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
            sock.set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)  # inherited by what it accepts
            sock.bind(fd, (host, port))
            sock.listen(fd, backlog)
            self.addr = sock.local_address(fd)  # with the real port, even if 0 was asked for
        except BaseException as error:
            sock.close(fd)
            if isinstance(error, OSError):
                error.filename = f"listen tcp {join((host, port))}"
            raise
        super().__init__(fd)
        self.loop = loop
        self.on_conn = on_conn
        loop.add(self, READ)

    def on_event(self, flags: int) -> None:
        for _ in range(PER_EVENT):
            if self.fd < 0:
                return
            try:
                fd, remote_addr = sock.accept(self.fd)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self.pause()
                return
            self.on_conn(Connection(self.loop, fd, remote_addr))

    def pause(self) -> None:
        """Descriptors have run out: those that are being served will give theirs back."""
        self.loop.discard(self)
        self.loop.call_later(PAUSE, self.resume)

    def resume(self) -> None:
        if self.fd >= 0:
            self.loop.add(self, READ)

    def close(self) -> None:
        """Accepts no more; the connections it has accepted go on. Closing again does nothing."""
        if self.fd >= 0:
            self.loop.discard(self)
            fd, self.fd = self.fd, -1
            sock.close(fd)
