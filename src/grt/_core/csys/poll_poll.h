/* The poll back-end, for systems that have neither epoll nor kqueue: every wait hands all descriptors over. */
#ifndef GRT_POLL_POLL_H
#define GRT_POLL_POLL_H

#include <fcntl.h>
#include <poll.h>

#ifndef POLLRDHUP /* glibc hides it; elsewhere half a close shows as READ only */
#ifdef __linux__
#define POLLRDHUP 0x2000
#else
#define POLLRDHUP 0
#endif
#endif

typedef struct {
    int mask;  /* what was asked for */
    int quiet; /* of that, the edge directions reported and not rearmed; HANGUP: half a close was reported;
                   ERROR: what poll cannot be told to leave out was, so the descriptor is left out */
    uint32_t generation;
} grt_poll_watch;

typedef struct {
    struct pollfd *asked;    /* what poll is given, dense */
    grt_poll_watch *watches; /* of each asked */
    int used;                /* of both */
    int size;
    int *places; /* by descriptor: its index in asked, -1 where it is not watched */
    int places_size;
} grt_poll_table;

static int grt_poll_poll_open(grt_poller *poller) {
    poller->state = calloc(1, sizeof(grt_poll_table));
    return poller->state == NULL ? grt_poll_fail(ENOMEM) : 0;
}

static void grt_poll_poll_close(grt_poller *poller) {
    grt_poll_table *table = poller->state;
    free(table->asked);
    free(table->watches);
    free(table->places);
    free(table);
}

/* A negative descriptor is skipped by poll, so that a hangup reported on an edge is not reported for ever. */
static inline void grt_poll_ask(grt_poll_table *table, int place, int fd) {
    grt_poll_watch *watch = &table->watches[place];
    int wanted = watch->mask & ~watch->quiet;
    table->asked[place].fd = watch->quiet & GRT_ERROR ? ~fd : fd;
    table->asked[place].events = (short)((wanted & GRT_READ ? POLLIN : 0) | (wanted & GRT_WRITE ? POLLOUT : 0) |
                                         (watch->quiet & GRT_HANGUP || !(watch->mask & (GRT_READ | GRT_EDGE)) ? 0 : POLLRDHUP));
}

static inline int grt_poll_place(grt_poll_table *table, int fd) {
    return fd >= 0 && fd < table->places_size ? table->places[fd] : -1;
}

static inline int grt_poll_reserve(grt_poll_table *table, int fd) {
    if (fd >= table->places_size) {
        int size = fd < INT_MAX / 2 ? 2 * fd + 64 : fd;
        int *larger = realloc(table->places, (size_t)size * sizeof *larger);
        if (larger == NULL) return grt_poll_fail(ENOMEM);
        for (int i = table->places_size; i < size; i++) larger[i] = -1;
        table->places = larger;
        table->places_size = size;
    }
    if (table->used == table->size) {
        size_t size = 2 * (size_t)table->size + 64;
        struct pollfd *asked = realloc(table->asked, size * sizeof *asked);
        if (asked != NULL) table->asked = asked;
        grt_poll_watch *watches = realloc(table->watches, size * sizeof *watches);
        if (watches != NULL) table->watches = watches;
        if (asked == NULL || watches == NULL) return grt_poll_fail(ENOMEM);
        table->size = (int)size;
    }
    return 0;
}

static int grt_poll_poll_add(grt_poller *poller, int fd, int mask, uint32_t generation) {
    grt_poll_table *table = poller->state;
    if (grt_poll_place(table, fd) >= 0) return grt_poll_fail(EEXIST);
    if (fcntl(fd, F_GETFD) < 0 || grt_poll_reserve(table, fd) < 0) return -1;
    int place = table->used++;
    table->places[fd] = place;
    table->watches[place] = (grt_poll_watch){.mask = mask, .quiet = 0, .generation = generation};
    grt_poll_ask(table, place, fd);
    return 0;
}

static int grt_poll_poll_modify(grt_poller *poller, int fd, int mask, uint32_t generation) {
    grt_poll_table *table = poller->state;
    int place = grt_poll_place(table, fd);
    if (place < 0) return grt_poll_fail(ENOENT);
    table->watches[place] = (grt_poll_watch){.mask = mask, .quiet = 0, .generation = generation};
    grt_poll_ask(table, place, fd);
    return 0;
}

static int grt_poll_poll_remove(grt_poller *poller, int fd) {
    grt_poll_table *table = poller->state;
    int place = grt_poll_place(table, fd);
    if (place < 0) return grt_poll_fail(ENOENT);
    int last = --table->used;
    int moved = table->asked[last].fd;
    table->asked[place] = table->asked[last];
    table->watches[place] = table->watches[last];
    table->places[moved < 0 ? ~moved : moved] = place;
    table->places[fd] = -1;
    return 0;
}

static int grt_poll_poll_rearm(grt_poller *poller, int fd, int mask) {
    grt_poll_table *table = poller->state;
    int place = grt_poll_place(table, fd);
    if (place < 0) return grt_poll_fail(ENOENT);
    table->watches[place].quiet &= ~(mask | GRT_ERROR | (mask & GRT_READ ? GRT_HANGUP : 0));
    grt_poll_ask(table, place, fd);
    return 0;
}

/* What was reported on an edge falls silent. So does a descriptor that was closed while watched, as with epoll. */
static inline void grt_poll_silence(grt_poll_table *table, int place, int told) {
    grt_poll_watch *watch = &table->watches[place];
    if (watch->mask & GRT_EDGE) {
        watch->quiet |= (told & POLLIN ? GRT_READ : 0) | (told & POLLOUT ? GRT_WRITE : 0) |
                        (told & POLLRDHUP ? GRT_HANGUP : 0) | (told & (POLLHUP | POLLERR) ? GRT_ERROR : 0);
    } else if (told & POLLNVAL) {
        watch->quiet |= GRT_ERROR;
    }
    grt_poll_ask(table, place, table->asked[place].fd);
}

static int grt_poll_poll_wait(grt_poller *poller, double timeout) {
    grt_poll_table *table = poller->state;
    int left = poll(table->asked, (nfds_t)table->used, grt_poll_milliseconds(timeout));
    if (left < 0) return -1;
    int count = 0;
    for (int place = 0; left > 0 && place < table->used && count < poller->capacity; place++) {
        int told = table->asked[place].revents;
        if (told == 0) continue;
        left--;
        if (!(told & POLLNVAL))
            poller->events[count++] = (grt_event){
                .fd = table->asked[place].fd,
                .flags = (told & POLLIN ? GRT_READ : 0) | (told & POLLOUT ? GRT_WRITE : 0) |
                         (told & (POLLRDHUP | POLLHUP) ? GRT_HANGUP : 0) | (told & POLLERR ? GRT_ERROR : 0),
                .generation = table->watches[place].generation,
            };
        if (told & POLLNVAL || table->watches[place].mask & GRT_EDGE) grt_poll_silence(table, place, told);
    }
    return count;
}

static const grt_poll_ops grt_poll_poll_ops = {
    .name = "poll",
    .needs_rearm = 1,
    .open = grt_poll_poll_open,
    .close = grt_poll_poll_close,
    .add = grt_poll_poll_add,
    .modify = grt_poll_poll_modify,
    .remove = grt_poll_poll_remove,
    .rearm = grt_poll_poll_rearm,
    .wait = grt_poll_poll_wait,
};

#endif
