/* The poller's one C interface: what a back-end must provide, and the calls that cpoll.pxd declares.
   (Not called poll.h: on the include path that would stand before the system's own.)

   To port grt's waiting to another system, write poll_<name>.h with one grt_poll_ops table of:

     name         what Poller(backend=...) calls it
     needs_rearm  1 if `rearm` does something (see EDGE below)
     open         makes the kernel's object and this back-end's own state (poller->state, poller->fd or -1)
     close        gives both back; frees all of state
     add          watches fd for mask; EEXIST if it is watched already, ERANGE if fd is too high to be watched
     modify       replaces mask and generation and forgets what was reported; ENOENT if fd is not watched
     remove       watches fd no longer; ENOENT if it was not. Its state is forgotten even if the kernel objects
     rearm        NULL, or: switches the edge directions in mask on again; ENOENT if fd is not watched
     wait         waits at most `timeout` seconds (negative: for ever) and fills poller->events, one event for each
                  descriptor, at most poller->capacity; returns how many

   and add it to grt_poll_backends below, at its place from best to worst. All return 0 (wait: a count), or -1 with
   errno set (ENOMEM for want of memory); none knows Python. `wait` runs without the GIL unless timeout is 0, so it
   must not allocate what it cannot do without, and may lose no event when it fails. EINTR it just hands on.

   Flags. READ and WRITE are the kernel's word: a hangup or an error sets them too only where the kernel does, so a
   caller takes HANGUP and ERROR as news for both directions. HANGUP: the peer closed its sending side, or both.
   ERROR: the descriptor has a pending error. select cannot tell either: they show as READ or WRITE there.

   EDGE: an edge-triggered direction is reported, then stays quiet until there is news. Whoever has drained it calls
   rearm(fd, direction) before waiting again: free and unnecessary on epoll and kqueue (EPOLLET, EV_CLEAR), on poll
   and select it is what switches the direction on again. There a hangup or an error reported is quiet likewise.

   Timeouts are rounded up to what the call can express, so that no timer wakes early, and cut to what it takes.

   Threads: one waits; meanwhile others may add, modify and remove with epoll and kqueue, whose kernels allow it and
   whose state only changes under the GIL (so on a free-threaded interpreter: the owner only). With poll and select,
   the owner only. */
#ifndef GRT_POLLER_H
#define GRT_POLLER_H

#include <Python.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GRT_READ = 1, GRT_WRITE = 2, GRT_EDGE = 4, GRT_HANGUP = 8, GRT_ERROR = 16 };

/* Events of one wait: enough for a busy turn at first, doubled whenever a wait fills them, up to where a longer batch
   would only delay timers. What does not fit is reported by the next wait. */
enum { GRT_EVENTS_FIRST = 256, GRT_EVENTS_MOST = 16384 };

typedef struct {
    int fd;
    int flags;
    uint32_t generation; /* as given to add or modify: tells whose event this is when the number was reused */
} grt_event;

typedef struct grt_poll_ops grt_poll_ops;

typedef struct {
    const grt_poll_ops *ops; /* NULL once closed */
    void *state;             /* the back-end's own */
    grt_event *events;       /* of the last wait */
    int capacity;            /* of events */
    int count;               /* how many of events the last wait filled */
    int waiting;             /* a thread is in the wait without the GIL: no second one, and no close */
    int fd;                  /* the kernel object's descriptor, -1 where there is none */
} grt_poller;

struct grt_poll_ops {
    const char *name;
    int needs_rearm;
    int (*open)(grt_poller *);
    void (*close)(grt_poller *);
    int (*add)(grt_poller *, int fd, int mask, uint32_t generation);
    int (*modify)(grt_poller *, int fd, int mask, uint32_t generation);
    int (*remove)(grt_poller *, int fd);
    int (*rearm)(grt_poller *, int fd, int mask);
    int (*wait)(grt_poller *, double timeout);
};

static inline int grt_poll_fail(int error) {
    errno = error;
    return -1;
}

/* Seconds to milliseconds, up; what is too long for an int (24 days) is cut to it, and the caller waits again. */
static inline int grt_poll_milliseconds(double timeout) {
    if (timeout < 0) return -1;
    double rounded = ceil(timeout * 1e3);
    return rounded < INT_MAX ? (int)rounded : INT_MAX;
}

