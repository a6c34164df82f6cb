"""The micro benchmarks in gevent. Usage: gevent_micro.py JOB

There is no select over its queues.
"""

import sys
from itertools import pairwise

import gevent
from batches import BATCH, DELAYS, RING, SLOTS, crowd, for_a_while, job, waves
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Channel, Queue


def nothing():
    pass


def yield_for_ever():
    while True:
        gevent.sleep(0)


def wait(gate):
    gate.wait()


def receive_all(items):
    while True:
        items.get()


def spawn():
    for _ in for_a_while("spawn", BATCH):
        for _ in range(BATCH):
            gevent.spawn(nothing)
        gevent.sleep(0)
    check_that_one_yield_runs_them_all()


def check_that_one_yield_runs_them_all():
    ended = []
    for _ in range(BATCH):
        gevent.spawn(ended.append, None)
    gevent.sleep(0)
    assert len(ended) == BATCH, f"{len(ended)} of {BATCH} have run"


def yield_():
    gevent.spawn(yield_for_ever)
    for _ in for_a_while("yield", 2 * BATCH):
        for _ in range(BATCH):
            gevent.sleep(0)


def wave():
    gate = Event()
    for starting in waves(BATCH):
        if starting:
            gate.clear()
            for _ in range(BATCH):
                gevent.spawn(wait, gate)
        else:
            gate.set()
        gevent.sleep(0)


def block():
    gate = Event()
    for _ in crowd():
        for _ in range(BATCH):
            gevent.spawn(wait, gate)
        gevent.sleep(0)


def through(name, items):
    gevent.spawn(receive_all, items)
    for _ in for_a_while(name, BATCH):
        for i in range(BATCH):
            items.put(i)


def channel():
    through("channel", Queue(SLOTS))


def rendezvous():
    through("rendezvous", Channel())


def mutex():
    mutex = BoundedSemaphore(1)  # RLock, which knows its owner, takes longer
    for _ in for_a_while("mutex", BATCH):
        for _ in range(BATCH):
            mutex.acquire()
            mutex.release()


def timer():
    new_timer = gevent.get_hub().loop.timer
    pending = [new_timer(delay) for delay in DELAYS]
    for waiting in pending:
        waiting.start(nothing)
    for _ in for_a_while("timer", BATCH):
        for delay in DELAYS[:BATCH]:
            timer = new_timer(delay)
            timer.start(nothing)
            timer.close()
        gevent.sleep(0)
    for waiting in pending:
        waiting.close()


def pass_on(before, after):
    while True:
        after.put(before.get())


def ring():
    channels = [Channel() for _ in range(RING)]
    for before, after in pairwise(channels):
        gevent.spawn(pass_on, before, after)
    for _ in for_a_while("ring", RING):
        channels[0].put(0)
        channels[-1].get()


JOBS = {
    "spawn": spawn,
    "yield": yield_,
    "wave": wave,
    "block": block,
    "channel": channel,
    "rendezvous": rendezvous,
    "mutex": mutex,
    "timer": timer,
    "ring": ring,
}
job(JOBS, sys.argv[1])()
