"""The exceptions that grt adds to Python's own."""

__all__ = ["Cancelled", "Closed"]


class Closed(Exception):
    """The connection, listener or channel was closed, here, by this program. (The peer's closing is b"".)"""

    __module__ = "grt"


class Cancelled(BaseException):
    """Raised by the blocking call in which a goroutine was when somebody called its `cancel()`.

    Not an Exception, so that `except Exception` around a request does not swallow it: clean up and let it pass.
    """

    __module__ = "grt"
