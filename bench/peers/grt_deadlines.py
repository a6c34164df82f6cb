"""The echo server of grt_echo.py with a deadline for every read. grt_deadlines.py PORT."""

import sys
import time

import grt

IDLE = 600  # seconds


def echo(conn):
    with conn:
        conn.set_read_deadline(time.monotonic() + IDLE)
        for data in conn:
            conn.write(data)
            conn.set_read_deadline(time.monotonic() + IDLE)


def main():
    with grt.listen("tcp", f"127.0.0.1:{sys.argv[1]}") as listener:
        for conn in listener:
            grt.go(echo, conn)


grt.run(main)
