cimport cython

from grt.vm.crossing cimport FETCH, RECEIVE, SEND


cdef class Route:
    cdef public Py_ssize_t capacity
    cdef public object holder
    cdef public tuple key
    cdef public dict refs
    cdef public bint shut
    cdef public object source
    cdef public str text
    cdef public int told
    cdef public dict wants

    @cython.locals(found=int)
    cdef int wanted(self, besides) except -1
    cdef next_holder(self, list values, offer, bint closed, passer)
    @cython.locals(wants=int)
    cdef bint suits(self, vm, list values, offer, bint closed) except -1


cdef class Broker:
    cdef public dict ports
    cdef public dict routes

    cdef tell(self, vm, message)
    cpdef handle(self, vm, list messages)
    @cython.locals(route=Route)
    cpdef handle_locked(self, vm, message)
    cdef want(self, Route route, vm, int wants)
    @cython.locals(wanted=int)
    cdef remind(self, Route route)
    cdef take(self, Route route, vm, list values, offer, bint closed, int wants)
    cdef drop(self, Route route, vm, count)
    cdef end(self, Route route, text)
