cimport cython

from grt._core.cpoll cimport EDGE, ERROR, HANGUP, READ, WRITE
from grt._core.csys cimport mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.goroutine cimport Goroutine, fire
from grt._core.loop cimport EventLoop, Handler


@cython.final
cdef class Side:
    cdef bint ready
    cdef Goroutine user
    cdef Goroutine waiter
    cdef object queue

    cdef bint unused(self) noexcept


@cython.final
cdef class Readiness(Handler):
    cdef mutex mutex
    cdef Side rd
    cdef Side wr
    cdef EventLoop loop
    cdef list loops
    cdef bint hangup

    cdef object follow(self, EventLoop loop)
    @cython.locals(loop=EventLoop)
    cdef object discard(self)
    cdef object rearm(self, Side side)
