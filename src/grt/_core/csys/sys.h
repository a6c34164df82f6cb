/* The system calls of layer 1, one call each: sockets, clock, wake-up.

   The compiled twin of pysys.py. Every call here is non-blocking and keeps the GIL: the one wait that really
   blocks is the poller's. A call that would block says so by its value (None, or WOULD_BLOCK), an error is an
   OSError of the standard library's own subclass, EINTR is retried, SIGPIPE is never raised. */
#ifndef GRT_SYS_H
#define GRT_SYS_H

#include <Python.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

#define GRT_WOULD_BLOCK (-1)
#define GRT_FAILED (-2)

/* A read is made into this and copied out at its true length: cheaper than allocating for the largest read and
   shrinking. 64 KiB is what Linux hands over in one loopback segment train. */
#define GRT_SCRATCH 65536

#ifdef MSG_NOSIGNAL
#define GRT_SEND_FLAGS MSG_NOSIGNAL
#else
#define GRT_SEND_FLAGS 0 /* macOS: SO_NOSIGPIPE is set on the socket instead */
#endif

/* recv and send, asked of the kernel where that can be: libc's are cancellation points, which a process of several
   threads pays for twice in each call, and no thread here is ever cancelled. */
#if defined(__linux__) && defined(__LP64__) && defined(SYS_recvfrom) && defined(SYS_sendto)
static inline ssize_t grt_sys_recv(int fd, void *data, size_t size) {
    return syscall(SYS_recvfrom, fd, data, size, 0, NULL, NULL);
}

static inline ssize_t grt_sys_send(int fd, const void *data, size_t size) {
    return syscall(SYS_sendto, fd, data, size, GRT_SEND_FLAGS, NULL, 0);
}
#else
static inline ssize_t grt_sys_recv(int fd, void *data, size_t size) { return recv(fd, data, size, 0); }

static inline ssize_t grt_sys_send(int fd, const void *data, size_t size) {
    return send(fd, data, size, GRT_SEND_FLAGS);
}
#endif

static inline int grt_would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

static inline double grt_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Fresh descriptors: non-blocking, not inherited, deaf to SIGPIPE. Linux does it in the call that makes them. */
static inline int grt_prepare(int fd) {
#ifndef __linux__
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) return -1;
#endif
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}

static inline int grt_socket(int family, int type) {
#ifdef __linux__
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
    int fd = socket(family, type, 0);
#endif
    if (fd >= 0 && grt_prepare(fd) >= 0) return fd;
    PyErr_SetFromErrno(PyExc_OSError);
    return GRT_FAILED;
}

static PyObject *grt_recv(int fd, Py_ssize_t size) {
    static _Thread_local char scratch[GRT_SCRATCH];
    PyObject *large = NULL;
    char *buffer = scratch;
    if (size < 0) {
        PyErr_Format(PyExc_ValueError, "cannot read %zd bytes: the size must not be negative", size);
        return NULL;
    }
    if (size > GRT_SCRATCH) {
        large = PyBytes_FromStringAndSize(NULL, size);
        if (large == NULL) return NULL;
        buffer = PyBytes_AS_STRING(large);
    }
    ssize_t n;
    do n = grt_sys_recv(fd, buffer, (size_t)size);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        if (large == NULL) return PyBytes_FromStringAndSize(scratch, n);
        _PyBytes_Resize(&large, n);
        return large;
    }
    int error = errno;
    Py_XDECREF(large);
    if (grt_would_block(error)) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static Py_ssize_t grt_recv_into(int fd, PyObject *target) {
    Py_buffer view;
    if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0) return GRT_FAILED;
    ssize_t n;
    do n = grt_sys_recv(fd, view.buf, (size_t)view.len);
    while (n < 0 && errno == EINTR);
    int error = errno;
    PyBuffer_Release(&view);
    if (n >= 0) return n;
    if (grt_would_block(error)) return GRT_WOULD_BLOCK;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return GRT_FAILED;
}

static inline Py_ssize_t grt_send_bytes(int fd, const char *data, size_t size) {
    ssize_t n;
    do n = grt_sys_send(fd, data, size);
    while (n < 0 && errno == EINTR);
    if (n >= 0) return n;
    if (grt_would_block(errno)) return GRT_WOULD_BLOCK;
    PyErr_SetFromErrno(PyExc_OSError);
    return GRT_FAILED;
}

