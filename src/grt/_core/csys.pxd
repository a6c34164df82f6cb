# The system calls and the lock, for the compiled build: csys/sys.h and csys/lock.h, with pysys.py as the twin.

cdef extern from "sys.h" nogil:
    enum:
        WOULD_BLOCK "GRT_WOULD_BLOCK"
        FAILED "GRT_FAILED"

    const double NEVER "Py_HUGE_VAL"
    double now "grt_now"()
    void waker_notify "grt_waker_notify"(int writer)
    void waker_drain "grt_waker_drain"(int reader)

cdef extern from "sys.h":
    int socket_open "grt_socket"(int family, int type) except -2
    object recv "grt_recv"(int fd, Py_ssize_t size)
    Py_ssize_t recv_into "grt_recv_into"(int fd, object target) except -2
    Py_ssize_t send "grt_send"(int fd, object data, Py_ssize_t offset) except -2
    object recv_or_error "grt_recv_or_error"(int fd, Py_ssize_t size)
    Py_ssize_t send_or_failed "grt_send"(int fd, object data, Py_ssize_t offset) noexcept
    object caught "grt_caught"()
    Py_ssize_t find "grt_find"(object data, object mark, Py_ssize_t start) noexcept
    bytes part "grt_part"(bytes data, Py_ssize_t start, Py_ssize_t end)
    object accept "grt_accept"(int fd)
    int bind "grt_bind"(int fd, object address) except -2
    int connect "grt_connect"(int fd, object address) except -2
    int listen "grt_listen"(int fd, int backlog) except -2
    int shutdown_write "grt_shutdown_write"(int fd) except -2
    int close "grt_close"(int fd) except -2
    int set_option "grt_set_option"(int fd, int level, int option, int value) except -2
    int linger_zero "grt_linger_zero"(int fd) except -2
    int socket_error "grt_socket_error"(int fd) except -2
    object local_address "grt_local_address"(int fd)
    object remote_address "grt_remote_address"(int fd)
    int tcp_state "grt_tcp_state"(int fd) except -2
    object waker_open "grt_waker_open"()

cdef extern from "Python.h":
    int check_signals "PyErr_CheckSignals"() except -1

cdef extern from "method.h":
    object method_self "grt_method_self"(object method)
    bint method_is "grt_method_is"(object method, const char *name)

cdef extern from "lock.h":
    enum:
        LOCKS "GRT_LOCKS"

    ctypedef struct mutex "grt_mutex":
        pass
    mutex mutex_new "grt_mutex_new"()
    mutex remutex_new "grt_mutex_new"()  # C is not interrupted by a signal's handler
    # Declared by value, but macros: they take the lock by name.
    void mutex_lock "grt_mutex_lock"(mutex lock)
    void mutex_unlock "grt_mutex_unlock"(mutex lock)
    void remutex_lock "grt_mutex_lock"(mutex lock)
    void remutex_unlock "grt_mutex_unlock"(mutex lock)

    ctypedef struct guard "grt_guard":
        pass
    guard guard_new "grt_guard_new"()
    void guard_lock "grt_guard_lock"(guard lock)
    void guard_unlock "grt_guard_unlock"(guard lock)
