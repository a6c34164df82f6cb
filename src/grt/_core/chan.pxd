cimport cython

from grt._core.csys cimport NEVER, mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.goroutine cimport AGAIN, CLOSED, PASSED, Clause, Goroutine, Waiters, enter, make_runnable
from grt._core.timers cimport deadline_of


cdef enum:
    RECV = 0
    RECV_OK = 1
    SEND = 2



@cython.final
cdef class Chan:
    cdef object __weakref__
    cdef readonly Py_ssize_t capacity
    cdef mutex mutex
    cdef readonly bint closed
    cdef list items
    cdef Py_ssize_t head
    cdef Py_ssize_t count
    cdef Waiters receivers
    cdef Waiters senders
    cdef readonly bint away
    cdef readonly object link
    cdef Chan moves
    cdef bint moved

    @cython.locals(g=Goroutine, clause=Clause, deadline=double)
    cpdef object send(self, object value, object timeout=*)
    @cython.locals(closed=bint, sent=bint)
    cpdef bint try_send(self, object value) except -1
    cpdef object recv(self, object timeout=*)
    cpdef tuple recv_ok(self, object timeout=*)
    @cython.locals(g=Goroutine, clause=Clause, deadline=double)
    cdef object receive(self, object timeout)
    cpdef object close(self)
    @cython.locals(first=bint)
    cpdef bint shut(self) except -1
    cdef object leave(self, object value)
    @cython.locals(left=bint)
    cdef bint forget(self) except -1

    @cython.locals(clause=Clause)
    cdef bint put_locked(self, object value) except -1
    @cython.locals(size=Py_ssize_t, more=Py_ssize_t, at=Py_ssize_t)
    cdef object store_locked(self, object value)
    @cython.locals(clause=Clause)
    cdef object take_locked(self)
    cdef object hang_locked(self, Waiters waiters, Clause clause)
    cdef object move_locked(self)
    cdef object withdraw(self, Waiters waiters, Clause clause)
    cdef object send_error(self)
    cdef object recv_error(self)

    cpdef list tie(self, object link, Chan moves, bint away)
    cpdef tuple look(self)
    @cython.locals(clause=Clause)
    cpdef tuple depart(self, bint offer)
    cpdef object answer(self, Clause clause, int news)
    @cython.locals(clause=Clause)
    cpdef object arrive(self, list values, bint closed)
    @cython.locals(clause=Clause)
    cpdef bint accept(self, object value) except -1
    cpdef list drain(self)
    cdef list drain_locked(self)


@cython.final
cdef class RecvChan:
    cdef readonly Chan chan
    cpdef object recv(self, object timeout=*)
    cpdef tuple recv_ok(self, object timeout=*)


@cython.final
cdef class SendChan:
    cdef readonly Chan chan
    cpdef object send(self, object value, object timeout=*)
    cpdef bint try_send(self, object value) except -1
    cpdef object close(self)


cpdef Chan chan(object capacity=*)
