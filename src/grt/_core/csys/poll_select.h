/* The select back-end, which every system has: descriptors below FD_SETSIZE only, no hangup, no error. */
#ifndef GRT_POLL_SELECT_H
#define GRT_POLL_SELECT_H

#include <fcntl.h>
#include <sys/select.h>
#include <sys/time.h>

typedef struct {
    fd_set readable; /* what is asked for: the mask less what is quiet */
    fd_set writable;
    int above; /* no descriptor watched is as high as this */
    struct {
        unsigned char mask; /* 0 where the descriptor is not watched */
        uint32_t generation;
    } watches[FD_SETSIZE]; /* by descriptor */
} grt_select;

static int grt_select_open(grt_poller *poller) {
    grt_select *state = calloc(1, sizeof *state); /* zeroed sets are empty sets */
    if (state == NULL) return grt_poll_fail(ENOMEM);
    poller->state = state;
    return 0;
}

static void grt_select_close(grt_poller *poller) { free(poller->state); }

static inline int grt_select_watched(grt_select *state, int fd) {
    return fd >= 0 && fd < FD_SETSIZE && state->watches[fd].mask;
}

static inline void grt_select_ask(grt_select *state, int fd, int mask) {
    if (mask & GRT_READ) FD_SET(fd, &state->readable);
    if (mask & GRT_WRITE) FD_SET(fd, &state->writable);
}

static int grt_select_remove(grt_poller *poller, int fd) {
    grt_select *state = poller->state;
    if (!grt_select_watched(state, fd)) return grt_poll_fail(ENOENT);
    FD_CLR(fd, &state->readable);
    FD_CLR(fd, &state->writable);
    state->watches[fd].mask = 0;
    while (state->above > 0 && state->watches[state->above - 1].mask == 0) state->above--;
    return 0;
}

static inline void grt_select_watch(grt_select *state, int fd, int mask, uint32_t generation) {
    state->watches[fd].mask = (unsigned char)mask;
    state->watches[fd].generation = generation;
    if (fd >= state->above) state->above = fd + 1;
    grt_select_ask(state, fd, mask);
}

static int grt_select_add(grt_poller *poller, int fd, int mask, uint32_t generation) {
    if (fd >= FD_SETSIZE) return grt_poll_fail(ERANGE);
    if (grt_select_watched(poller->state, fd)) return grt_poll_fail(EEXIST);
    if (fcntl(fd, F_GETFD) < 0) return -1;
    grt_select_watch(poller->state, fd, mask, generation);
    return 0;
}

static int grt_select_modify(grt_poller *poller, int fd, int mask, uint32_t generation) {
    if (grt_select_remove(poller, fd) < 0) return -1;
    grt_select_watch(poller->state, fd, mask, generation);
    return 0;
}

static int grt_select_rearm(grt_poller *poller, int fd, int mask) {
    grt_select *state = poller->state;
    if (!grt_select_watched(state, fd)) return grt_poll_fail(ENOENT);
    grt_select_ask(state, fd, mask & state->watches[fd].mask);
    return 0;
}

/* One closed descriptor spoils the whole call: silence every such one, as epoll does. */
static inline int grt_select_drop_closed(grt_select *state) {
    for (int fd = 0; fd < state->above; fd++) {
        if (state->watches[fd].mask == 0 || fcntl(fd, F_GETFD) >= 0) continue;
        FD_CLR(fd, &state->readable);
        FD_CLR(fd, &state->writable);
    }
    return 0;
}

static int grt_select_wait(grt_poller *poller, double timeout) {
    grt_select *state = poller->state;
    fd_set readable = state->readable, writable = state->writable;
    struct timeval limit = {0, 0};
    if (timeout > 0) limit.tv_usec = grt_poll_split(timeout, 1000000L, &limit.tv_sec);
    int ready = select(state->above, &readable, &writable, NULL, timeout < 0 ? NULL : &limit);
    if (ready < 0) return errno == EBADF ? grt_select_drop_closed(state) : -1;
    int count = 0;
    for (int fd = 0; ready > 0 && fd < state->above && count < poller->capacity; fd++) {
        int flags = (FD_ISSET(fd, &readable) ? GRT_READ : 0) | (FD_ISSET(fd, &writable) ? GRT_WRITE : 0);
        if (flags == 0) continue;
        poller->events[count++] = (grt_event){.fd = fd, .flags = flags, .generation = state->watches[fd].generation};
        if (!(state->watches[fd].mask & GRT_EDGE)) continue;
        if (flags & GRT_READ) FD_CLR(fd, &state->readable);
        if (flags & GRT_WRITE) FD_CLR(fd, &state->writable);
    }
    return count;
}

static const grt_poll_ops grt_select_ops = {
    .name = "select",
    .needs_rearm = 1,
    .open = grt_select_open,
    .close = grt_select_close,
    .add = grt_select_add,
    .modify = grt_select_modify,
    .remove = grt_select_remove,
    .rearm = grt_select_rearm,
    .wait = grt_select_wait,
};

#endif
