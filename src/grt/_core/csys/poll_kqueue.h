/* The kqueue back-end: BSD, macOS, and Linux through libkqueue (built with GRT_KQUEUE, to test this file there).

   kqueue watches the two directions apart: here they are added together and merged again into one event. It does not
   tell a second add from a first, so a table of what is watched does. */
#ifndef GRT_POLL_KQUEUE_H
#define GRT_POLL_KQUEUE_H

#ifdef __linux__
#include <kqueue/sys/event.h>
#else
#include <sys/event.h>
#endif
#include <fcntl.h>
#include <sys/time.h>
#include <time.h>

#ifdef __NetBSD__
#define GRT_UDATA(generation) ((intptr_t)(generation))
#else
#define GRT_UDATA(generation) ((void *)(uintptr_t)(generation))
#endif

typedef struct {
    uint32_t generation;
    unsigned char mask; /* 0 where the descriptor is not watched */
} grt_kqueue_watch;

typedef struct {
    grt_kqueue_watch *watches; /* by descriptor; only add, modify and remove touch it */
    int watches_size;
    struct kevent *ready; /* what kevent fills; touched by the wait only, as are the next three */
    int capacity;         /* of ready: follows the poller's */
    int *slots;           /* by descriptor: its place in poller->events, if that place names it back */
    int slots_size;
} grt_kqueue;

static int grt_kqueue_open(grt_poller *poller) {
    grt_kqueue *state = calloc(1, sizeof *state);
    if (state == NULL) return grt_poll_fail(ENOMEM);
    state->capacity = GRT_EVENTS_FIRST;
    state->ready = malloc((size_t)state->capacity * sizeof *state->ready);
    poller->fd = state->ready == NULL ? grt_poll_fail(ENOMEM) : kqueue();
    if (poller->fd < 0) {
        int error = errno;
        free(state->ready);
        free(state);
        return grt_poll_fail(error);
    }
    fcntl(poller->fd, F_SETFD, FD_CLOEXEC);
    poller->state = state;
    return 0;
}

static void grt_kqueue_close(grt_poller *poller) {
    grt_kqueue *state = poller->state;
    close(poller->fd);
    free(state->watches);
    free(state->ready);
    free(state->slots);
    free(state);
}

static inline grt_kqueue_watch *grt_kqueue_watched(grt_kqueue *state, int fd) {
    return fd >= 0 && fd < state->watches_size && state->watches[fd].mask ? &state->watches[fd] : NULL;
}

static inline int grt_kqueue_reserve(grt_kqueue *state, int fd) {
    if (fd < state->watches_size) return 0;
    int size = fd < INT_MAX / 2 ? 2 * fd + 64 : fd;
    grt_kqueue_watch *larger = realloc(state->watches, (size_t)size * sizeof *larger);
    if (larger == NULL) return grt_poll_fail(ENOMEM);
    memset(larger + state->watches_size, 0, (size_t)(size - state->watches_size) * sizeof *larger);
    state->watches = larger;
    state->watches_size = size;
    return 0;
}

/* One direction: one change, one call, so that an error is that change's own. */
static inline int grt_kqueue_change(grt_poller *poller, int fd, int filter, int action, uint32_t generation) {
    struct kevent change;
    EV_SET(&change, (uintptr_t)fd, (short)filter, (unsigned short)action, 0, 0, GRT_UDATA(generation));
    return kevent(poller->fd, &change, 1, NULL, 0, NULL);
}

/* Takes both directions of mask away; the descriptor may be closed, and its directions gone with it. */
static inline int grt_kqueue_stop(grt_poller *poller, int fd, int mask) {
    int result = 0;
    if (mask & GRT_READ) result = grt_kqueue_change(poller, fd, EVFILT_READ, EV_DELETE, 0);
    if (mask & GRT_WRITE && grt_kqueue_change(poller, fd, EVFILT_WRITE, EV_DELETE, 0) < 0) result = -1;
    return result;
}

/* Both directions of mask, or none. */
static inline int grt_kqueue_start(grt_poller *poller, int fd, int mask, uint32_t generation) {
    int action = EV_ADD | (mask & GRT_EDGE ? EV_CLEAR : 0);
    if (mask & GRT_READ && grt_kqueue_change(poller, fd, EVFILT_READ, action, generation) < 0) return -1;
    if (!(mask & GRT_WRITE) || grt_kqueue_change(poller, fd, EVFILT_WRITE, action, generation) == 0) return 0;
    int error = errno;
    grt_kqueue_stop(poller, fd, mask & GRT_READ);
    return grt_poll_fail(error);
}

