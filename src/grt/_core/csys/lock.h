/* The lock around what two threads can reach: real without a GIL, nothing with one, where the GIL is that lock. And the
   guard of what gives the GIL away inside, which is real in both cases.

   Macros, because they take the lock by name: a mutex is a field, and a copy of a lock guards nothing. */
#ifndef GRT_LOCK_H
#define GRT_LOCK_H

#include <Python.h>
#include <sched.h>

#ifdef Py_GIL_DISABLED
#define GRT_LOCKS 1
typedef PyMutex grt_mutex;
#define grt_mutex_lock(mutex) PyMutex_Lock(&(mutex))
#define grt_mutex_unlock(mutex) PyMutex_Unlock(&(mutex))
typedef PyMutex grt_guard;
#define grt_guard_lock(guard) PyMutex_Lock(&(guard))
#define grt_guard_unlock(guard) PyMutex_Unlock(&(guard))
#else
#define GRT_LOCKS 0
typedef struct { char unused; } grt_mutex;
#define grt_mutex_lock(mutex) ((void)(mutex))
#define grt_mutex_unlock(mutex) ((void)(mutex))
typedef struct { char taken; } grt_guard; /* the GIL protects it */
#define grt_guard_lock(guard) grt_guard_take(&(guard))
#define grt_guard_unlock(guard) ((guard).taken = 0)

/* Whoever has it holds it for a few microseconds, and needs the GIL to give it back. */
static inline void grt_guard_take(grt_guard *guard) {
    while (guard->taken) {
        Py_BEGIN_ALLOW_THREADS
        sched_yield();
        Py_END_ALLOW_THREADS
    }
    guard->taken = 1;
}
#endif

static inline grt_mutex grt_mutex_new(void) {
    grt_mutex fresh = {0};
    return fresh;
}

static inline grt_guard grt_guard_new(void) {
    grt_guard fresh = {0};
    return fresh;
}

#endif
