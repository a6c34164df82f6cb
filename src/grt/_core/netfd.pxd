cimport cython

from grt._core.csys cimport (
    FAILED, NEVER, WOULD_BLOCK, accept, caught, close, connect, linger_zero, mutex_lock, mutex_unlock,
    recv_into, recv_or_error, send_or_failed, shutdown_write, socket_error,
)
from grt._core.goroutine cimport NEWS, THROWN, Goroutine, Scheduler, enter, fire, here
from grt._core.readiness cimport Readiness, Side
from grt._core.timers cimport now


cdef enum:
    SHUT = 3

cdef class NetFD:
    cdef object __weakref__
    cdef readonly bint closed
    cdef int fd
    cdef Readiness news
    cdef bytes rest

    @cython.locals(g=Goroutine, news=Readiness, proc=Scheduler, free=bint)
    cdef Goroutine try_take(self, Side side)
    @cython.locals(g=Goroutine)
    cdef Goroutine take(self, Side side)
    @cython.locals(g=Goroutine, news=Readiness)
    cdef Goroutine take_in_turn(self, Side side)
    cdef Goroutine take_to_write(self, Side side)
    cdef object give_up(self, Side side, Goroutine g, int ended, object error)
    cdef object give_up_writing(self, Goroutine g, int ended, object error, Py_ssize_t sent)
    cdef object queue_up(self, Side side, Goroutine g)
    @cython.locals(news=Readiness)
    cdef object leave(self, Side side)
    @cython.locals(news=Readiness, proc=Scheduler, won=bint)
    cdef int wait_news(self, Side side, Goroutine g, double deadline) except -1
    @cython.locals(ended=int)
    cdef bint wait(self, Side side, Goroutine g, double deadline) except -1

    @cython.locals(side=Side, g=Goroutine, ended=int)
    cpdef bytes read(self, Py_ssize_t size=*)
    cdef bytes read_rest(self, Py_ssize_t size)
    cdef bytes read_nothing(self, Py_ssize_t size)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, count=Py_ssize_t)
    cpdef object read_into(self, object buffer)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, sent=Py_ssize_t, count=Py_ssize_t, ended=int)
    cpdef object write(self, object data)
    @cython.locals(side=Side, g=Goroutine)
    cpdef object accept_fd(self)
    @cython.locals(side=Side, g=Goroutine)
    cpdef object connect(self, object address)
    @cython.locals(side=Side, g=Goroutine)
    cpdef object close_write(self)

    @cython.locals(news=Readiness)
    cpdef object close(self)
    cpdef object abort(self)
    cdef object wake(self, Side side)
    @cython.locals(news=Readiness, fd=int)
    cdef object release(self)
    cpdef object describe(self)
    cpdef object closed_error(self)
    cdef object named(self, object error)


@cython.final
cdef class Chunks:
    cdef NetFD source
