cimport cython

from grt._core.cmutex cimport mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.csys cimport NEVER, now
from grt._core.loop cimport EventLoop
from grt._core.timers cimport Timer, Timers, deadline_of


cdef extern from "switch.h":
    # Typed here, because a check of the type at each blocking call would cost more than the call.
    Scheduler proc_get "(void *)grt_proc_get"()
    void proc_set "grt_proc_set"(object proc)


cdef enum:
    NEW = 0
    RUNNABLE = 1
    RUNNING = 2
    PARKED = 3
    DONE = 4

    NEWS = 0
    DEADLINE = 1
    THROWN = 2

    TURNING = 1
    COLLECTING = 2
    ENDED = 4
    LEAVING = 8


cdef class Scheduler:
    cdef object __weakref__
    cdef mutex mutex
    cdef mutex ends
    cdef readonly EventLoop loop
    cdef int busy
    cdef readonly Goroutine current

    cdef Py_ssize_t next_id(self) except -1
    cdef object start(self, Goroutine g)
    cpdef object push(self, Goroutine g)
    cdef object schedule(self, Goroutine g)
    cpdef object close(self)
    cdef object spend(self, Goroutine g)
    cdef object give_way(self, Goroutine g)
    cdef str obstacle(self)


@cython.final
cdef class Goroutine(Timer):
    cdef object __weakref__
    cdef readonly Scheduler proc
    cdef object fn
    cdef object args
    cdef object context
    cdef readonly Py_ssize_t id
    cdef public object name
    cdef object code
    cdef int offset
    cdef unsigned char state
    cdef unsigned char alert  # these three are flags: the size of a goroutine is what a server has thousands of
    cdef unsigned char winner
    cdef unsigned char failed
    cdef object greenlet
    cdef Goroutine next
    cdef Goroutine older
    cdef Goroutine newer
    cdef object pending
    cdef readonly double deadline
    cdef readonly object scope
    cdef dict joiners
    cdef object outcome

    cdef void prepare(self, Scheduler proc, object fn, object args)
    @cython.locals(proc=Scheduler, won=bint)
    cpdef bint throw(self, object error) except -1
    @cython.locals(proc=Scheduler)
    cdef bint wait_end(self, Goroutine me, double deadline) except -1
    cdef object check(self)
    cpdef object set_deadline(self, double deadline, object scope)
    @cython.locals(proc=Scheduler, won=bint)
    cpdef object arm(self)
    cpdef bint park(self, double deadline) except -1
    @cython.locals(scoped=bint, timers=Timers)
    cdef bint park_until(self, double deadline) except -1


@cython.locals(g=Goroutine)
cpdef Goroutine new_goroutine(Scheduler proc, object fn, object args)

@cython.locals(proc=Scheduler, won=bint)
cpdef bint fire(Goroutine g) except -1

cdef object make_runnable(Goroutine g)


cpdef object set_proc(Scheduler proc)

cpdef Scheduler peek()

@cython.locals(proc=Scheduler)
cpdef Scheduler here()

@cython.locals(proc=Scheduler, g=Goroutine)
cpdef Goroutine enter()
