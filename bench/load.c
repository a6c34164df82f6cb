/* The load generator of the benchmarks: one thread, one epoll, no allocation once it runs.

   load PORT CONNECTIONS SIZE WARMUP SECONDS
       Every connection has one message on its way at any time (a closed loop). Each byte that comes
       back is compared with the byte that was sent. Prints one line of JSON.
   load --hold PORT CONNECTIONS
       Opens the connections, prints "ready" and holds them until its stdin is closed, or for a minute.
   load --drain PORT SECONDS
       Reads from one connection, and prints how many MB came each second.

   Connections are opened one after the other, each with one echo of one byte, which proves that the
   server has accepted it and keeps any backlog from overflowing. Loopback only.

   Rejected: an open loop at a fixed rate. It is the better instrument for latency, but the question
   here is how many requests one core serves. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 1024,
    BUCKETS = 10 * 1000 * 1000, /* latencies of up to a second, in steps of BUCKET_NS */
    BUCKET_NS = 100,
    SHIFTS = 256, /* a message is the pattern from one of so many offsets on */
    OPEN_TIMEOUT_S = 10,
    DRAIN_S = 1, /* how long the last answers may take */
    HOLD_S = 60,
};

struct conn {
    int fd;           /* -1 once closed */
    uint32_t shift;   /* where in the pattern the message on its way begins */
    size_t sent;      /* bytes of it handed to the kernel */
    size_t received;  /* bytes of it that came back */
    int64_t began_ns; /* when its first byte was sent */
};

struct run {
    int epoll;
    size_t size;           /* of a message */
    const char *pattern;   /* size + SHIFTS bytes */
    char *buffer;          /* size bytes, what comes back */
    uint32_t *histogram;   /* of latencies, BUCKETS long */
    int64_t measure_ns;    /* end of the warm-up */
    uint64_t requests;     /* completed since then */
    uint64_t total;        /* completed since the start */
    uint64_t errors;       /* connections lost, or with wrong bytes */
    int alive;             /* connections open */
    bool ending;           /* begin no more messages: only what is on its way comes back */
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_connection(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = {.tv_sec = OPEN_TIMEOUT_S};
    int one = 1;
    char byte = 'x', back = 0;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &back, 1, 0) != 1 || back != byte)
        die("the first echo");
    return fd;
}

static void hang_up(struct run *run, struct conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    run->alive--;
}

static void fail(struct run *run, struct conn *conn)
{
    hang_up(run, conn);
    run->errors++;
}

/* False when the connection is lost. A full socket is no error: EPOLLOUT brings us back. */
static bool send_rest(struct run *run, struct conn *conn)
{
    const char *message = run->pattern + conn->shift;
    while (conn->sent < run->size) {
        ssize_t n = send(conn->fd, message + conn->sent, run->size - conn->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        conn->sent += n;
    }
    return true;
}

static bool begin_message(struct run *run, struct conn *conn, int64_t now)
{
    conn->shift = (conn->shift + 1) % SHIFTS;
    conn->sent = conn->received = 0;
    conn->began_ns = now;
    return send_rest(run, conn);
}

static void count(struct run *run, struct conn *conn, int64_t now)
{
    run->total++;
    if (conn->began_ns < run->measure_ns)
        return;
    int64_t bucket = (now - conn->began_ns) / BUCKET_NS;
    run->histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    run->requests++;
}

/* False when the connection is lost or its bytes are wrong. Edge-triggered: a read shorter than what
   is missing has emptied the socket; a full one ends the message, and nothing more is due. */
static bool receive(struct run *run, struct conn *conn)
{
    size_t missing = run->size - conn->received;
    ssize_t n = recv(conn->fd, run->buffer, missing, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0 || memcmp(run->buffer, run->pattern + conn->shift + conn->received, n) != 0)
        return false;
    conn->received += n;
    if (conn->received < run->size)
        return true;
    int64_t now = now_ns();
    count(run, conn, now);
    if (!run->ending)
        return begin_message(run, conn, now);
    hang_up(run, conn);
    return true;
}

static void serve_until(struct run *run, int64_t end_ns)
{
    struct epoll_event events[EVENTS];
    while (run->alive > 0) {
        int64_t left_ms = (end_ns - now_ns()) / 1000000;
        if (left_ms <= 0)
            return;
        int n = epoll_wait(run->epoll, events, EVENTS, (int)left_ms);
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn->fd >= 0 && !(send_rest(run, conn) && receive(run, conn)))
                fail(run, conn);
        }
    }
}

