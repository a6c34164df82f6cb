cimport cython

from grt._core.chan cimport Chan
from grt._core.csys cimport WOULD_BLOCK, recv, send
from grt._core.semaphore cimport Mutex
from grt.vm.crossing cimport Station


cdef class Frame:
    cdef public list fds
    cdef public object wire


cdef class Wire:
    cdef public Chan bell
    cdef public object conn
    cdef public object fd_conn
    cdef public list fds
    cdef public object find
    cdef public object first
    cdef public object framed
    cdef public object handle
    cdef public object handle_call
    cdef public object name_of
    cdef public object outbox
    cdef public bytearray pending
    cdef public Station station
    cdef public object taking
    cdef public bytes unsent
    cdef public Mutex writing

    cpdef send(self, message)
    cpdef post(self, message)
    cpdef announce(self, message)
    cdef ring(self)
    cpdef write_frames(self)
    cpdef flush(self)
    cdef fill(self)
    cdef frame(self, list messages)
    cdef write_rest(self)
    cdef bytes pickled(self, list messages)
    @cython.locals(count=Py_ssize_t)
    cpdef write_some(self)
    cpdef take_in(self)
    @cython.locals(size=Py_ssize_t, end=Py_ssize_t, pending=bytearray, body=bytearray)
    cdef next_frame(self)
    cdef deal_out(self, list messages)
    cdef unpickled(self, body, count)
