# What the scheduler needs from C, for the compiled build: csys/switch.h and csys/arena.h, with pyswitch.py as their
# twin of the same names.

cdef extern from "switch.h":
    int switch_setup "grt_switch_setup"() except -1
    object greenlet_new "grt_greenlet_new"(object run, object parent)
    object greenlet_current "grt_greenlet_current"()
    int greenlet_switch "grt_greenlet_switch"(object target) except -1
    int greenlet_switch_or_failed "grt_greenlet_switch"(object target) noexcept
    int greenlet_set_parent "grt_greenlet_set_parent"(object child, object parent) except -1
    void greenlet_kill "grt_greenlet_kill"(object target)
    object greenlet_exit "grt_greenlet_exit"()
    object name_of "grt_name_of"(object fn)
    void gc_hide "grt_gc_hide"(object g)
    void gc_show_if_kept "grt_gc_show_if_kept"(object g, Py_ssize_t held)
    void pool_objects "grt_pool_objects"(object type)
    object call_in "grt_call_in"(object context, object fn, object args)
    object raised "grt_raised"()
    object context_copy "grt_context_copy"()
    object caller_code "grt_caller_code"()
    int caller_offset "grt_caller_offset"()

cdef extern from "method.h":
    object without_keywords "grt_without_keywords"(object general, object (*plain)(object fn, object args))

cdef extern from "arena.h":
    void arena_install "grt_arena_install"()
