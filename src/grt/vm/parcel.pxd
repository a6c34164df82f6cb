cdef class Parcel:
    cdef public list channels
    cdef public bytes data
    cdef public list fds
    cdef public list moved
    cdef public list sizes


cpdef pack(value)
cdef pickled(Parcel parcel, value)
cpdef open_parcel(value)
