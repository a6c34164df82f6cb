cimport cython

from grt._core.cpoll cimport (
    EDGE,
    ERROR,
    HANGUP,
    READ,
    WRITE,
    poller_add,
    poller_backends,
    poller_close,
    poller_fd,
    poller_fileno,
    poller_flags,
    poller_generation,
    poller_handle,
    poller_modify,
    poller_needs_rearm,
    poller_open,
    poller_rearm,
    poller_remove,
    poller_state,
    poller_wait,
)
from grt._core.csys cimport mutex, mutex_lock, mutex_new, mutex_unlock


@cython.final
cdef class Registration:
    cdef readonly int fd
    cdef readonly int events
    cdef readonly object data
    cdef readonly unsigned int generation


@cython.final
cdef class Event:
    cdef readonly int fd
    cdef readonly object data
    cdef readonly bint readable
    cdef readonly bint writable
    cdef readonly bint hangup
    cdef readonly bint error


@cython.final
cdef class Poller:
    cdef readonly str backend
    cdef readonly bint needs_rearm
    cdef object owner
    cdef poller_state *handle
    cdef mutex table
    cdef list registrations
    cdef object generations

    @cython.locals(number=int, mask=int, registration=Registration)
    cpdef object register(self, object fd, object events, object data=*)
    @cython.locals(mask=int, registration=Registration)
    cpdef object modify(self, object fd, object events, object data=*)
    @cython.locals(registration=Registration)
    cpdef object unregister(self, object fd)
    @cython.locals(registration=Registration)
    cpdef object rearm(self, object fd, int events)
    cpdef int collect(self, double timeout) except -1
    @cython.locals(registration=Registration)
    cpdef object data_at(self, int index)
    cpdef int flags_at(self, int index) noexcept
    @cython.locals(registration=Registration)
    cpdef object data_of(self, int fd)
    @cython.locals(registration=Registration)
    cdef Registration known(self, Py_ssize_t number)
    @cython.locals(former=Registration)
    cdef object replace(self, int number, Registration registration)
    @cython.locals(registration=Registration)
    cdef Registration registration_at(self, int index)
    @cython.locals(number=int)
    cdef Registration registration_of(self, object fd)
    @cython.locals(more=list)
    cdef int reserve(self, Py_ssize_t number) except -1


cdef int number_of(object fd) except -1
@cython.locals(mask=int)
cdef int mask_of(object events) except -1
