# The lock around what two threads can reach, for the compiled build: csys/lock.h, with pymutex.py as its twin.
# Declared by value, but macros: they take the lock by name.

cdef extern from "lock.h":
    ctypedef struct mutex "grt_mutex":
        pass
    mutex mutex_new "grt_mutex_new"()
    void mutex_lock "grt_mutex_lock"(mutex lock)
    void mutex_unlock "grt_mutex_unlock"(mutex lock)
