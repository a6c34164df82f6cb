"""The prime sieve: a chain of goroutines, one for each prime, that lets through what its prime does not divide.

python examples/sieve.py          the first 20 primes
python examples/sieve.py 1000     the first 1000
"""

import argparse
from contextlib import suppress
from itertools import count

import grt


def generate(out: grt.Chan[int]) -> None:
    for number in count(2):
        out.send(number)


def sift(numbers: grt.Chan[int], prime: int, out: grt.Chan[int]) -> None:
    for number in numbers:
        if number % prime:
            out.send(number)


def main(how_many: int) -> None:
    numbers = grt.chan()
    grt.go(generate, numbers)
    for _ in range(how_many):
        prime = numbers.recv()  # the first number that all sieves have let through
        print(prime)
        left = grt.chan()
        grt.go(sift, numbers, prime, left)
        numbers = left


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The first primes, by a chain of goroutines.")
    parser.add_argument("count", nargs="?", type=int, default=20, help="how many (default 20)")
    options = parser.parse_args()
    if options.count < 0:
        parser.error(f"there are no {options.count} primes")
    with suppress(KeyboardInterrupt):
        grt.run(main, options.count)
