cimport cython

from grt._core.cpoll cimport READ
from grt._core.csys cimport (
    NEVER, check_signals, close, mutex, remutex_lock, remutex_new, remutex_unlock, waker_drain, waker_notify,
    waker_open,
)
from grt._core.poller cimport Poller
from grt._core.timers cimport Timer, Timers, now


cdef class Handler:
    cdef public int fd
    cpdef object on_event(self, int flags)


@cython.final
cdef class Waker(Handler):
    cdef mutex mutex
    cdef int writer
    cdef void notify(self)
    cdef object close(self)


@cython.final
cdef class SignalPipe(Handler):
    cdef bint seen
    cdef readonly int writer
    cpdef object close(self)


cdef class ScheduledCall(Timer):
    cdef EventLoop loop
    cdef object fn
    cdef tuple args


cdef class EventLoop:
    cdef readonly Poller poller
    cdef readonly Timers timers
    cdef Waker waker
    cdef readonly object soon
    cdef readonly SignalPipe signals
    cdef int index
    cdef readonly double moment
    cdef int count
    cdef readonly bint turning
    cdef readonly bint waiting
    cdef readonly bint running
    cdef bint stopping
    cdef public object before_wait
    cdef public object on_error

    cpdef object add(self, Handler handler, int events)
    cpdef object discard(self, Handler handler)
    cpdef object turn(self, double timeout)
    @cython.locals(first=double, left=double)
    cdef double wait_time(self, double timeout) except -2
    @cython.locals(at=int, handler=Handler)
    cdef object dispatch(self)
    @cython.locals(timer=Timer)
    cdef object expire(self)
    cdef object call_queued(self)
    cpdef object close(self)
    cpdef object abandon(self)