static int grt_kqueue_add(grt_poller *poller, int fd, int mask, uint32_t generation) {
    grt_kqueue *state = poller->state;
    if (fd < 0) return grt_poll_fail(EBADF);
    if (grt_kqueue_watched(state, fd) != NULL) return grt_poll_fail(EEXIST);
    if (grt_kqueue_reserve(state, fd) < 0 || grt_kqueue_start(poller, fd, mask, generation) < 0) return -1;
    state->watches[fd] = (grt_kqueue_watch){generation, (unsigned char)mask};
    return 0;
}

/* Deletes and adds, because adding again changes neither level to edge (FreeBSD) nor anything (libkqueue). Adding
   looks at the present state, so nothing is lost in between. */
static int grt_kqueue_modify(grt_poller *poller, int fd, int mask, uint32_t generation) {
    grt_kqueue_watch *watch = grt_kqueue_watched(poller->state, fd);
    if (watch == NULL) return grt_poll_fail(ENOENT);
    grt_kqueue_stop(poller, fd, watch->mask);
    if (grt_kqueue_start(poller, fd, mask, generation) < 0) {
        int error = errno;
        grt_kqueue_start(poller, fd, watch->mask, watch->generation);
        return grt_poll_fail(error);
    }
    *watch = (grt_kqueue_watch){generation, (unsigned char)mask};
    return 0;
}

static int grt_kqueue_remove(grt_poller *poller, int fd) {
    grt_kqueue_watch *watch = grt_kqueue_watched(poller->state, fd);
    if (watch == NULL) return grt_poll_fail(ENOENT);
    int mask = watch->mask;
    watch->mask = 0;
    return grt_kqueue_stop(poller, fd, mask);
}

/* The event of fd in this batch, made if there is none. A slot is believed only if its event names fd back, so slots
   need no clearing. Without memory for slots the directions stay apart, and nothing is lost. */
static inline grt_event *grt_kqueue_event(grt_poller *poller, int fd, uint32_t generation, int *count) {
    grt_kqueue *state = poller->state;
    if (fd >= state->slots_size) {
        int size = fd < INT_MAX / 2 ? 2 * fd + 64 : fd;
        int *larger = realloc(state->slots, (size_t)size * sizeof *larger);
        if (larger != NULL) {
            memset(larger + state->slots_size, 0, (size_t)(size - state->slots_size) * sizeof *larger);
            state->slots = larger;
            state->slots_size = size;
        }
    }
    if (fd < state->slots_size) {
        int slot = state->slots[fd];
        grt_event *known = &poller->events[slot];
        if (slot < *count && known->fd == fd && known->generation == generation) return known;
        state->slots[fd] = *count;
    }
    grt_event *event = &poller->events[(*count)++];
    *event = (grt_event){.fd = fd, .flags = 0, .generation = generation};
    return event;
}

static int grt_kqueue_wait(grt_poller *poller, double timeout) {
    grt_kqueue *state = poller->state;
    if (state->capacity < poller->capacity) {
        struct kevent *larger = realloc(state->ready, (size_t)poller->capacity * sizeof *larger);
        if (larger != NULL) { /* else go on with the room there is */
            state->ready = larger;
            state->capacity = poller->capacity;
        }
    }
    struct timespec limit = {0, 0};
    if (timeout > 0) limit.tv_nsec = grt_poll_split(timeout, 1000000000L, &limit.tv_sec);
    int ready = kevent(poller->fd, NULL, 0, state->ready, state->capacity, timeout < 0 ? NULL : &limit);
    int count = ready < 0 ? -1 : 0;
    for (int i = 0; i < ready; i++) {
        struct kevent *told = &state->ready[i];
        grt_event *event = grt_kqueue_event(poller, (int)told->ident, (uint32_t)(uintptr_t)told->udata, &count);
        event->flags |= told->filter == EVFILT_READ ? GRT_READ : GRT_WRITE;
        if (told->flags & EV_EOF) event->flags |= GRT_HANGUP | (told->fflags ? GRT_ERROR : 0);
    }
    return count;
}

static const grt_poll_ops grt_kqueue_ops = {
    .name = "kqueue",
    .needs_rearm = 0,
    .open = grt_kqueue_open,
    .close = grt_kqueue_close,
    .add = grt_kqueue_add,
    .modify = grt_kqueue_modify,
    .remove = grt_kqueue_remove,
    .rearm = NULL,
    .wait = grt_kqueue_wait,
};

#endif
