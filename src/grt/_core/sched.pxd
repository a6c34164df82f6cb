cimport cython

from grt._core.cmutex cimport mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.csys cimport now
from grt._core.cswitch cimport (
    arena_install, call_in, caller_code, caller_offset, context_copy, greenlet_current, greenlet_exit, greenlet_new, greenlet_set_parent,
    greenlet_switch, name_of, proc_get, proc_set, switch_setup,
)
from grt._core.loop cimport EventLoop
from grt._core.timers cimport Timer


cdef enum:
    NEW = 0
    RUNNABLE = 1
    RUNNING = 2
    PARKED = 3
    DONE = 4

    TURNING = 1
    COLLECTING = 2
    ENDED = 4

    POLL_EVERY = 61
    BUDGET = 128
    MAX_IDLE = 1024


cdef class Alarm(Timer):
    cdef Goroutine goroutine


@cython.final
@cython.freelist(1024)
cdef class Goroutine:
    cdef object __weakref__
    cdef readonly Proc proc
    cdef object fn
    cdef object args
    cdef object kwargs
    cdef object context
    cdef readonly Py_ssize_t id
    cdef public object name
    cdef object code
    cdef int offset
    cdef object greenlet
    cdef int state
    cdef Goroutine next
    cdef Goroutine older
    cdef Goroutine newer
    cdef bint alert
    cdef bint late
    cdef object pending
    cdef readonly double deadline
    cdef readonly object scope
    cdef Alarm alarm
    cdef dict joiners
    cdef object value
    cdef object failure

    cdef void prepare(self, Proc proc, object fn, object args, object kwargs)
    cpdef bint throw(self, object error) except -1
    @cython.locals(proc=Proc)
    cdef bint wait_end(self, Goroutine me, double deadline) except -1
    cdef object check(self)
    cpdef object set_deadline(self, double deadline, object scope)
    cdef object arm(self)
    @cython.locals(proc=Proc, scoped=bint)
    cdef bint park(self, double deadline) except -1


@cython.locals(g=Goroutine)
cdef Goroutine new_goroutine(Proc proc, object fn, object args, object kwargs)

@cython.locals(proc=Proc, won=bint)
cpdef bint fire(Goroutine g) except -1


@cython.final
cdef class Proc:
    cdef object __weakref__
    cdef mutex mutex
    cdef mutex ends
    cdef readonly EventLoop loop
    cdef Goroutine head
    cdef Goroutine tail
    cdef int tick
    cdef int budget
    cdef int busy
    cdef Py_ssize_t id_next
    cdef Py_ssize_t id_end
    cdef list idle
    cdef object root
    cdef readonly Goroutine main
    cdef readonly Goroutine current
    cdef Goroutine newest

    cdef Py_ssize_t next_id(self) except -1
    @cython.locals(g=Goroutine)
    cpdef list living(self)
    @cython.locals(newest=Goroutine)
    cdef void start(self, Goroutine g)
    @cython.locals(tail=Goroutine)
    cpdef object push(self, Goroutine g)
    @cython.locals(g=Goroutine)
    cdef Goroutine pick(self)
    cdef object turn(self, double timeout)
    @cython.locals(n=Goroutine)
    cdef object schedule(self, Goroutine g)
    cdef object resume(self, Goroutine n)
    cdef object execute(self, Goroutine g)
    cdef object fail(self, Goroutine g, object error)
    cdef object finish(self, Goroutine g)
    cdef object spend(self, Goroutine g)
    cdef object give_way(self, Goroutine g)
    cpdef bint run_ready(self) except -1
    cdef str obstacle(self)
    @cython.locals(g=Goroutine)
    cpdef object close(self)


@cython.locals(proc=Proc)
cpdef Proc here()

@cython.locals(proc=Proc, g=Goroutine)
cpdef Goroutine enter()

@cython.locals(g=Goroutine)
cpdef object gosched()

@cython.locals(g=Goroutine, deadline=double)
cpdef object sleep(double seconds)

cpdef Goroutine current()

@cython.locals(moment=double)
cpdef double deadline_of(object timeout) except? -1

@cython.locals(proc=Proc)
cpdef object note_collection(object phase, object info)
