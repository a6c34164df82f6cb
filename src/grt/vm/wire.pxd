cimport cython


cdef class Frame:
    cdef public list fds
    cdef public object wire


cdef class Wire:
    cdef public object bell
    cdef public object conn
    cdef public object fd_conn
    cdef public object find
    cdef public object first
    cdef public object handle
    cdef public object handle_call
    cdef public object name_of
    cdef public object outbox
    cdef public bytearray pending
    cdef public object recv
    cdef public object taking
    cdef public object writing

    cpdef send(self, message)
    cpdef announce(self, message)
    cdef ring(self)
    cpdef write_frames(self)
    cdef write_frame(self, list messages)
    cpdef take_in(self)
    @cython.locals(size=Py_ssize_t, end=Py_ssize_t, pending=bytearray, body=bytearray)
    cdef next_frame(self)
    cdef deal_out(self, list messages)
    cdef pickled(self, list messages, list fds)
    cdef unpickled(self, body, count)
