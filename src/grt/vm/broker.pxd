cdef class Route:
    cdef public Py_ssize_t capacity
    cdef public object holder
    cdef public tuple key
    cdef public dict refs
    cdef public bint shut
    cdef public object source
    cdef public str text
    cdef public tuple told
    cdef public dict wants

    cdef tuple wanted(self, besides)
    cdef next_holder(self, list values, offer, bint closed, passer)
    cdef bint suits(self, vm, list values, offer, bint closed) except -1


cdef class Broker:
    cdef public dict ports
    cdef public dict routes

    cdef tell(self, vm, message)
    cpdef handle(self, vm, message)
    cdef want(self, Route route, vm, tuple wants)
    cdef remind(self, Route route)
    cdef take(self, Route route, vm, list values, offer, bint closed, tuple wants)
    cdef drop(self, Route route, vm, count)
    cdef end(self, Route route, text)
