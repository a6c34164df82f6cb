"""examples/redis_server.py, with Redis's own clients and with what no client would send."""

import shutil
import subprocess

import pytest

from examples import redis_server
from tests.clients.streams import feed, junk_of
from tests.examples.test_examples import PATIENCE, dial, running

needs_redis = pytest.mark.skipif(
    shutil.which("redis-cli") is None or shutil.which("redis-benchmark") is None, reason="needs redis-tools"
)


@pytest.fixture
def server():
    with running("redis_server.py") as (process, port):
        yield port
        process.terminate()
        assert process.wait(PATIENCE) == 0 and process.stderr.read() == ""


def cli(port, *words, given=None):
    command = ["redis-cli", "-p", str(port), "--no-raw", *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


@needs_redis
def test_redis_cli_finds_what_it_knows(server):
    script = """
    ping
    echo hello
    set spam eggs
    get spam
    get nothing
    incr count
    incr count
    incr spam
    del spam count nothing
    get spam
    lpush list one two three
    lpush list four
    lrange list 0 -1
    lrange list 1 2
    lrange list -2 -1
    lrange list 5 9
    get list
    lpush
    nonsense
    set key value ex 100
    get key
    set key value ex 0
    set key value spam 1
    """
    said = cli(server, given="\n".join(line.strip() for line in script.strip().splitlines()) + "\n")
    assert said.splitlines() == [
        "PONG", '"hello"', "OK", '"eggs"', "(nil)", "(integer) 1", "(integer) 2",
        "(error) ERR value is not an integer or out of range", "(integer) 2", "(nil)",
        "(integer) 3", "(integer) 4", '1) "four"', '2) "three"', '3) "two"', '4) "one"', '1) "three"', '2) "two"',
        '1) "two"', '2) "one"', "(empty array)",
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        "(error) ERR wrong number of arguments for b'lpush'", "(error) ERR unknown command b'nonsense'",
        "OK", '"value"', "(error) ERR syntax error", "(error) ERR syntax error",
    ]  # fmt: skip


@needs_redis
@pytest.mark.parametrize("pipeline", ["1", "16"])
def test_redis_benchmark_is_answered(server, pipeline):
    command = [
        "redis-benchmark",
        "-p",
        str(server),
        "-t",
        "ping,set,get,incr,lpush,lrange_100",
        "-n",
        "2000",
        "-c",
        "50",
    ]
    done = subprocess.run(
        [*command, "-P", pipeline, "-q"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.count("requests per second") == 8 and "ERR" not in done.stdout + done.stderr


@needs_redis
def test_a_key_vanishes_when_its_time_has_come(server):
    assert cli(server, "set", "brief", "x", "ex", "1") == "OK\n"
    assert cli(server, "get", "brief") == '"x"\n'
    subprocess.run(["sleep", "1.1"], check=True)
    assert cli(server, "get", "brief") == "(nil)\n"


def test_a_pipeline_in_pieces_is_answered_in_order(server):
    command = b"*2\r\n$4\r\nECHO\r\n$5\r\nabcde\r\n" * 50 + b"PING\r\nECHO inline\r\n\r\n"
    with dial(server) as client:
        for at in range(0, len(command), 13):
            client.sendall(command[at : at + 13])
        expected = b"$5\r\nabcde\r\n" * 50 + b"+PONG\r\n$6\r\ninline\r\n"
        received = b""
        while len(received) < len(expected):
            received += client.recv(65536)
    assert received == expected


@pytest.mark.parametrize(
    "wrong",
    [
        b"*x\r\n",
        b"*1\r\n+OK\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$99999999999\r\n",
        b"*9999999999\r\n",
        b"*" + b"9" * 5000 + b"\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_protocol_is_told_so_and_hung_up_on(server, wrong):
    with dial(server) as client:
        client.sendall(b"PING\r\n" + wrong)
        received = b""
        while data := client.recv(65536):
            received += data
    assert received.startswith(b"+PONG\r\n-ERR ") and received.endswith(b"\r\n")


WORDS = [b"*", b"$", b"1", b"3", b"\r\n", b"\n", b"GET", b"SET", b"LRANGE", b" ", b"-1", b"x", b"\0\xff", b"ex", b"key"]


@pytest.mark.timeout(1200)
def test_no_stream_of_bytes_breaks_it():
    feed(redis_server.server.serve_conn, lambda rng: junk_of(WORDS, rng), 2000)
    assert redis_server.server.connections == 0
