cimport cython

from grt._core.cswitch cimport caller_code, caller_offset, context_copy, gc_hide, name_of, pool_objects, without_keywords
from grt._core.goroutine cimport Goroutine, Scheduler, enter, here, new_goroutine
from grt._core.timers cimport moment_in

@cython.locals(g=Goroutine)
cdef object go_plainly(object fn, object args)

@cython.locals(g=Goroutine)
cpdef Goroutine go_for(object at_end, object code, int offset, object fn, tuple args, dict kwargs)

@cython.locals(g=Goroutine)
cdef Goroutine prepared(object fn, tuple args, dict kwargs)
