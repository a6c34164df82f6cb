"""A stream of bytes in each direction: reads whatever there is, or up to a mark; writes all or tells how much.

Invariants: what was read from below and not asked for yet is `rest[at:]`, and comes first; it is touched inside the
reading side only, so a call that reads up to a mark gets bytes in a row, whoever else reads. A call that ends early,
by a deadline or a cancellation, leaves what it had read to the next.
After a short read the next one waits without trying; not so once a hang-up was seen, whose edge comes only once.
Threads: any, as for NetFD.
"""

from typing import Any

from grt._core.errors import TooLong
from grt._core.goroutine import Goroutine
from grt._core.netfd import NetFD
from grt._core.readiness import Side

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.goroutine import NEWS
    from grt._core.pysys import (
        FAILED,
        NEVER,
        WOULD_BLOCK,
        caught,
        find,
        part,
        recv_into,
        recv_or_error,
        send_or_failed,
        shutdown_write,
    )

__all__ = ["Layered", "Stream", "octets"]

CHUNK = 65536  # bytes asked for by a read without a size: what one loopback segment train holds
LONGEST = 65536  # bytes that read_until gathers at most, unless told otherwise


class Stream(NetFD):
    """A connected descriptor."""

    __slots__ = ("amid", "at", "local", "remote", "rest")

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.rest = b""
        self.at = 0
        self.amid = False  # whether a call that waits has got some of what it needs
        self.local: Any = None  # the addresses of its ends, for whoever makes connections of streams
        self.remote: Any = None

    # -- reading

    def read(self, size: int = CHUNK) -> bytes:
        """Reads what there is, at most size bytes; waits until there is something. b"" is the end of the stream.

        Raises OSError (ConnectionResetError, ...), grt.Closed when this side closes the connection, TimeoutError.
        """
        if size <= 0:
            return self.read_nothing(size)
        side = self.news.rd
        g = self.take(side)
        data: Any = self.read_rest(size) if self.rest else None
        while data is None:
            if side.ready:
                side.ready = False
                data = recv_or_error(self.fd, size)
                if data is None:
                    continue
                if type(data) is not bytes:
                    self.give_up(side, g, data)
                if len(data) == size or self.news.hangup or not data:
                    side.ready = True
            else:
                ended = self.wait_news(side, g, NEVER)
                if ended != NEWS:
                    self.give_up(side, g, ended)
        self.leave(side)
        g.proc.spend(g)
        return data  # type: ignore[no-any-return]

    def read_nothing(self, size: int) -> bytes:
        """A read of no bytes: never waits."""
        if size < 0:
            raise ValueError(f"cannot read {size} bytes: the size must not be negative")
        if self.closed:
            raise self.closed_error()
        return b""

    def __iter__(self) -> "Chunks":
        """What arrives, until the end of the stream."""
        return Chunks(self)

    def unread(self) -> bytes:
        """What was read from below, and nobody has asked for yet."""
        return self.rest[self.at :]

    def preload(self, data: bytes) -> None:
        """Has the next reads begin with data: for one that was made of another's descriptor."""
        self.rest = data

    def read_rest(self, size: int) -> bytes:
        """Takes at most size bytes of what was read before."""
        at, rest = self.at, self.rest
        if size < len(rest) - at:
            self.at = at + size
            return part(rest, at, self.at)
        self.rest = b""
        self.at = 0
        return part(rest, at, len(rest)) if at else rest

    def receive(self, side: Side, g: Goroutine, size: int) -> Any:
        """What comes next, inside side: bytes, or what `give_up` is to be told."""
        while True:
            if side.ready:
                side.ready = False
                data = recv_or_error(self.fd, size)
                if data is None:
                    continue
                if type(data) is bytes and (len(data) == size or self.news.hangup or not data):
                    side.ready = True
                return data
            ended = self.wait_news(side, g, NEVER)
            if ended != NEWS:
                return ended

    def more(self, side: Side, g: Goroutine) -> bool:
        """Reads on, inside side, to what is there; False at the end of the stream. Leaves side if it fails."""
        data = self.receive(side, g, CHUNK)
        if type(data) is not bytes:
            self.give_up(side, g, data)
        self.rest = self.rest[self.at :] + data if self.rest else data
        self.at = 0
        return len(data) > 0

    def peek(self, size: int = 1) -> bytes:
        """What the next reads will begin with: size bytes, or fewer if the stream ends before. Waits for them."""
        if size <= 0:
            return self.read_nothing(size)
        side = self.news.rd
        g = self.take(side)
        while len(self.rest) - self.at < size:
            if not self.more(side, g):
                break
        data = part(self.rest, self.at, self.at + min(size, len(self.rest) - self.at))
        self.leave(side)
        return data

    def read_exactly(self, size: int) -> bytes:
        """Reads size bytes, waiting for all of them. EOFError if the stream ends first, with what came in `partial`."""
        if size <= 0:
            return self.read_nothing(size)
        side = self.news.rd
        g = self.take(side)
        have = len(self.rest) - self.at
        if have >= size:
            data: Any = self.read_rest(size)
        else:
            data = self.gather(side, g, size)
        self.leave(side)
        g.proc.spend(g)
        if len(data) < size:
            raise self.short(data, f"after {len(data)} of {size} bytes")
        return data  # type: ignore[no-any-return]

    def gather(self, side: Side, g: Goroutine, size: int) -> bytes:
        """Reads size bytes, or to the end of the stream; a piece at a time, for there may be many."""
        parts = [self.read_rest(size)]
        missing = size - len(parts[0])
        while missing > 0:
            self.amid = missing < size
            data = self.receive(side, g, missing)
            self.amid = False
            if type(data) is not bytes:
                self.rest = b"".join(parts)
                self.give_up(side, g, data)
            if not data:
                break
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def read_until(self, delimiter: bytes = b"\n", limit: int = LONGEST) -> bytes:
        """Reads up to the first delimiter, and with it.

        EOFError if the stream ends first, with what came in `partial`. grt.TooLong if there is none in the first
        limit bytes, which are left to be read.
        """
        side = self.news.rd
        g = self.take(side)
        size = self.find(side, g, delimiter, limit)
        data = self.read_rest(size if size > 0 else len(self.rest))
        self.leave(side)
        g.proc.spend(g)
        if size < 0:
            raise self.short(data, f"before the {delimiter!r} that was awaited")
        return data

    def read_line(self, limit: int = LONGEST) -> bytes:
        """Reads a line, with its b"\\n"; the last one may have none, and b"" is the end of the stream.

        grt.TooLong if it is longer than limit bytes, which are left to be read.
        """
        side = self.news.rd
        g = self.take(side)
        size = self.find(side, g, b"\n", limit)
        data = self.read_rest(size if size > 0 else len(self.rest))
        self.leave(side)
        g.proc.spend(g)
        return data

    def find(self, side: Side, g: Goroutine, delimiter: bytes, limit: int) -> int:
        """Reads on until delimiter is among what is there; returns how many bytes that is, -1 at the stream's end."""
        length = len(delimiter)
        if length == 0:
            self.give_up(side, g, ValueError("the delimiter is empty: nothing would be read"))
        seen = 0
        while True:
            at = find(self.rest, delimiter, self.at + seen)
            size = at + length - self.at
            if at >= 0 and size <= limit:
                return size
            have = len(self.rest) - self.at
            if at >= 0 or have >= limit:
                what = f"{self.describe()}: no {delimiter!r} in the first {limit} bytes"
                self.give_up(side, g, TooLong(what))
            seen = max(have - length + 1, 0)
            if not self.more(side, g):
                return -1

    def short(self, data: bytes, when: str) -> EOFError:
        error = EOFError(f"{self.describe()} ended {when}")
        error.partial = data  # type: ignore[attr-defined]
        return error

    def read_into(self, buffer: Any) -> int:
        """Reads into buffer what there is, and returns how many bytes; 0 is the end of the stream."""
        view = memoryview(buffer).cast("B")
        view[:0] = b""  # raises TypeError if it cannot be changed: before anything is taken for it
        size = len(view)
        if size == 0:
            return len(self.read_nothing(0))
        side = self.news.rd
        g = self.take(side)
        count = WOULD_BLOCK
        if self.rest:
            data = self.read_rest(size)
            count = len(data)
            view[:count] = data
        while count == WOULD_BLOCK:
            if side.ready:
                side.ready = False
                try:
                    count = recv_into(self.fd, view)
                except BaseException as error:
                    self.give_up(side, g, error)
                if count == size or count == 0 or (count > 0 and self.news.hangup):
                    side.ready = True
            else:
                ended = self.wait_news(side, g, NEVER)
                if ended != NEWS:
                    self.give_up(side, g, ended)
        self.leave(side)
        g.proc.spend(g)
        return count

    @property
    def buffered(self) -> int:
        """How many bytes can be read without waiting, at least: an earlier call has left them."""
        return len(self.rest) - self.at

    @property
    def idle(self) -> bool:
        """Whether a goroutine waits for the first byte of whatever comes next."""
        return self.news.rd.waiter is not None and not self.rest and not self.amid

    # -- writing

    def write(self, data: Any) -> None:
        """Writes all of data (bytes or any buffer); returns when every byte is with the kernel, or raises.

        After an error, a timeout or a cancellation part of data may have been sent; the exception's `sent` tells
        how many bytes.
        """
        if type(data) is not bytes:
            data = octets(data)
        size = len(data)
        sent = 0
        side = self.news.wr
        g = self.try_take(side)
        if g is None:
            g = self.take_to_write(side)
        while sent < size:
            if side.ready:
                side.ready = False
                count = send_or_failed(self.fd, data, sent)
                if count == FAILED:
                    self.give_up_writing(g, caught(), sent)
                if count != WOULD_BLOCK:
                    sent += count
                    if sent == size or self.news.hangup:
                        side.ready = True
            else:
                ended = self.wait_news(side, g, NEVER)
                if ended != NEWS:
                    self.give_up_writing(g, ended, sent)
        self.leave(side)
        g.proc.spend(g)

    def take_to_write(self, side: Side) -> Goroutine:
        try:
            return self.take_in_turn(side)
        except BaseException as error:
            error.sent = 0  # type: ignore[attr-defined]
            raise

    def give_up_writing(self, g: Goroutine, why: Any, sent: int) -> None:
        try:
            self.give_up(self.news.wr, g, why)
        except BaseException as error:
            error.sent = sent  # type: ignore[attr-defined]
            raise

    def close_write(self) -> None:
        """Tells the peer that no more will be written; reading goes on (half-close)."""
        if not self.try_write_by(self.end_writing):  # whatever the deadline
            self.write_by(self.end_writing)  # after whoever is writing

    def end_writing(self) -> bool:
        shutdown_write(self.fd)
        return True


