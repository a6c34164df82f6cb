"""What all waits of grt.sync promise: how they end, what they leave behind, who comes next, from which threads."""

import random
import threading

import pytest

import grt
from tests.goroutines import blocked, end
from tests.sync.waits import SERVING, WAITS, cond, mutex, reader, semaphore, writer

LONG = 60  # seconds; nothing here takes them

every_wait = pytest.mark.parametrize("make", WAITS, ids=lambda make: make.__name__)
every_serving_wait = pytest.mark.parametrize("make", SERVING, ids=lambda make: make.__name__)
every_lock = pytest.mark.parametrize("make", [mutex, semaphore, writer, reader], ids=lambda make: make.__name__)


def in_thread(fn, *args):
    """Starts fn(*args) in a thread of its own, and returns that."""
    thread = threading.Thread(target=fn, args=args)
    thread.start()
    return thread


def test_it_is_there_after_import_grt():
    assert grt.sync.Mutex() and set(grt.sync.__all__) >= {make.__name__.title() for make in (mutex, semaphore, cond)}


@every_wait
def test_news_end_a_wait(make):
    place = make()
    g = blocked(place.wait)
    place.news()
    g.result(LONG)
    place.undo()
    assert place.free() and not any(place.queues)


@every_wait
def test_a_wait_says_what_it_is_for(make):
    place = make()
    g = blocked(place.wait)
    assert repr(g.on).startswith("<") and " at 0x" in repr(g.on)
    end(g)


@every_wait
@pytest.mark.parametrize("timeout", [0.001, 0, -1])
def test_a_timeout_ends_a_wait(make, timeout):
    place = make()
    with pytest.raises(TimeoutError):
        place.wait(timeout=timeout)
    assert not any(place.queues)


@every_wait
def test_a_timeout_that_is_none_waits_for_ever_and_one_that_is_no_number_is_refused(make):
    place = make()
    with pytest.raises(ValueError, match="not nan"):
        place.wait(timeout=float("nan"))
    end(blocked(place.wait, None))
    assert not any(place.queues)


@every_wait
def test_a_scope_ends_a_wait(make):
    place = make()
    with pytest.raises(TimeoutError, match=r"grt\.timeout"), grt.timeout(0.001) as scope:
        place.wait()
    assert scope.expired and not any(place.queues)


@every_wait
def test_a_cancellation_ends_a_wait(make):
    place = make()
    g = blocked(place.wait)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result(LONG)
    assert not any(place.queues)


@every_serving_wait
def test_one_that_left_is_not_served(make):
    place = make()
    late = blocked(place.wait, 0.001)
    cancelled, waiting = blocked(place.wait), blocked(place.wait)
    with pytest.raises(TimeoutError):
        late.result(LONG)
    cancelled.cancel()
    place.news()
    waiting.result(LONG)
    with pytest.raises(grt.Cancelled):
        cancelled.result(LONG)
    place.undo()
    assert place.free() and not any(place.queues)


@every_serving_wait
def test_a_cancellation_after_the_news_is_the_next_calls(make):
    place, note = make(), []

    def work():
        place.wait()
        note.append("served")
        grt.gosched()

    g = blocked(work)
    place.news()
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result(LONG)
    place.undo()
    assert note == ["served"] and place.free()


@every_lock
def test_one_that_was_cancelled_before_takes_nothing(make):
    place = make()
    place.news()

    def work():
        grt.current().cancel()
        place.wait()

    with pytest.raises(grt.Cancelled):
        grt.go(work).result(LONG)
    assert place.free()


@every_wait
def test_a_callback_of_the_loop_must_not_wait(make):
    place, errors = make(), []

    def callback():
        try:
            place.wait()
        except RuntimeError as error:
            errors.append(str(error))

    grt.current_loop().call_soon(callback)
    grt.sleep(0.001)
    assert len(errors) == 1 and "cannot block here" in errors[0] and not any(place.queues)


@every_lock
def test_who_comes_first_is_served_first(make):
    place, order = make(), []

    def work(i):
        place.wait()
        order.append(i)
        grt.gosched()
        place.undo()

    waiting = [blocked(work, i) for i in range(5)]
    place.news()
    for g in waiting:
        g.result(LONG)
    assert order == list(range(5)) and place.free()


@every_lock
def test_many_that_need_not_wait_give_way_to_others(make):
    place, ran = make(), []
    place.news()
    grt.go(ran.append, "another")
    for _ in range(1000):
        place.wait()
        place.undo()
    assert ran == ["another"]


# -- threads


@every_serving_wait
def test_plain_threads_can_wait(make):
    place, ended = make(), []

    def work():
        place.wait(timeout=LONG)
        ended.append(True)
        place.undo()

    threads = [in_thread(work) for _ in range(3)]
    place.news()
    while len(ended) < 3:
        grt.sleep(0.001)
        if make is cond:  # whose news is for those only who wait already
            place.news()
    for thread in threads:
        thread.join()
    assert place.free() and not any(place.queues)


@every_serving_wait
def test_goroutines_that_ended_with_their_thread_are_not_served(make):
    place = make()
    in_thread(lambda: [blocked(place.wait) for _ in range(2)]).join()
    g = blocked(place.wait)
    place.news()
    g.result(LONG)
    place.undo()
    assert place.free() and not any(place.queues)


@every_lock
def test_what_was_handed_to_a_goroutine_whose_thread_ends_goes_to_the_next(make):
    place = make()
    go_on = threading.Event()
    ready = threading.Event()

    def work():
        blocked(place.wait)
        ready.set()
        go_on.wait(LONG)  # the thread does not run its goroutines any more

    thread = in_thread(work)
    assert ready.wait(LONG)
    g = blocked(place.wait)
    place.news()
    grt.gosched()
    if make is not reader:  # of whom several may be in
        assert not g.done
    go_on.set()
    thread.join()
    g.result(LONG)
    place.undo()
    assert place.free() and not any(place.queues)


@every_lock
def test_one_that_gives_way_when_its_thread_ends_has_taken_nothing(make):
    place = make()
    place.news()

    def take_and_give():
        while True:
            place.wait()
            place.undo()

    def work():
        grt.go(take_and_give)
        for _ in range(10):
            grt.gosched()

    in_thread(work).join()
    assert place.free()


@every_lock
def test_nothing_is_lost_when_threads_lock_give_up_and_are_cancelled(make):
    place, inside, ended = make(), [], []
    place.news()

    def work(seed):
        rng = random.Random(seed)
        for _ in range(100):
            try:
                place.wait(timeout=rng.choice([None, 0, 0.0001, 0.001]))
            except TimeoutError:
                continue
            inside.append(seed)
            try:
                assert make is reader or inside == [seed]
                inside.remove(seed)
                if rng.random() < 0.5:
                    grt.gosched()
            finally:
                place.undo()

    def thread(seed):
        rng = random.Random(seed)
        goroutines = [grt.go(work, seed * 100 + i) for i in range(8)]
        for _ in range(20):
            grt.sleep(0.0005)
            rng.choice(goroutines).cancel()
        for g in goroutines:
            try:
                ended.append(g.result(LONG))
            except grt.Cancelled:
                ended.append(None)

    threads = [in_thread(thread, seed) for seed in range(3)]
    for t in threads:
        t.join()
    assert ended == [None] * 24 and place.free() and not any(place.queues)