/* BSD kernels refuse more than 10^8 seconds. */
#define GRT_LONGEST_SECONDS 1e8

/* Seconds to whole ones and `per_second` parts, up. */
static inline long grt_poll_split(double timeout, long per_second, time_t *seconds) {
    if (!(timeout < GRT_LONGEST_SECONDS)) timeout = GRT_LONGEST_SECONDS;
    double whole = floor(timeout);
    long parts = (long)ceil((timeout - whole) * (double)per_second);
    if (parts >= per_second) {
        whole += 1;
        parts = 0;
    }
    *seconds = (time_t)whole;
    return parts;
}

#ifdef __linux__
#include "poll_epoll.h"
#define GRT_HAVE_EPOLL 1
#endif
#if defined(GRT_KQUEUE) || defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || \
    defined(__OpenBSD__) || defined(__DragonFly__)
#include "poll_kqueue.h"
#define GRT_HAVE_KQUEUE 1
#endif
#include "poll_poll.h"
#include "poll_select.h"

static const grt_poll_ops *const grt_poll_backends[] = {
#ifdef GRT_HAVE_EPOLL
    &grt_epoll_ops,
#endif
#ifdef GRT_HAVE_KQUEUE
    &grt_kqueue_ops,
#endif
    &grt_poll_poll_ops,
    &grt_select_ops,
};
#define GRT_POLL_BACKENDS (sizeof grt_poll_backends / sizeof *grt_poll_backends)

static inline PyObject *grt_poller_backends(void) {
    PyObject *names = PyTuple_New(GRT_POLL_BACKENDS);
    for (size_t i = 0; names != NULL && i < GRT_POLL_BACKENDS; i++) {
        PyObject *name = PyUnicode_FromString(grt_poll_backends[i]->name);
        if (name == NULL) Py_CLEAR(names);
        else PyTuple_SET_ITEM(names, (Py_ssize_t)i, name);
    }
    return names;
}

/* errno as the Python exception for it. */
static inline int grt_poll_raise(void) {
    if (errno == ENOMEM) PyErr_NoMemory();
    else PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static inline int grt_poll_raise_closed(void) {
    PyErr_SetString(PyExc_ValueError, "this poller is closed");
    return -1;
}

static inline void grt_poll_release(grt_poller *poller) {
    if (poller->ops == NULL) return;
    poller->ops->close(poller);
    free(poller->events);
    poller->ops = NULL;
    poller->events = NULL;
    poller->capacity = poller->count = 0;
    poller->fd = -1;
}

static void grt_poll_capsule_free(PyObject *owner) {
    grt_poller *poller = PyCapsule_GetPointer(owner, NULL);
    grt_poll_release(poller);
    free(poller);
}

static inline const grt_poll_ops *grt_poll_named(PyObject *name) {
    for (size_t i = 0; i < GRT_POLL_BACKENDS; i++)
        if (PyUnicode_CompareWithASCIIString(name, grt_poll_backends[i]->name) == 0) return grt_poll_backends[i];
    PyErr_Format(PyExc_ValueError, "%R is not a back-end of this build", name);
    return NULL;
}

/* A capsule that owns the poller: whoever drops it without closing leaks nothing. */
static PyObject *grt_poller_open(PyObject *name) {
    const grt_poll_ops *ops = grt_poll_named(name);
    if (ops == NULL) return NULL;
    grt_poller *poller = calloc(1, sizeof *poller);
    if (poller == NULL) return PyErr_NoMemory();
    poller->fd = -1;
    PyObject *owner = PyCapsule_New(poller, NULL, grt_poll_capsule_free);
    if (owner == NULL) {
        free(poller);
        return NULL;
    }
    poller->events = malloc(GRT_EVENTS_FIRST * sizeof *poller->events);
    if (poller->events == NULL) errno = ENOMEM;
    if (poller->events == NULL || ops->open(poller) < 0) {
        grt_poll_raise();
        free(poller->events);
        Py_DECREF(owner);
        return NULL;
    }
    poller->capacity = GRT_EVENTS_FIRST;
    poller->ops = ops;
    return owner;
}

/* The poller inside the capsule: good as long as the capsule lives. */
static inline grt_poller *grt_poller_handle(PyObject *owner) { return PyCapsule_GetPointer(owner, NULL); }

static inline int grt_poller_close(grt_poller *poller) {
    if (poller->waiting) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a poller cannot be closed while another thread waits in it: wake that first");
        return -1;
    }
    grt_poll_release(poller);
    return 0;
}

