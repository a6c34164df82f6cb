from grt._core.cswitch cimport caller_code, caller_offset, context_copy, gc_hide, name_of
from grt._core.goroutine cimport Goroutine, Scheduler, enter, here, new_goroutine
from grt._core.timers cimport deadline_of