static void begin_all(struct run *run, struct conn *conns, int count, int port)
{
    for (int i = 0; i < count; i++) {
        conns[i].fd = open_connection(port);
        conns[i].shift = i % SHIFTS;
    }
    run->alive = count;
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &conns[i]};
        if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, conns[i].fd, &event) < 0)
            die("epoll_ctl");
        if (!begin_message(run, &conns[i], now_ns()))
            fail(run, &conns[i]);
    }
}

static double percentile_us(const struct run *run, double part)
{
    uint64_t seen = 0, wanted = (uint64_t)(run->requests * part);
    for (int i = 0; i < BUCKETS; i++) {
        seen += run->histogram[i];
        if (seen > wanted)
            return i * BUCKET_NS / 1000.0;
    }
    return 0;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_result(const struct run *run, double seconds, double busy)
{
    double rate = run->requests / seconds;
    printf("{\"requests\": %llu, \"requests_per_s\": %.1f, \"mb_per_s\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"errors\": %llu, \"total\": %llu, \"load_busy\": %.3f}\n",
           (unsigned long long)run->requests, rate, rate * run->size / 1e6, percentile_us(run, 0.50),
           percentile_us(run, 0.99), (unsigned long long)run->errors, (unsigned long long)run->total, busy);
}

static void fill_pattern(char *pattern, size_t length)
{
    for (size_t i = 0; i < length; i++)
        pattern[i] = (char)(i * 131 + i / SHIFTS); /* no two neighbouring offsets give the same message */
}

static void load(int port, int connections, size_t size, double warmup, double seconds)
{
    struct conn *conns = calloc(connections, sizeof *conns);
    char *pattern = malloc(size + SHIFTS);
    struct run run = {.epoll = epoll_create1(EPOLL_CLOEXEC), .size = size, .pattern = pattern};
    run.buffer = malloc(size);
    run.histogram = calloc(BUCKETS, sizeof *run.histogram);
    if (!conns || !pattern || !run.buffer || !run.histogram || run.epoll < 0)
        die("memory");

    fill_pattern(pattern, size + SHIFTS);
    run.measure_ns = INT64_MAX;
    begin_all(&run, conns, connections, port);
    int64_t start = now_ns();
    run.measure_ns = start + (int64_t)(warmup * 1e9);
    serve_until(&run, run.measure_ns);
    double cpu = cpu_seconds();
    serve_until(&run, run.measure_ns + (int64_t)(seconds * 1e9));
    double took = (now_ns() - run.measure_ns) / 1e9;
    print_result(&run, took, (cpu_seconds() - cpu) / took);
    run.ending = true; /* with nothing unread the servers see an end of stream, not a reset */
    serve_until(&run, now_ns() + DRAIN_S * 1000000000LL);
}

static void hold(int port, int connections)
{
    char byte;
    alarm(HOLD_S); /* whoever waits for "ready" must not wait for ever */
    for (int i = 0; i < connections; i++)
        open_connection(port);
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

static void drain(int port, double seconds)
{
    enum { MOST = 1 << 20 };
    char *buffer = malloc(MOST);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!buffer || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9), now = start;
    uint64_t bytes = 0;
    while (now < end) {
        ssize_t n = recv(fd, buffer, MOST, 0);
        if (n <= 0)
            die("the connection ended");
        bytes += n;
        now = now_ns();
    }
    printf("%.1f\n", bytes / 1e6 / ((now - start) / 1e9));
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    if (argc == 4 && strcmp(argv[1], "--hold") == 0)
        hold(atoi(argv[2]), atoi(argv[3]));
    else if (argc == 4 && strcmp(argv[1], "--drain") == 0)
        drain(atoi(argv[2]), atof(argv[3]));
    else if (argc == 6 && atoi(argv[2]) > 0 && atoi(argv[3]) > 0)
        load(atoi(argv[1]), atoi(argv[2]), strtoul(argv[3], NULL, 10), atof(argv[4]), atof(argv[5]));
    else {
        fprintf(stderr, "usage: load PORT CONNECTIONS SIZE WARMUP SECONDS | load --hold PORT CONNECTIONS | load --drain PORT SECONDS\n");
        return 2;
    }
    return 0;
}
