"""Contexts: Go's rules for deadlines, cancellation and values, and their bridge to blocking calls."""

import contextvars
import gc
import threading
import time
import weakref

import pytest

import grt
from grt import context
from grt.context import Canceled, DeadlineExceeded, background
from tests.goroutines import blocked

LONG = 60


def timers():
    return len(grt.current().proc.loop.timers)


def test_the_background_never_ends():
    ctx = background()
    assert (ctx.done, ctx.err, ctx.cause, ctx.deadline) == (None, None, None, None)
    assert context.background() is ctx


def test_cancel_ends_a_context_for_good():
    ctx, cancel = context.with_cancel(background())
    assert ctx.err is None and "active" in repr(ctx)
    cancel()
    first = ctx.err
    assert isinstance(first, Canceled) and ctx.cause is first
    cancel()
    assert ctx.err is first
    assert "ended" in repr(ctx)


def test_done_is_a_channel_that_is_closed_at_the_end():
    ctx, cancel = context.with_cancel(background())
    assert ctx.done is not None and ctx.done is ctx.done
    g = blocked(ctx.done.recv_ok)
    cancel()
    assert g.result(LONG) == (None, False)
    quiet = grt.chan()
    assert grt.select(quiet.recv, ctx.done.recv_ok) == (1, (None, False))


def test_done_of_the_background_is_never_ready_in_a_select():
    ctx = background()
    assert grt.select(ctx.done and ctx.done.recv_ok, default=True)[0] == -1


def test_the_end_of_a_context_ends_all_that_is_derived_from_it_at_once():
    parent, cancel = context.with_cancel(background())
    child, _ = context.with_cancel(parent)
    value = context.with_value(child, "key", 1)
    grandchild, _ = context.with_timeout(value, LONG)
    cancel()
    assert parent.err is child.err is value.err is grandchild.err is not None


def test_the_end_of_a_child_leaves_its_parent_and_its_siblings_alone():
    parent, cancel_parent = context.with_cancel(background())
    one, cancel = context.with_cancel(parent)
    other, _ = context.with_cancel(parent)
    cancel()
    assert one.err is not None and parent.err is None and other.err is None
    cancel_parent()


def test_what_is_derived_from_an_ended_context_is_born_ended():
    parent, cancel = context.with_cancel(background())
    cancel()
    for child, _ in (context.with_cancel(parent), context.with_timeout(parent, LONG)):
        assert child.err is parent.err
        assert child.done is not None and child.done.recv_ok() == (None, False)
    assert timers() == 0


def test_a_timeout_ends_a_context_and_says_whose_it_was():
    ctx, cancel = context.with_timeout(background(), 0.001)
    assert ctx.done is not None
    ctx.done.recv_ok(LONG)
    assert isinstance(ctx.err, DeadlineExceeded) and isinstance(ctx.err, TimeoutError)
    assert "0.001 s of grt.context.with_timeout" in str(ctx.err)
    cancel()
    assert isinstance(ctx.err, DeadlineExceeded)


def test_a_deadline_is_a_moment_of_the_monotonic_clock():
    when = time.monotonic() + 0.005
    ctx, _ = context.with_deadline(background(), when)
    assert ctx.deadline == when
    assert ctx.done is not None
    ctx.done.recv_ok(LONG)
    assert time.monotonic() >= when
    assert "grt.context.with_deadline" in str(ctx.err)


def test_a_deadline_that_has_passed_ends_a_context_at_its_birth():
    ctx, _ = context.with_deadline(background(), time.monotonic() - 1)
    assert isinstance(ctx.err, DeadlineExceeded)
    ctx, _ = context.with_timeout(background(), 0)
    assert isinstance(ctx.err, DeadlineExceeded)


def test_a_deadline_later_than_the_parents_is_ignored():
    parent, cancel = context.with_timeout(background(), 0.005)
    child, _ = context.with_timeout(parent, LONG)
    assert child.deadline == parent.deadline
    assert child.done is not None
    child.done.recv_ok(LONG)
    assert "0.005 s" in str(child.err)
    cancel()


