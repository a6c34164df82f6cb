cimport cython

from grt._core.cpoll cimport EDGE, ERROR, HANGUP, READ, WRITE
from grt._core.csys cimport NEVER, mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.goroutine cimport Goroutine, Scheduler, fire, here, peek
from grt._core.loop cimport EventLoop, Handler
from grt._core.timers cimport Timer, now


@cython.final
cdef class Side:
    cdef bint ready
    cdef Goroutine user
    cdef Goroutine waiter
    cdef object queue
    cdef double deadline
    cdef Limit limit

    cdef bint unused(self) noexcept


@cython.final
cdef class Limit(Timer):
    cdef Readiness news
    cdef Side side
    cdef EventLoop loop


@cython.final
cdef class Readiness(Handler):
    cdef mutex mutex
    cdef Side rd
    cdef Side wr
    cdef EventLoop loop
    cdef list loops
    cdef readonly bint both
    cdef readonly bint hangup

    @cython.locals(both=bint)
    cdef object follow(self, EventLoop loop, Side side)
    @cython.locals(loop=EventLoop)
    cdef object discard(self)
    @cython.locals(limit=Limit)
    cdef object limit(self, Side side, EventLoop loop)
    @cython.locals(proc=Scheduler, side=Side)
    cdef object limit_own(self)
    @cython.locals(proc=Scheduler, side=Side, limit=Limit)
    cdef object unlimit(self)
    @cython.locals(side=Side)
    cpdef object free(self)
    cdef object rearm(self, Side side)
