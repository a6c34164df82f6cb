cimport cython

from grt._core.csys cimport NEVER
from grt._core.csys cimport now as clock


cdef int virtual_clocks


cdef class Timer:
    cdef readonly double when
    cdef Py_ssize_t order
    cdef Py_ssize_t place

    cpdef object expire(self)
    cdef bint before(self, Timer other) noexcept


@cython.final
cdef class Timers:
    cdef list heap
    cdef Py_ssize_t armed

    @cython.locals(place=Py_ssize_t)
    cpdef object arm(self, Timer timer, double when)
    @cython.locals(place=Py_ssize_t, last=Timer)
    cpdef bint cancel(self, Timer timer) except -1
    @cython.locals(first=Timer)
    cpdef double next_when(self) except? -1
    @cython.locals(first=Timer)
    cpdef Timer pop_due(self, double now)
    @cython.locals(heap=list, place=Py_ssize_t, above=Py_ssize_t, parent=Timer)
    cdef void rise(self, Timer timer)
    @cython.locals(heap=list, place=Py_ssize_t, size=Py_ssize_t, below=Py_ssize_t, child=Timer, other=Timer)
    cdef void sink(self, Timer timer)


cpdef double now() except? -1

cpdef double deadline_of(object timeout) except? -1

@cython.locals(moment=double)
cpdef double moment_in(object seconds, str what) except? -1
