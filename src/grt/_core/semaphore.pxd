cimport cython

from grt._core.csys cimport NEVER, mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.goroutine cimport PASSED, Clause, Goroutine, Waiters, enter, make_runnable
from grt._core.timers cimport deadline_of


cdef class Permits:
    cdef object __weakref__
    cdef mutex mutex
    cdef readonly Py_ssize_t permits
    cdef readonly Py_ssize_t free
    cdef Waiters waiters

    @cython.locals(g=Goroutine, clause=Clause, deadline=double, news=bint)
    cdef object take(self, object timeout)
    @cython.locals(handed=bint)
    cdef object leave(self, Clause clause)
    @cython.locals(won=bint)
    cdef bint try_take(self) except -1
    @cython.locals(held=bint, clause=Clause)
    cdef bint give(self) except -1


@cython.final
cdef class Mutex(Permits):
    cpdef object lock(self, object timeout=*)
    cpdef bint try_lock(self) except -1
    cpdef object unlock(self)
    cpdef object lock_anyway(self)


@cython.final
cdef class Semaphore(Permits):
    cpdef object acquire(self, object timeout=*)
    cpdef bint try_acquire(self) except -1
    cpdef object release(self)


cdef class WaitQueue:
    cdef Waiters waiters

    @cython.locals(g=Goroutine, clause=Clause, news=bint)
    cpdef bint wait(self, object guard, object on, double deadline, object left=*) except -1
    @cython.locals(woken=bint)
    cdef object leave(self, object guard, Clause clause, object left)
    @cython.locals(clause=Clause)
    cpdef Py_ssize_t wake(self, Py_ssize_t count=*) except -1
    cpdef Py_ssize_t wake_all(self) except -1


@cython.locals(g=Goroutine)
cpdef Goroutine pace()
