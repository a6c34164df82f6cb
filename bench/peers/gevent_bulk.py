"""grt_bulk.py on gevent. gevent_bulk.py PORT."""

import sys

from gevent.server import StreamServer

CHUNK = bytes(65536)


def pour(conn, _address):
    try:
        while True:
            conn.sendall(CHUNK)
    except ConnectionError:
        pass


StreamServer(("127.0.0.1", int(sys.argv[1])), pour, backlog=4096).serve_forever()
