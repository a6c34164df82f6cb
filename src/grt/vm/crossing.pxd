from grt._core.chan cimport Chan


cdef class Link:
    cdef public Py_ssize_t capacity
    cdef public object channel
    cdef public bint ended
    cdef public Chan gate
    cdef public tuple key
    cdef public object kept
    cdef public tuple others
    cdef public Py_ssize_t pins
    cdef public Py_ssize_t received
    cdef public object source
    cdef public Station station
    cdef public str text
    cdef public tuple told


cdef class Station:
    cdef public object announce
    cdef public object gone
    cdef public Py_ssize_t last_key
    cdef public Py_ssize_t last_offer
    cdef public dict links
    cdef public object loop
    cdef public object moves
    cdef public object number
    cdef public dict offers
    cdef public object send

    cdef void tie_anew(self, Chan channel) except *
    cdef look_at(self, Chan channel)
    cdef bint is_wanted(self, Link link, Py_ssize_t count, bint receives, bint sends, bint closed) except -1
    cdef depart(self, Chan channel, Link link)
    cdef forget(self)
    cdef drop(self, Link link)
    cpdef handle(self, message)
    cdef arrive(self, Link link, Chan channel, message)
    cdef answer(self, number, int news)
