cimport cython

from grt._core.cpoll cimport EDGE, ERROR, HANGUP, READ, WRITE
from grt._core.csys cimport (
    NEVER, WOULD_BLOCK, accept, close, connect, linger_zero, mutex, mutex_lock, mutex_new, mutex_unlock, now,
    recv, recv_into, send, shutdown_write, socket_error,
)
from grt._core.loop cimport EventLoop, Handler
from grt._core.goroutine cimport Goroutine, Scheduler, enter, fire


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


cdef class NetFD:
    cdef object __weakref__
    cdef readonly bint closed
    cdef int fd
    cdef Readiness news
    cdef bytes rest

    @cython.locals(g=Goroutine, news=Readiness)
    cdef Goroutine take(self, Side side)
    cdef object queue_up(self, Side side, Goroutine g)
    @cython.locals(news=Readiness)
    cdef object leave(self, Side side)
    @cython.locals(news=Readiness, proc=Scheduler, won=bint)
    cdef bint wait(self, Side side, Goroutine g, double deadline) except -1

    @cython.locals(side=Side, g=Goroutine, data=bytes)
    cpdef bytes read(self, Py_ssize_t size=*)
    cdef bytes read_rest(self, Py_ssize_t size)
    cdef bytes read_nothing(self, Py_ssize_t size)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, count=Py_ssize_t)
    cpdef object read_into(self, object buffer)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, sent=Py_ssize_t, count=Py_ssize_t)
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
