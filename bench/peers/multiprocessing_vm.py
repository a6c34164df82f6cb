"""Between two processes of multiprocessing: multiprocessing_vm.py JOB SECONDS queue|pipe; the jobs are grt_vm.py's."""

import multiprocessing
import sys

from rates import per_second

MESSAGE = b"x" * 64
AT_ONCE = 1000


def send_to_queue(queue):
    while True:
        queue.put(MESSAGE)


def send_to_pipe(pipe):
    while True:
        pipe.send(MESSAGE)


def echo(pipe):
    while True:
        pipe.send(pipe.recv())


def many(receive):
    def step():
        for _ in range(AT_ONCE):
            receive()

    return step


def main(job, seconds, way):
    context = multiprocessing.get_context("forkserver")
    near, far = context.Pipe()
    queue = context.Queue(AT_ONCE)
    if job == "roundtrip":
        process = context.Process(target=echo, args=(far,), daemon=True)

        def ask():
            near.send(MESSAGE)
            near.recv()

        process.start()
        print(per_second(seconds, ask))
    else:
        target, end = (send_to_queue, queue) if way == "queue" else (send_to_pipe, far)
        process = context.Process(target=target, args=(end,), daemon=True)
        process.start()
        print(AT_ONCE * per_second(seconds, many(queue.get if way == "queue" else near.recv)))
    process.kill()
    process.join()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
