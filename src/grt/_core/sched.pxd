cimport cython

from grt._core.csys cimport caught, mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.cswitch cimport (
    arena_install, call_in, gc_hide, gc_show_if_kept, greenlet_current, greenlet_exit, greenlet_kill, greenlet_new,
    greenlet_set_parent, greenlet_switch, greenlet_switch_or_failed, raised, switch_setup,
)
from grt._core.goroutine cimport (
    COLLECTING, DONE, ENDED, LEAVING, PASSED, RUNNABLE, RUNNING, TURNING, Goroutine, Scheduler, new_goroutine, set_proc,
)
from grt._core.loop cimport EventLoop


cdef enum:
    POLL_EVERY = 61
    BUDGET = 128
    HELD = 3
    MAX_IDLE = 1024
    BLOCK = 1024

cdef extern from *:
    const double SILENCE "0.1"


cdef class Sharing:
    cdef object start(self, Proc proc, Goroutine g)
    cdef Goroutine next_of(self, Proc proc)
    cdef object idle(self, Proc proc)


@cython.final
cdef class Proc(Scheduler):
    cdef Goroutine head
    cdef Goroutine tail
    cdef readonly Py_ssize_t picks
    cdef Py_ssize_t next_poll
    cdef public object on_idle
    cdef public object on_silence
    cdef public object on_start
    cdef readonly object thread
    cdef int budget
    cdef unsigned long long seed
    cdef readonly Py_ssize_t id_next
    cdef Py_ssize_t id_end
    cdef list idle
    cdef object root
    cdef object launcher
    cdef object worker
    cdef readonly Goroutine main
    cdef Goroutine newest
    cdef public Proc chief
    cdef public Sharing others
    cdef mutex queue
    cdef public Py_ssize_t own
    cdef public Py_ssize_t fresh
    cdef readonly Py_ssize_t begun
    cdef public int locked
    cdef public int sleep
    cdef public Py_ssize_t keeps
    cdef public Py_ssize_t noted
    cdef public bint silent
    cdef public bint retired

    cdef object more_ids(self)
    cpdef object renew_ids(self)
    @cython.locals(g=Goroutine)
    cpdef list living(self)
    @cython.locals(g=Goroutine)
    cdef Goroutine pick(self)
    @cython.locals(g=Goroutine)
    cdef Goroutine pick_shared(self)
    cdef object idle_until_runnable(self)
    cdef object wait(self)
    cpdef object close(self)
    cpdef object turn(self, double timeout)
    cdef object break_off(self, Goroutine g)
    cdef object next_stack(self, Goroutine g)
    cdef object stack_for(self, Goroutine n)
    cdef bint conclude(self, Goroutine g, object error) except -1
    cdef object fail(self, Goroutine g, object error)
    cdef object finish(self, Goroutine g)
    cdef object tell_end(self, Goroutine g)
    cpdef bint run_ready(self) except -1
    @cython.locals(g=Goroutine, other=Goroutine)
    cpdef list forked(self, object at_end)