/* Sends data from offset on, as much as the kernel takes now. */
static Py_ssize_t grt_send(int fd, PyObject *data, Py_ssize_t offset) {
    if (PyBytes_CheckExact(data))
        return grt_send_bytes(fd, PyBytes_AS_STRING(data) + offset, (size_t)(PyBytes_GET_SIZE(data) - offset));
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return GRT_FAILED;
    Py_ssize_t n = grt_send_bytes(fd, (const char *)view.buf + offset, (size_t)(view.len - offset));
    PyBuffer_Release(&view);
    return n;
}

/* The interface's number in "fe80::1%eth0" or "fe80::1%2". */
static int grt_scope(const char *name, uint32_t *index) {
    char *end = NULL;
    *index = *name == '-' ? 0 : (uint32_t)strtoul(name, &end, 10);
    if (end != NULL && *end == 0) return 0;
    *index = if_nametoindex(name);
    if (*index) return 0;
    errno = ENODEV;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* The exception that has been raised, as an object: for callers that go without a handler, whose C frame each parked
   goroutine would keep. */
static PyObject *grt_caught(void) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL) PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return error;
}

/* bytes.find, without objects for the numbers. */
static inline Py_ssize_t grt_find(PyObject *data, PyObject *mark, Py_ssize_t start) {
    const char *bytes = PyBytes_AS_STRING(data), *wanted = PyBytes_AS_STRING(mark);
    Py_ssize_t size = PyBytes_GET_SIZE(data) - start, length = PyBytes_GET_SIZE(mark);
    const char *found = length == 1 ? memchr(bytes + start, *wanted, size) : memmem(bytes + start, size, wanted, length);
    return found != NULL ? found - bytes : -1;
}

/* data[start:end], without objects for the numbers. */
static inline PyObject *grt_part(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, (end < size ? end : size) - start);
}

/* As grt_recv, but an exception is returned. */
static inline PyObject *grt_recv_or_error(int fd, Py_ssize_t size) {
    PyObject *data = grt_recv(fd, size);
    return data != NULL ? data : grt_caught();
}

/* (host, port), checked: a string and a number in their ranges. */
static const char *grt_host_and_port(PyObject *address, uint16_t *port) {
    if (!PyTuple_Check(address) || PyTuple_GET_SIZE(address) != 2 || !PyUnicode_Check(PyTuple_GET_ITEM(address, 0)) ||
        !PyLong_Check(PyTuple_GET_ITEM(address, 1))) {
        PyErr_Format(PyExc_TypeError, "an address is a tuple (host, port), not %R", address);
        return NULL;
    }
    int overflow;
    long number = PyLong_AsLongAndOverflow(PyTuple_GET_ITEM(address, 1), &overflow);
    if (overflow || number < 0 || number > 65535) {
        PyErr_Format(PyExc_ValueError, "port %S is not between 0 and 65535", PyTuple_GET_ITEM(address, 1));
        return NULL;
    }
    *port = htons((uint16_t)number);
    Py_ssize_t length;
    const char *host = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(address, 0), &length);
    if (host == NULL || strlen(host) == (size_t)length) return host;
    PyErr_SetString(PyExc_ValueError, "embedded null character");
    return NULL;
}

/* ("127.0.0.1", 80) or ("fe80::1%eth0", 80) -> the kernel's form. Names are the resolver's business, not ours. */
static int grt_pack_address(PyObject *address, struct sockaddr_storage *out, socklen_t *size) {
    uint16_t port;
    const char *host = grt_host_and_port(address, &port);
    if (host == NULL) return -1;
    memset(out, 0, sizeof *out);
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
        *size = sizeof *four;
        return 0;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    char name[INET6_ADDRSTRLEN + 1];
    const char *scope = strchr(host, '%');
    size_t length = scope ? (size_t)(scope - host) : strlen(host);
    if (length < sizeof name) {
        memcpy(name, host, length);
        name[length] = 0;
        if (inet_pton(AF_INET6, name, &six->sin6_addr) == 1) {
            six->sin6_family = AF_INET6;
            six->sin6_port = port;
            if (scope && grt_scope(scope + 1, &six->sin6_scope_id) < 0) return -1;
            *size = sizeof *six;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "%R is not a numeric IPv4 or IPv6 address", PyTuple_GET_ITEM(address, 0));
    return -1;
}

static PyObject *grt_unpack_address(struct sockaddr_storage *from) {
    char host[INET6_ADDRSTRLEN], scoped[INET6_ADDRSTRLEN + IF_NAMESIZE + 2], interface[IF_NAMESIZE];
    if (from->ss_family == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)from;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        return Py_BuildValue("(si)", host, (int)ntohs(four->sin_port));
    }
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)from;
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) { /* an IPv4 peer of a listener for both */
            inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof host);
            return Py_BuildValue("(si)", host, (int)ntohs(six->sin6_port));
        }
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        if (!six->sin6_scope_id) return Py_BuildValue("(si)", host, (int)ntohs(six->sin6_port));
        if (if_indextoname(six->sin6_scope_id, interface) == NULL) snprintf(interface, sizeof interface, "%u", six->sin6_scope_id);
        snprintf(scoped, sizeof scoped, "%s%%%s", host, interface);
        return Py_BuildValue("(si)", scoped, (int)ntohs(six->sin6_port));
    }
    return Py_BuildValue("(si)", "", 0);
}

