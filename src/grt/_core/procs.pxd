cimport cython

from grt._core.csys cimport mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.goroutine cimport COLLECTING, NEW, Goroutine, Scheduler, fire, peek, set_proc
from grt._core.sched cimport Proc, Sharing


cdef enum:
    AWAKE = 0
    ASLEEP = 1
    WOKEN = 2

    NOTHING = 0
    FOUND = 1
    LATER = 2

cdef extern from *:
    const double AGAIN "0.005"


cdef class Fleet(Sharing):
    cdef mutex mutex
    cdef readonly list members
    cdef list former
    cdef list sleepers
    cdef public bint open

    cpdef object join(self, Proc proc, Proc chief)
    cpdef object leave(self, Proc proc)
    cdef object become(self, list members)
    cpdef object retire(self, Proc proc)
    @cython.locals(g=Goroutine, fresh=bint, other=Proc)
    cdef Goroutine next_of(self, Proc proc)
    @cython.locals(found=int)
    cdef object idle(self, Proc proc)
    @cython.locals(members=list, count=Py_ssize_t, at=Py_ssize_t, victim=Proc, later=int)
    cdef int find(self, Proc proc) except -1
    @cython.locals(found=Proc, fewest=Py_ssize_t, other=Proc)
    cdef Proc lighter(self, Proc proc)
    @cython.locals(found=Proc, sleeper=Proc)
    cdef object rouse(self)
    @cython.locals(slept=bint)
    cpdef object wake(self, Proc proc)


cdef bint takes_part(Proc proc) noexcept

cdef bint can_move(Proc proc, Goroutine g) noexcept

@cython.locals(tail=Goroutine)
cdef void queue_up(Proc proc, Goroutine g) noexcept

@cython.locals(loot=Goroutine, g=Goroutine)
cdef bint steal(Proc proc, Proc victim) except -1

@cython.locals(first=Goroutine, last=Goroutine, before=Goroutine, g=Goroutine, behind=Goroutine, wanted=Py_ssize_t)
cdef Goroutine take_half(Proc victim)

@cython.locals(first=Proc, second=Proc)
cdef void move(Goroutine g, Proc giver, Proc taker) noexcept

@cython.locals(newest=Goroutine)
cdef void link(Proc proc, Goroutine g) noexcept

@cython.locals(older=Goroutine, newer=Goroutine)
cdef void unlink(Proc proc, Goroutine g) noexcept

cpdef list procs()

cpdef object end(Proc proc)

cpdef object end_program()

@cython.locals(proc=Scheduler)
cpdef object note_collection(object phase, object info)
