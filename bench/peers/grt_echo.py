"""The echo server in grt: the project's demo2, on the port it is told."""

import sys

import grt


def echo(conn):
    with conn:
        for data in conn:
            conn.write(data)


def main():
    with grt.listen("tcp", f"127.0.0.1:{sys.argv[1]}") as listener:
        for conn in listener:
            grt.go(echo, conn)


grt.run(main)
