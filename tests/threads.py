"""Goroutines that tests start in other threads than their own."""

import threading

import grt

PATIENCE = 60  # seconds for a thread to get its turn


def start_in_another_thread(fn, *args):
    """Starts fn(*args), and returns its goroutine when another thread is running it."""
    begun = threading.Event()

    def begin():
        begun.set()
        return fn(*args)

    g = grt.go(begin)
    assert begun.wait(PATIENCE)
    return g


def helpers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("grt proc of")]
