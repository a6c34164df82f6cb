"""Layer 1, sockets: one system call each, one line at a time, nothing hidden and nothing blocking.

>>> from grt import sock
>>> server = sock.open()
>>> sock.bind(server, ("127.0.0.1", 0))
>>> sock.listen(server)
>>> sock.tcp_state(server)
'LISTEN'
>>> sock.close(server)
"""

from grt._core.sock import (
    accept,
    bind,
    close,
    connect,
    error,
    linger_zero,
    listen,
    local_address,
    open,
    read,
    remote_address,
    set_option,
    shutdown_write,
    tcp_state,
    write,
)

__all__ = [
    "accept",
    "bind",
    "close",
    "connect",
    "error",
    "linger_zero",
    "listen",
    "local_address",
    "open",
    "read",
    "remote_address",
    "set_option",
    "shutdown_write",
    "tcp_state",
    "write",
]
