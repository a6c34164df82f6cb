/* The epoll back-end. It keeps no table: the kernel hands fd and generation back with each event. */
#ifndef GRT_POLL_EPOLL_H
#define GRT_POLL_EPOLL_H

#include <sys/epoll.h>

typedef struct {
    struct epoll_event *ready; /* what epoll_wait fills */
    int capacity;              /* of ready: follows the poller's */
} grt_epoll;

static int grt_epoll_open(grt_poller *poller) {
    grt_epoll *state = calloc(1, sizeof *state);
    if (state == NULL) return grt_poll_fail(ENOMEM);
    state->capacity = GRT_EVENTS_FIRST;
    state->ready = malloc((size_t)state->capacity * sizeof *state->ready);
    poller->fd = state->ready == NULL ? grt_poll_fail(ENOMEM) : epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        int error = errno;
        free(state->ready);
        free(state);
        return grt_poll_fail(error);
    }
    poller->state = state;
    return 0;
}

static void grt_epoll_close(grt_poller *poller) {
    grt_epoll *state = poller->state;
    close(poller->fd);
    free(state->ready);
    free(state);
}

static inline int grt_epoll_control(grt_poller *poller, int operation, int fd, int mask, uint32_t generation) {
    struct epoll_event event = {.events = 0};
    /* Half a close is news for whoever reads; level-triggered, it would never let a mere writer's wait be quiet. */
    if (mask & (GRT_READ | GRT_EDGE)) event.events |= EPOLLRDHUP;
    if (mask & GRT_READ) event.events |= EPOLLIN;
    if (mask & GRT_WRITE) event.events |= EPOLLOUT;
    if (mask & GRT_EDGE) event.events |= EPOLLET;
    event.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
    return epoll_ctl(poller->fd, operation, fd, &event);
}

static int grt_epoll_add(grt_poller *poller, int fd, int mask, uint32_t generation) {
    return grt_epoll_control(poller, EPOLL_CTL_ADD, fd, mask, generation);
}

static int grt_epoll_modify(grt_poller *poller, int fd, int mask, uint32_t generation) {
    return grt_epoll_control(poller, EPOLL_CTL_MOD, fd, mask, generation);
}

static int grt_epoll_remove(grt_poller *poller, int fd) {
    return grt_epoll_control(poller, EPOLL_CTL_DEL, fd, 0, 0);
}

static int grt_epoll_wait(grt_poller *poller, double timeout) {
    grt_epoll *state = poller->state;
    if (state->capacity < poller->capacity) {
        struct epoll_event *larger = realloc(state->ready, (size_t)poller->capacity * sizeof *larger);
        if (larger != NULL) { /* else go on with the room there is */
            state->ready = larger;
            state->capacity = poller->capacity;
        }
    }
    int count = epoll_wait(poller->fd, state->ready, state->capacity, grt_poll_milliseconds(timeout));
    for (int i = 0; i < count; i++) {
        uint32_t told = state->ready[i].events;
        grt_event *event = &poller->events[i];
        event->fd = (int)(uint32_t)state->ready[i].data.u64;
        event->generation = (uint32_t)(state->ready[i].data.u64 >> 32);
        event->flags = (told & EPOLLIN ? GRT_READ : 0) | (told & EPOLLOUT ? GRT_WRITE : 0) |
                       (told & (EPOLLRDHUP | EPOLLHUP) ? GRT_HANGUP : 0) | (told & EPOLLERR ? GRT_ERROR : 0);
    }
    return count;
}

static const grt_poll_ops grt_epoll_ops = {
    .name = "epoll",
    .needs_rearm = 0,
    .open = grt_epoll_open,
    .close = grt_epoll_close,
    .add = grt_epoll_add,
    .modify = grt_epoll_modify,
    .remove = grt_epoll_remove,
    .rearm = NULL,
    .wait = grt_epoll_wait,
};

#endif
