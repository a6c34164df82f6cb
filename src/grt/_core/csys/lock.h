/* The lock around what two threads can reach: real without a GIL, nothing with one, where the GIL is that lock.

   Macros, because they take the lock by name: a mutex is a field, and a copy of a lock guards nothing. */
#ifndef GRT_LOCK_H
#define GRT_LOCK_H

#include <Python.h>

#ifdef Py_GIL_DISABLED
#define GRT_LOCKS 1
typedef PyMutex grt_mutex;
#define grt_mutex_lock(mutex) PyMutex_Lock(&(mutex))
#define grt_mutex_unlock(mutex) PyMutex_Unlock(&(mutex))
#else
#define GRT_LOCKS 0
typedef struct { char unused; } grt_mutex;
#define grt_mutex_lock(mutex) ((void)(mutex))
#define grt_mutex_unlock(mutex) ((void)(mutex))
#endif

static inline grt_mutex grt_mutex_new(void) {
    grt_mutex fresh = {0};
    return fresh;
}

#endif