static inline int grt_poller_fileno(grt_poller *poller) {
    if (poller->ops != NULL) return poller->fd;
    grt_poll_raise_closed();
    return -2;
}

static inline int grt_poller_needs_rearm(grt_poller *poller) {
    return poller->ops == NULL ? grt_poll_raise_closed() : poller->ops->needs_rearm;
}

static inline int grt_poller_add(grt_poller *poller, int fd, int mask, uint32_t generation) {
    if (poller->ops == NULL) return grt_poll_raise_closed();
    if (poller->ops->add(poller, fd, mask, generation) == 0) return 0;
    if (errno != ERANGE) return grt_poll_raise();
    PyErr_Format(PyExc_ValueError, "descriptor %d is too high for the %s back-end: choose another", fd,
                 poller->ops->name);
    return -1;
}

static inline int grt_poller_modify(grt_poller *poller, int fd, int mask, uint32_t generation) {
    if (poller->ops == NULL) return grt_poll_raise_closed();
    return poller->ops->modify(poller, fd, mask, generation) < 0 ? grt_poll_raise() : 0;
}

static inline int grt_poller_remove(grt_poller *poller, int fd) {
    if (poller->ops == NULL) return grt_poll_raise_closed();
    return poller->ops->remove(poller, fd) < 0 ? grt_poll_raise() : 0;
}

static inline int grt_poller_rearm(grt_poller *poller, int fd, int mask) {
    if (poller->ops == NULL) return grt_poll_raise_closed();
    if (poller->ops->rearm == NULL) return 0;
    return poller->ops->rearm(poller, fd, mask) < 0 ? grt_poll_raise() : 0;
}

/* Room is made before the wait that could use it: failing there loses no event. */
static inline int grt_poll_grow(grt_poller *poller) {
    if (poller->count < poller->capacity || poller->capacity >= GRT_EVENTS_MOST) return 0;
    grt_event *larger = realloc(poller->events, 2 * (size_t)poller->capacity * sizeof *larger);
    if (larger == NULL) return grt_poll_fail(ENOMEM);
    poller->events = larger;
    poller->capacity *= 2;
    return 0;
}

/* Waits without the GIL. Signals that came while no bytecode ran are handled first, or they would wait for the wait.
   Returns -2 where the exception is raised already, else what `wait` returned. */
static inline int grt_poll_block(grt_poller *poller, double timeout) {
    if (PyErr_CheckSignals() < 0) return -2;
    if (poller->ops == NULL) { /* closed by the signal's handler */
        grt_poll_raise_closed();
        return -2;
    }
    int count, error;
    poller->waiting = 1;
    Py_BEGIN_ALLOW_THREADS
    count = poller->ops->wait(poller, timeout);
    error = errno;
    Py_END_ALLOW_THREADS
    poller->waiting = 0;
    errno = error;
    return count;
}

/* Returns the number of events; 0 too when a signal ended the wait and its handler raised nothing. */
static inline int grt_poller_wait(grt_poller *poller, double timeout) {
    if (poller->ops == NULL) return grt_poll_raise_closed();
    if (poller->waiting) {
        PyErr_SetString(PyExc_RuntimeError, "another thread waits in this poller: one at a time");
        return -1;
    }
    if (grt_poll_grow(poller) < 0) return grt_poll_raise();
    poller->count = 0;
    int count = timeout == 0 ? poller->ops->wait(poller, 0) : grt_poll_block(poller, timeout);
    if (count >= 0) return poller->count = count;
    if (count == -2) return -1;
    if (errno == EINTR) return PyErr_CheckSignals();
    return grt_poll_raise();
}

/* Of event `index` of the last wait: -1 where there is no such event, as after a close within its batch. */
static inline int grt_poller_fd(grt_poller *poller, int index) {
    return index < poller->count ? poller->events[index].fd : -1;
}

static inline int grt_poller_flags(grt_poller *poller, int index) {
    return index < poller->count ? poller->events[index].flags : 0;
}

static inline uint32_t grt_poller_generation(grt_poller *poller, int index) {
    return index < poller->count ? poller->events[index].generation : 0;
}

#endif
