"""A pool of workers: jobs come over one channel, so many a second at most, and results leave over another.

python examples/worker_pool.py
python examples/worker_pool.py --jobs 100 --workers 8 --rate 50
"""

import argparse
import random
from contextlib import suppress

import grt


def feed(count: int, rate: float, jobs: grt.Chan[int]) -> None:
    ticker = grt.Ticker(1 / rate)
    for job, _ in zip(range(count), ticker, strict=False):
        jobs.send(job)
    ticker.stop()
    jobs.close()


def work(name: str, jobs: grt.Chan[int], results: grt.Chan[str]) -> None:
    for job in jobs:
        grt.sleep(random.uniform(0, 0.2))  # in the place of something that takes its time
        results.send(f"{name}: the square of {job} is {job * job}")


def run_pool(workers: int, jobs: grt.Chan[int], results: grt.Chan[str]) -> None:
    pool = grt.sync.WaitGroup()
    for number in range(workers):
        pool.go(work, f"worker {number}", jobs, results)
    pool.wait()
    results.close()


def main(count: int, workers: int, rate: float) -> None:
    jobs, results = grt.chan(), grt.chan()
    grt.go(feed, count, rate, jobs)
    grt.go(run_pool, workers, jobs, results)
    for result in results:
        print(result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A pool of workers, with jobs at a limited rate.")
    parser.add_argument("--jobs", type=int, default=20, help="how many there are to do (default 20)")
    parser.add_argument("--workers", type=int, default=4, help="how many do them at once (default 4)")
    parser.add_argument("--rate", type=float, default=10, help="jobs that may begin in a second (default 10)")
    options = parser.parse_args()
    if options.jobs < 0 or options.workers < 1 or not 1e-6 <= options.rate <= 1e6:
        parser.error("at least one worker, a rate from 1e-6 to 1e6, and no fewer than zero jobs are needed")
    with suppress(KeyboardInterrupt):
        grt.run(main, options.jobs, options.workers, options.rate)
