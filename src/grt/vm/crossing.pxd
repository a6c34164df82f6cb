cimport cython

from grt._core.chan cimport Chan
from grt._core.csys cimport now
from grt._core.goroutine cimport RUNNABLE


cdef enum:
    RECEIVE = 1
    SEND = 2
    FETCH = 4


cdef class Link:
    cdef public Py_ssize_t capacity
    cdef public object channel
    cdef public bint ended
    cdef public Chan gate
    cdef public tuple key
    cdef public object kept
    cdef public int others
    cdef public Py_ssize_t pins
    cdef public Py_ssize_t received
    cdef public object source
    cdef public Station station
    cdef public str text
    cdef public int told


cdef class Station:
    cdef public object announce
    cdef public list due
    cdef public object gone
    cdef public Py_ssize_t last_key
    cdef public Py_ssize_t last_offer
    cdef public dict links
    cdef public object loop
    cdef public Chan moves
    cdef public object number
    cdef public dict offers
    cdef public double rest
    cdef public double rested
    cdef public object runner
    cdef public Py_ssize_t seen
    cdef public object send

    cdef void tie_anew(self, Chan channel) except *
    @cython.locals(moment=double, end=double)
    cdef look_out(self, proc)
    cdef look_at_all(self, list moves)
    @cython.locals(link=Link, count=Py_ssize_t, receives=bint, sends=bint, closed=bint, wants=int)
    cdef look_at(self, Chan channel)
    @cython.locals(they_receive=bint, they_send=bint)
    cdef bint is_wanted(self, Link link, Py_ssize_t count, bint receives, bint sends, bint closed) except -1
    @cython.locals(receives=bint, sends=bint, closed=bint)
    cdef depart(self, Chan channel, Link link)
    cdef forget(self)
    cdef drop(self, Link link)
    cpdef handle(self, list messages)
    @cython.locals(link=Link, channel=Chan)
    cpdef handle_locked(self, message)
    cdef arrive(self, Link link, Chan channel, message)
    cdef answer(self, number, int news)


@cython.locals(held=Py_ssize_t, before=Py_ssize_t, found=list, _turn=int)
cdef list come_to_rest(Chan moves, first)
@cython.locals(held=Py_ssize_t)
cdef Py_ssize_t held_by(list channels) except -1
