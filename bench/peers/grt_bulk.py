"""Writes to whoever connects, 64 KiB at a time, until they hang up. grt_bulk.py PORT."""

import sys

import grt

CHUNK = bytes(65536)


def pour(conn):
    with conn:
        try:
            while True:
                conn.write(CHUNK)
        except ConnectionError:
            pass


def main():
    with grt.listen("tcp", f"127.0.0.1:{sys.argv[1]}") as listener:
        for conn in listener:
            grt.go(pour, conn)


grt.run(main)
