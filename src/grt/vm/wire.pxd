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
    cdef public object name_of
    cdef public object outbox
    cdef public object pending
    cdef public object taking
    cdef public object writing

    cpdef send(self, message)
    cpdef announce(self, message)
    cdef ring(self)
    cpdef write_frames(self)
    cdef write_frame(self, list messages)
    cpdef take_in(self)
    cdef opened(self, body, count)