def test_an_earlier_deadline_than_the_parents_is_the_childs_alone():
    parent, cancel = context.with_timeout(background(), LONG)
    child, _ = context.with_timeout(parent, 0.001)
    assert child.done is not None
    child.done.recv_ok(LONG)
    assert parent.err is None
    cancel()


def test_err_is_on_time_though_the_thread_is_busy():
    ctx, _ = context.with_timeout(background(), 0.001)
    time.sleep(0.005)  # no loop turns
    assert isinstance(ctx.err, DeadlineExceeded)
    assert timers() == 0


def test_a_cancelled_context_gives_its_timer_back():
    for _ in range(100):
        _, cancel = context.with_timeout(background(), LONG)
        cancel()
    assert timers() == 0


def test_the_cause_is_what_the_canceller_says():
    ctx, cancel = context.with_cancel_cause(background())
    child, _ = context.with_cancel(ctx)
    error = ValueError("too hot")
    cancel(error)
    assert isinstance(ctx.err, Canceled)
    assert ctx.cause is context.cause(ctx) is context.cause(child) is error
    plain, cancel = context.with_cancel_cause(background())
    cancel()
    assert plain.cause is plain.err


def test_values_are_found_upwards():
    one, other = object(), object()
    parent = context.with_value(background(), one, "parent's")
    child = context.with_value(parent, other, "child's")
    hidden = context.with_value(child, one, "child's own")
    assert (child.value(one), child.value(other), hidden.value(one)) == ("parent's", "child's", "child's own")
    assert parent.value(other) is None and parent.value(other, "none") == "none"
    ctx, cancel = context.with_cancel(hidden)
    assert ctx.value(one) == "child's own"
    cancel()


def test_without_cancel_keeps_the_values_and_not_the_end():
    parent, cancel = context.with_timeout(context.with_value(background(), "key", 1), LONG)
    kept = context.without_cancel(parent)
    cancel()
    assert (kept.err, kept.done, kept.deadline, kept.value("key")) == (None, None, None, 1)


# -- blocking calls


def test_a_call_under_use_ends_with_the_context():
    ctx, cancel = context.with_cancel(background())
    grt.after_func(0.001, cancel)
    with pytest.raises(Canceled, match="context canceled"), context.use(ctx) as used:
        grt.sleep(LONG)
    assert used.expired


def test_each_kind_of_blocking_call_ends_so():
    ctx, cancel = context.with_cancel(background())
    listener = grt.listen("tcp", "127.0.0.1:0")
    conn = grt.dial("tcp", listener.addr)
    mutex = grt.sync.Mutex()
    mutex.lock()
    calls = [grt.chan().recv, lambda: grt.chan().send(1), grt.select, listener.accept, conn.read, mutex.lock]
    accepted = listener.accept()

    def under(call):
        with context.use(ctx):
            call()

    goroutines = [blocked(under, call) for call in calls]
    cancel()
    for g in goroutines:
        with pytest.raises(Canceled):
            g.result(LONG)
    for thing in (accepted, conn, listener):
        thing.close()


def test_a_call_under_use_ends_by_the_deadline_and_says_whose():
    timed = context.with_timeout(background(), 0.001)
    with pytest.raises(DeadlineExceeded, match=r"0\.001 s of grt\.context\.with_timeout"), timed as ctx:
        grt.sleep(LONG)
    assert ctx.err is not None


def test_with_cancels_the_context_at_its_end():
    with context.with_cancel(background()) as ctx:
        assert ctx.err is None
    assert isinstance(ctx.err, Canceled)
    assert grt.current().scope is None


def test_the_cause_is_what_a_call_under_use_raises():
    ctx, cancel = context.with_cancel_cause(background())
    cancel(KeyError("gone"))
    for _ in range(2):
        with pytest.raises(KeyError, match="gone"), context.use(ctx):
            grt.sleep(LONG)


def test_use_of_a_context_that_has_ended_ends_the_first_call():
    ctx, cancel = context.with_cancel(background())
    cancel()
    with pytest.raises(Canceled), context.use(ctx):
        grt.gosched()
        grt.sleep(0)
        grt.sleep(LONG)


