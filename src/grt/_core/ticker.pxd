cimport cython

from grt._core.chan cimport Chan, RecvChan
from grt._core.cswitch cimport caller_code, caller_offset
from grt._core.csys cimport NEVER, mutex, mutex_lock, mutex_new, mutex_unlock
from grt._core.goroutine cimport ENDED, Scheduler, here, peek
from grt._core.timers cimport Timer as HeapTimer
from grt._core.timers cimport moment_in, now


@cython.final
cdef class Alarm(HeapTimer):
    cdef mutex mutex
    cdef double moment
    cdef double period
    cdef Scheduler proc
    cdef object call
    cdef object listener

    @cython.locals(pending=bint)
    cdef bint set(self, double moment, Chan channel) except -1
    cpdef object follow(self)
    @cython.locals(moment=double, due=bint, channel=Chan)
    cdef bint go_off(self) except -1
    @cython.locals(missed=double)
    cdef double following(self, double moment) except? -1


@cython.final
cdef class Timer:
    cdef object __weakref__
    cdef Alarm alarm
    cdef Chan channel
    cdef readonly RecvChan c

    cpdef bint stop(self) except -1


@cython.final
cdef class Ticker:
    cdef object __weakref__
    cdef Alarm alarm
    cdef Chan channel
    cdef readonly RecvChan c


@cython.locals(moment=double, timer=Timer)
cdef Timer timer_that(object calls, object seconds)
cdef Alarm at_home(Alarm alarm)
cdef double moment_after(object seconds) except? -1
cdef double period_of(object seconds) except? -1
