"""Two VMs and one channel: the one sends what it makes, the other prints what comes.

    python examples/producer_consumer.py [COUNT]

Each runs in a process of its own; the channel has no buffer, so the two meet for each message.
"""

import argparse
import contextlib
import os

import grt


def produce(channel: "grt.Chan[str]", count: int) -> None:
    for number in range(1, count + 1):
        channel.send(f"message {number} of process {os.getpid()}")
    channel.close()


def consume(channel: "grt.Chan[str]") -> int:
    received = 0
    for message in channel:
        print(f"process {os.getpid()} has received {message}")
        received += 1
    return received


def main(count: int) -> None:
    channel: grt.Chan[str] = grt.chan()
    with grt.vm.VM() as producer, grt.vm.VM() as consumer:
        consumed = consumer.go(consume, channel)
        producer.go(produce, channel, count).result()
        print(f"{consumed.result()} messages went from VM {producer.number} to VM {consumer.number}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Two VMs and one channel.")
    parser.add_argument("count", type=int, nargs="?", default=10, help="how many messages are sent (default 10)")
    with contextlib.suppress(KeyboardInterrupt):
        grt.run(main, parser.parse_args().count)
