cimport cython

from grt._core.csys cimport (
    FAILED, NEVER, WOULD_BLOCK, caught, find, part, recv_into, recv_or_error, send_or_failed, shutdown_write,
)
from grt._core.goroutine cimport NEWS, Goroutine
from grt._core.netfd cimport NetFD
from grt._core.readiness cimport Side


cdef class Stream(NetFD):
    cdef bytes rest
    cdef Py_ssize_t at
    cdef readonly bint amid
    cdef public object local
    cdef public object remote

    @cython.locals(side=Side, g=Goroutine, ended=int)
    cpdef bytes read(self, Py_ssize_t size=*)
    cdef bytes read_nothing(self, Py_ssize_t size)
    @cython.locals(at=Py_ssize_t, rest=bytes)
    cdef bytes read_rest(self, Py_ssize_t size)
    @cython.locals(ended=int)
    cdef object receive(self, Side side, Goroutine g, Py_ssize_t size)
    cdef bint more(self, Side side, Goroutine g) except -1
    @cython.locals(side=Side, g=Goroutine)
    cpdef bytes peek(self, Py_ssize_t size=*)
    @cython.locals(side=Side, g=Goroutine, have=Py_ssize_t)
    cpdef bytes read_exactly(self, Py_ssize_t size)
    @cython.locals(parts=list, missing=Py_ssize_t)
    cdef bytes gather(self, Side side, Goroutine g, Py_ssize_t size)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t)
    cpdef bytes read_until(self, bytes delimiter=*, Py_ssize_t limit=*)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t)
    cpdef bytes read_line(self, Py_ssize_t limit=*)
    @cython.locals(at=Py_ssize_t, length=Py_ssize_t, seen=Py_ssize_t, size=Py_ssize_t, have=Py_ssize_t)
    cdef Py_ssize_t find(self, Side side, Goroutine g, bytes delimiter, Py_ssize_t limit) except -2
    cdef object short(self, bytes data, str when)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, count=Py_ssize_t, ended=int)
    cpdef object read_into(self, object buffer)

    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, sent=Py_ssize_t, count=Py_ssize_t, ended=int)
    cpdef object write(self, object data)
    cdef Goroutine take_to_write(self, Side side)
    cdef object give_up_writing(self, Goroutine g, object why, Py_ssize_t sent)


cdef class Layered(Stream):
    cpdef object pull(self, Py_ssize_t size)
    cpdef Py_ssize_t push(self, object data) except -2
    @cython.locals(ended=int)
    cdef object receive(self, Side side, Goroutine g, Py_ssize_t size)
    @cython.locals(side=Side, g=Goroutine)
    cpdef bytes read(self, Py_ssize_t size=*)
    cpdef object read_into(self, object buffer)
    @cython.locals(side=Side, g=Goroutine, size=Py_ssize_t, sent=Py_ssize_t, count=Py_ssize_t, ended=int)
    cpdef object write(self, object data)


@cython.final
cdef class Chunks:
    cdef Stream source


cpdef object octets(object data)
