cimport cython

from grt._core.csys cimport guard, guard_lock, guard_new, guard_unlock
from grt._core.semaphore cimport Mutex
from grt._core.stream cimport Layered, Stream


cdef class Sealed(Layered):
    cdef public Stream transport
    cdef public object tls
    cdef public object decrypt
    cdef public object encrypt
    cdef public object incoming
    cdef public object outgoing
    cdef object starved
    cdef guard guard
    cdef public bint cut
    cdef public object failure
    cdef public bint shaken
    cdef public Mutex shaking
    cdef public Mutex sending
    cdef public object sender
    cdef public bytes unsent
    cdef public bint hungry
    cdef public bytes early
    cdef public bint ended

    @cython.locals(data=bytes)
    cpdef object feed(self)
    @cython.locals(data=bytes, most=Py_ssize_t)
    cpdef object pull(self, Py_ssize_t size)
    cdef Py_ssize_t decrypted(self) except -2
    @cython.locals(size=Py_ssize_t, count=Py_ssize_t)
    cpdef Py_ssize_t push(self, object data) except -2
    cpdef object flush(self)
    @cython.locals(data=bytes)
    cdef object send_sealed(self)