class Layered(Stream):
    """A stream without a descriptor of its own: what is read is pulled, what is written is pushed.

    A subclass has `pull(size)` and `push(data)`, which may block, or return None and 0 for "not now": then there is
    to be an `on_event` of `news` when it is worth another try.
    """

    __slots__ = ()

    def pull(self, size: int) -> Any:
        """At most size bytes that come next; b"" is the end of the stream, None means that there is nothing yet."""
        raise NotImplementedError

    def push(self, data: Any) -> int:
        """Takes some of data, a buffer; returns how many bytes. An exception's `sent` tells how many it took."""
        raise NotImplementedError

    def receive(self, side: Side, g: Goroutine, size: int) -> Any:
        while True:
            side.ready = False
            try:
                data = self.pull(size)
            except BaseException as error:
                return error
            if data is not None:
                return data
            ended = self.wait_news(side, g, NEVER)
            if ended != NEWS:
                return ended

    def read(self, size: int = CHUNK) -> bytes:
        """As Stream.read."""
        if size <= 0:
            return self.read_nothing(size)
        side = self.news.rd
        g = self.take(side)
        data = self.read_rest(size) if self.rest else self.receive(side, g, size)
        if type(data) is not bytes:
            self.give_up(side, g, data)
        self.leave(side)
        g.proc.spend(g)
        return data

    def read_into(self, buffer: Any) -> int:
        """As Stream.read_into."""
        view = memoryview(buffer).cast("B")
        view[:0] = b""  # raises TypeError if it cannot be changed: before anything is taken for it
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> None:
        """As Stream.write."""
        if type(data) is not bytes:
            data = octets(data)
        size = len(data)
        sent = 0
        side = self.news.wr
        g = self.try_take(side)
        if g is None:
            g = self.take_to_write(side)
        while True:  # once at least: it may have kept something back
            side.ready = False
            try:
                count = self.push(memoryview(data)[sent:] if sent > 0 else data)
            except BaseException as error:
                self.give_up_writing(g, error, sent + getattr(error, "sent", 0))
            sent += count
            if sent == size:
                break
            if count == 0:
                ended = self.wait_news(side, g, NEVER)
                if ended != NEWS:
                    self.give_up_writing(g, ended, sent)
        self.leave(side)
        g.proc.spend(g)


class Chunks:
    """Iterates over what arrives on a Stream. Not the Stream itself, whose subclasses would look `__next__` up."""

    __slots__ = ("source",)

    def __init__(self, source: Stream) -> None:
        self.source = source

    def __iter__(self) -> "Chunks":
        return self

    def __next__(self) -> bytes:
        data = self.source.read(CHUNK)
        if not data:
            raise StopIteration
        return data


def octets(data: Any) -> Any:
    """A view of the bytes of data, whatever buffer that is."""
    if isinstance(data, str):
        raise TypeError(f"a bytes-like object is written, not str: encode it first, as in {data[:20]!r}.encode()")
    return memoryview(data).cast("B")
