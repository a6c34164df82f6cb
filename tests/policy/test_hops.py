"""How far it is from `conn.read` to the kernel and to the scheduler, in Python frames, over a real connection."""

import sys
from collections import Counter

import pytest

import grt
from grt._core.sched import Proc
from tests.policy.layers import FRAMES_TO_SCHEDULER, FRAMES_TO_SYSTEM_CALL

SCHEDULE = getattr(Proc.schedule, "__code__", None) if not grt.__compiled__ else None


@pytest.fixture
def ends():
    with grt.listen("tcp", "127.0.0.1:0") as listener:
        near, far = grt.dial("tcp", listener.addr), listener.accept()
    with near, far:
        yield near, far


def frames_under(call, *args):
    """The most Python frames between here and: the recv system call, the scheduler's entry, anything that is called."""
    here = sys._getframe()
    most = Counter()

    def note(frame, event, arg):
        depth = frames_between(here, frame)
        if event == "call":
            most["anything"] = max(most["anything"], depth)
            if frame.f_code is SCHEDULE:
                most["scheduler"] = max(most["scheduler"], depth - 1)
        elif event == "c_call" and arg.__name__ == "recv":
            most["recv"] = max(most["recv"], depth)

    sys.setprofile(note)
    try:
        call(*args)
    finally:
        sys.setprofile(None)
    return most


def frames_between(outer, inner):
    """0 if inner is on another goroutine's stack."""
    count = 0
    while inner is not None and inner is not outer:
        inner = inner.f_back
        count += 1
    return count if inner is outer else 0


def read_at_once(read, far):
    far.write(b"here already")
    return frames_under(read, 100)


def read_after_waiting(read, far):
    grt.go(far.write, b"here later")  # runs, without a frame of its own, once this goroutine waits
    return frames_under(read, 100)


def check(most):
    """What is promised of this build."""
    if grt.__compiled__:
        assert most["anything"] == 0
    else:
        assert 0 < most["recv"] <= FRAMES_TO_SYSTEM_CALL
        assert most["scheduler"] <= FRAMES_TO_SCHEDULER


def test_a_read_reaches_the_kernel_directly(ends):
    near, far = ends
    check(read_at_once(near.read, far))


def test_a_read_that_waits_reaches_the_scheduler_directly(ends):
    near, far = ends
    most = read_after_waiting(near.read, far)
    check(most)
    assert grt.__compiled__ or most["scheduler"] > 0


@pytest.mark.parametrize("way", [read_at_once, read_after_waiting])
def test_one_more_frame_on_the_way_is_found(ends, way):
    near, far = ends

    def through(size):
        return near.read(size)

    with pytest.raises(AssertionError):
        check(way(through, far))