def test_use_and_timeout_nest():
    ctx, cancel = context.with_cancel(background())
    with pytest.raises(TimeoutError, match=r"grt\.timeout"), context.use(ctx), grt.timeout(0.001):
        grt.sleep(LONG)
    with pytest.raises(Canceled), grt.timeout(LONG), context.use(ctx):
        grt.after_func(0.001, cancel)
        grt.sleep(LONG)


def test_use_of_the_background_changes_nothing():
    with context.use(background()):
        grt.sleep(0.001)


def test_a_plain_thread_cancels_a_call():
    ctx, cancel = context.with_cancel(background())
    thread = threading.Timer(0.01, cancel)
    thread.start()
    with pytest.raises(Canceled), context.use(ctx):
        grt.sleep(LONG)
    thread.join()


def test_a_context_ends_calls_in_several_threads():
    ctx, cancel = context.with_cancel(background())
    ended = []
    ready = threading.Semaphore(0)

    def wait():
        try:
            with context.use(ctx):
                ready.release()
                grt.sleep(LONG)
        except Canceled:
            ended.append(threading.get_ident())

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
        ready.acquire()
    cancel()
    for thread in threads:
        thread.join(LONG)
    assert len(ended) == 3


# -- after_func


def test_after_func_is_called_in_a_goroutine_once_the_context_has_ended():
    ctx, cancel = context.with_cancel(background())
    called = grt.chan(1)
    stop = context.after_func(ctx, lambda: called.send(grt.current()))
    grt.gosched()
    assert len(called) == 0
    cancel()
    assert called.recv(LONG) is not grt.current()
    assert not stop()


def test_after_func_of_an_ended_context_is_called_at_once():
    ctx, cancel = context.with_cancel(background())
    cancel()
    called = grt.chan(1)
    context.after_func(ctx, lambda: called.send(None))
    called.recv(LONG)


def test_stop_takes_after_func_back_once():
    calls = []
    ctx, cancel = context.with_cancel(background())
    stop = context.after_func(ctx, lambda: calls.append(1))
    assert (stop(), stop()) == (True, False)
    cancel()
    grt.gosched()
    assert calls == []
    stop = context.after_func(background(), lambda: calls.append(1))
    assert (stop(), stop()) == (True, False)


def test_after_func_runs_in_its_own_thread_whoever_cancels():
    ctx, cancel = context.with_cancel(background())
    ran = grt.chan(1)
    variable = contextvars.ContextVar("variable", default="")
    variable.set("mine")
    context.after_func(ctx, lambda: ran.send((threading.get_ident(), variable.get())))
    thread = threading.Thread(target=cancel)
    thread.start()
    assert ran.recv(LONG) == (threading.get_ident(), "mine")
    thread.join()


# -- misuse and memory


def test_wrong_arguments_are_told_by_name():
    with pytest.raises(TypeError, match="a context is wanted here"):
        context.with_cancel(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a context is wanted here"):
        context.use(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must not be None"):
        context.with_value(background(), None, 1)
    with pytest.raises(ValueError, match="nan"):
        context.with_timeout(background(), float("nan"))
    with pytest.raises(ValueError, match="nan"):
        context.with_deadline(background(), float("nan"))
    with pytest.raises(TypeError, match="number of seconds, not '2'"):
        context.with_timeout(background(), "2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"moment of time.monotonic, not '2'"):
        context.with_deadline(background(), "2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a function without arguments"):
        context.after_func(background(), 5)  # type: ignore[arg-type]
    _, cancel = context.with_cancel_cause(background())
    with pytest.raises(TypeError, match="cause of a cancellation"):
        cancel("spam")


def test_cancelled_children_leave_nothing_behind():
    parent, cancel_parent = context.with_cancel(background())
    gone = []
    for _ in range(10_000):
        ctx, cancel = context.with_timeout(parent, LONG)
        cancel()
        gone.append(weakref.ref(ctx))
    del ctx, cancel
    gc.collect()
    assert not any(ref() for ref in gone)
    assert timers() == 0
    assert parent.err is None
    cancel_parent()


def test_a_long_chain_ends_without_recursion():
    first, cancel = context.with_cancel(background())
    ctx = first
    for _ in range(5_000):
        ctx, _ = context.with_cancel(ctx)
    cancel()
    assert ctx.err is first.err
