"""Between the main program and a VM: grt_vm.py JOB SECONDS [VMS]

oneway: messages of 64 B each second, from the VM. roundtrip: of those, there and back. buffer: bytes each second, in
buffers of 64 MiB. compute: pieces of computing each second, in a pool of so many VMs.
"""

import sys

from rates import per_second

import grt

MESSAGE = b"x" * 64
BUFFER = 64 << 20
AT_ONCE = 1000  # messages that the channel holds; multiprocessing's queue and pipe hold about as many
PIECE = 200_000  # additions, about ten milliseconds


def send_messages(channel):
    for _ in range(1 << 40):
        channel.send(MESSAGE)


def echo(requests, replies):
    for message in requests:
        replies.send(message)


def send_buffers(channel):
    buffer = bytearray(BUFFER)
    while True:
        channel.send(memoryview(buffer))


def compute():
    total = 0
    for n in range(PIECE):
        total += n * n
    return total


def oneway(seconds):
    channel = grt.chan(AT_ONCE)
    with grt.vm.VM() as vm:
        g = vm.go(send_messages, channel)

        def receive():
            for _ in range(AT_ONCE):
                channel.recv()

        rate = AT_ONCE * per_second(seconds, receive)
        g.cancel()
    return rate


def roundtrip(seconds):
    requests, replies = grt.chan(1), grt.chan(1)
    with grt.vm.VM() as vm:
        g = vm.go(echo, requests, replies)

        def ask():
            requests.send(MESSAGE)
            replies.recv()

        rate = per_second(seconds, ask)
        g.cancel()
    return rate


def buffer(seconds):
    channel = grt.chan()
    with grt.vm.VM() as vm:
        g = vm.go(send_buffers, channel)
        rate = BUFFER * per_second(seconds, channel.recv, 2)
        g.cancel()
    return rate


def pooled(seconds, vms):
    with grt.vm.Pool(vms) as pool:

        def step():
            for g in [pool.go(compute) for _ in range(8)]:
                g.result()

        return 8 * per_second(seconds, step, 1)


def main(job, seconds, *vms):
    job = {"oneway": oneway, "roundtrip": roundtrip, "buffer": buffer, "compute": pooled}[job]
    print(job(seconds, *vms))


if __name__ == "__main__":
    grt.run(main, sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:]))
