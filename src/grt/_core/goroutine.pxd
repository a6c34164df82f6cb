cimport cython

from grt._core.csys cimport NEVER, mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.loop cimport EventLoop
from grt._core.timers cimport Timer, Timers, deadline_of, now


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

    NOTHING = 0
    PASSED = 1
    CLOSED = 2
    AGAIN = 3

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
    cdef object spend(self, Goroutine g)
    cdef object give_way(self, Goroutine g)
    cdef unsigned int below(self, unsigned int n) except? 0
    cdef str obstacle(self)


@cython.final
@cython.freelist(64)
cdef class Clause:
    cdef readonly Goroutine g
    cdef readonly object place
    cdef Clause ahead
    cdef Clause behind
    cdef object value
    cdef unsigned char hung
    cdef unsigned char news
    cdef readonly unsigned char op
    cdef int index

    cdef void prepare(self, Goroutine g)


@cython.final
cdef class Waiters:
    cdef Clause first
    cdef Clause last

    @cython.locals(last=Clause)
    cdef void hang(self, Clause clause) noexcept
    @cython.locals(ahead=Clause, behind=Clause)
    cdef void unhang(self, Clause clause) noexcept
    @cython.locals(clause=Clause, behind=Clause)
    cdef Clause take(self)
    @cython.locals(clause=Clause, count=int)
    cdef int take_all(self, int news) except -1


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
    cdef object at_end
    cdef int offset
    cdef readonly unsigned char state
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
    cdef Waiters joiners
    cdef readonly Clause clause
    cdef readonly object on
    cdef readonly double since
    cdef object outcome

    cdef void prepare(self, Scheduler proc, object fn, object args)
    @cython.locals(proc=Scheduler, won=bint)
    cpdef bint throw(self, object error) except -1
    cdef Clause own_clause(self)
    @cython.locals(proc=Scheduler, clause=Clause)
    cdef bint wait_end(self, Goroutine me, double deadline) except -1
    cdef object check(self)
    cpdef object set_deadline(self, double deadline, object scope)
    @cython.locals(proc=Scheduler, won=bint)
    cpdef object arm(self, object on)
    cpdef bint park(self, double deadline) except -1
    @cython.locals(timers=Timers)
    cpdef bint settle(self, double deadline) except -1
    cdef object interrupt(self, object error)
    cdef bint judge(self, double deadline) except -1


@cython.locals(g=Goroutine)
cpdef Goroutine new_goroutine(Scheduler proc, object fn, object args)

@cython.locals(clause=Clause)
cpdef Clause new_clause(Goroutine g)

@cython.locals(proc=Scheduler)
cdef Scheduler lock_ends(Goroutine g)

@cython.locals(proc=Scheduler, won=bint)
cdef bint claim(Goroutine g) except -1

cpdef bint fire(Goroutine g) except -1

cpdef object make_runnable(Goroutine g)


cpdef object set_proc(Scheduler proc)

cpdef Scheduler peek()

@cython.locals(proc=Scheduler)
cpdef Scheduler here()

@cython.locals(proc=Scheduler, g=Goroutine)
cpdef Goroutine enter()
