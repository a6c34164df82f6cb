cimport cython

from grt._core.csys cimport (
    NEVER, WOULD_BLOCK, accept, close, connect, linger_zero, mutex_lock, mutex_unlock, socket_error,
)
from grt._core.goroutine cimport DEADLINE, NEWS, THROWN, Goroutine, Scheduler, enter, fire, here, peek
from grt._core.readiness cimport Readiness, Side
from grt._core.timers cimport now


cdef enum:
    SHUT = 3
    LATE = 4

cdef class NetFD:
    cdef object __weakref__
    cdef readonly bint closed
    cdef int fd
    cdef readonly Readiness news
    cdef public object view

    @cython.locals(g=Goroutine, news=Readiness, proc=Scheduler, free=bint)
    cdef Goroutine try_take(self, Side side)
    @cython.locals(g=Goroutine)
    cdef Goroutine take(self, Side side)
    @cython.locals(g=Goroutine, news=Readiness)
    cdef Goroutine take_in_turn(self, Side side)
    cdef object give_up(self, Side side, Goroutine g, object why)
    cdef object queue_up(self, Side side, Goroutine g)
    @cython.locals(news=Readiness)
    cdef object leave(self, Side side)
    @cython.locals(news=Readiness, proc=Scheduler, won=bint)
    cdef int wait_news(self, Side side, Goroutine g, double deadline) except -1
    cdef bint is_late(self, Side side) except -1

    @cython.locals(side=Side, g=Goroutine, ended=int)
    cpdef object read_by(self, object call)
    cpdef object write_by(self, object call)
    @cython.locals(news=Readiness, side=Side, g=Goroutine, closed=bint, free=bint)
    cpdef object try_write_by(self, object call)
    @cython.locals(g=Goroutine, ended=int, waited=bint)
    cdef object attempt(self, Side side, object call)
    @cython.locals(side=Side, g=Goroutine, ended=int, deadline=double)
    cpdef object accept_fd(self)
    @cython.locals(side=Side, g=Goroutine, error=int)
    cpdef object connect(self, object address)

    cpdef object set_deadline(self, object moment)
    cpdef object set_read_deadline(self, object moment)
    cpdef object set_write_deadline(self, object moment)
    @cython.locals(news=Readiness, waiter=Goroutine, when=double, open=bint)
    cdef object move_deadline(self, Side side, object moment)

    @cython.locals(news=Readiness)
    cpdef object close(self)
    cpdef object abort(self)
    cdef object wake(self, Side side)
    @cython.locals(news=Readiness, fd=int)
    cdef object release(self)
    cpdef object describe(self)
    cpdef object closed_error(self)
    cdef object late_error(self, Side side)
    cdef object named(self, object error)


cdef bint is_made(NetFD what) except -1
