"""Layer 2's demo: an echo server of callbacks.

python examples/demo1.py                   on every host, port 8888
python examples/demo1.py 127.0.0.1:9000
"""

import sys

from grt.loop import Connection, EventLoop, Listener


def on_conn(conn: Connection) -> None:
    conn.on_read = Connection.write


def main(address: str = ":8888") -> None:
    loop = EventLoop()
    listener = Listener(loop, address, on_conn)
    try:
        loop.run()
    except KeyboardInterrupt:
        listener.close()
        loop.close()


main(*sys.argv[1:])
