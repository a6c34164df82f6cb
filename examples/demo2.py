"""Layer 3's demo: an echo server of goroutines, one for each connection.

python examples/demo2.py                   on every host, port 8888
python examples/demo2.py 127.0.0.1:9000
"""

import sys

import grt


def echo(conn):
    with conn:
        for data in conn:
            conn.write(data)


def main(address=":8888"):
    with grt.listen("tcp", address) as listener:
        for conn in listener:
            grt.go(echo, conn)


grt.run(main, *sys.argv[1:])
