"""How fast something goes that one step of does."""

import time


def per_second(seconds, step, warm_up=20):
    """How often step can be called in a second."""
    for _ in range(warm_up):
        step()
    began, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        step()
        count += 1
    return count / elapsed