/* (descriptor, peer's address), or None when no connection waits. One that was reset while it waited is skipped. */
static PyObject *grt_accept(int fd) {
    struct sockaddr_storage peer;
    int conn;
    do {
        socklen_t size = sizeof peer;
#ifdef __linux__
        conn = accept4(fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
        conn = accept(fd, (struct sockaddr *)&peer, &size);
        if (conn >= 0) conn = grt_prepare(conn);
#endif
    } while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (conn < 0) {
        if (grt_would_block(errno)) Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *address = grt_unpack_address(&peer);
    if (address != NULL) return Py_BuildValue("(iN)", conn, address);
    close(conn);
    return NULL;
}

static inline int grt_check(int result) {
    if (result >= 0) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return GRT_FAILED;
}

static int grt_bind(int fd, PyObject *address) {
    struct sockaddr_storage to;
    socklen_t size;
    if (grt_pack_address(address, &to, &size) < 0) return GRT_FAILED;
    return grt_check(bind(fd, (struct sockaddr *)&to, size));
}

/* 0 when connected at once, WOULD_BLOCK while the handshake goes on. Interrupted, it goes on as well. */
static int grt_connect(int fd, PyObject *address) {
    struct sockaddr_storage to;
    socklen_t size;
    if (grt_pack_address(address, &to, &size) < 0) return GRT_FAILED;
    if (connect(fd, (struct sockaddr *)&to, size) == 0) return 0;
    if (errno == EINPROGRESS || errno == EINTR) return GRT_WOULD_BLOCK;
    return grt_check(-1);
}

static int grt_listen(int fd, int backlog) { return grt_check(listen(fd, backlog)); }

static int grt_shutdown_write(int fd) { return grt_check(shutdown(fd, SHUT_WR)); }

/* EINTR is success here: Linux has given the number back, and closing it again could hit somebody else's. */
static int grt_close(int fd) {
    int result = close(fd);
    return grt_check(result < 0 && errno == EINTR ? 0 : result);
}

static int grt_set_option(int fd, int level, int option, int value) {
    return grt_check(setsockopt(fd, level, option, &value, sizeof value));
}

/* Makes the next close send RST and drop what is unsent. */
static int grt_linger_zero(int fd) {
    struct linger none = {1, 0};
    return grt_check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none));
}

/* The error a connection attempt ended with, 0 when it succeeded. */
static int grt_socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return grt_check(-1);
    return error;
}

static PyObject *grt_local_address(int fd) {
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    return grt_unpack_address(&at);
}

static PyObject *grt_remote_address(int fd) {
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getpeername(fd, (struct sockaddr *)&at, &size) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    return grt_unpack_address(&at);
}

/* The number of the connection's state as the platform counts it; sock.py's STATES name them. */
static int grt_tcp_state(int fd) {
#if defined(__linux__)
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return grt_check(-1);
    return info.tcpi_state;
#elif defined(TCP_CONNECTION_INFO)
    struct tcp_connection_info info;
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONNECTION_INFO, &info, &size) < 0) return grt_check(-1);
    return info.tcpi_state;
#else
    errno = ENOTSUP;
    return grt_check(-1);
#endif
}

/* (reader, writer): a write to one makes the other readable, which ends a poller's wait. One eventfd is both. */
static PyObject *grt_waker_open(void) {
#ifdef __linux__
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd >= 0) return Py_BuildValue("(ii)", fd, fd);
#else
    int pair[2];
    if (pipe(pair) == 0 && grt_prepare(pair[0]) >= 0 && grt_prepare(pair[1]) >= 0)
        return Py_BuildValue("(ii)", pair[0], pair[1]);
#endif
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* A full counter or pipe means that the wake-up is already on its way. Safe in any thread. */
static inline void grt_waker_notify(int writer) {
    uint64_t one = 1;
    ssize_t n;
    do n = write(writer, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

static inline void grt_waker_drain(int reader) {
    char sink[512];
    ssize_t n;
    do n = read(reader, sink, sizeof sink);
    while (n == (ssize_t)sizeof sink || (n < 0 && errno == EINTR));
}

#endif
