"""grt: Go's runtime for Python. Goroutines, blocking-style sockets that never block, no async, no await.

import grt

def echo(conn):
    with conn:
        for data in conn:
            conn.write(data)

def main():
    with grt.listen("tcp", ":8888") as listener:
        for conn in listener:
            grt.go(echo, conn)

grt.run(main)
"""

from grt import context, debug, signal, subprocess, sync, testing, vm
from grt._core.chan import Chan, RecvChan, SendChan, chan
from grt._core.errors import Cancelled, Closed, Deadlock, TooLong
from grt._core.go import current, go, gosched, sleep
from grt._core.goroutine import Goroutine
from grt._core.select import select
from grt._core.ticker import Ticker, Timer, after, after_func
from grt.executor import Executor
from grt.files import open, stderr, stdin, stdout
from grt.goroutine import Uncaught, current_loop, excepthook, run
from grt.groups import Group, group
from grt.net import (
    Conn,
    Listener,
    PacketConn,
    Server,
    dial,
    dial_packet,
    inherited_listeners,
    listen,
    listen_packet,
    lookup,
    os_pipe,
    pipe,
    start_tls,
)
from grt.offload import blocking
from grt.parallel import lock_os_thread, procs
from grt.scope import timeout
from grt.version import __compiled__, __version__

__all__ = [
    "Cancelled",
    "Chan",
    "Closed",
    "Conn",
    "Deadlock",
    "Executor",
    "Goroutine",
    "Group",
    "Listener",
    "PacketConn",
    "RecvChan",
    "SendChan",
    "Server",
    "Ticker",
    "Timer",
    "TooLong",
    "Uncaught",
    "__compiled__",
    "__version__",
    "after",
    "after_func",
    "blocking",
    "chan",
    "context",
    "current",
    "current_loop",
    "debug",
    "dial",
    "dial_packet",
    "excepthook",
    "go",
    "gosched",
    "group",
    "inherited_listeners",
    "listen",
    "listen_packet",
    "lock_os_thread",
    "lookup",
    "open",
    "os_pipe",
    "pipe",
    "procs",
    "run",
    "select",
    "signal",
    "sleep",
    "start_tls",
    "stderr",
    "stdin",
    "stdout",
    "subprocess",
    "sync",
    "testing",
    "timeout",
    "vm",
]
