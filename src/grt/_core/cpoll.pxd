# The poller's back-ends, for the compiled build: csys/poller.h, with pypoll.py as its twin of the same names.

from libc.stdint cimport uint32_t

cdef extern from "poller.h":
    enum:
        READ "GRT_READ"
        WRITE "GRT_WRITE"
        EDGE "GRT_EDGE"
        HANGUP "GRT_HANGUP"
        ERROR "GRT_ERROR"

    ctypedef struct poller_state "grt_poller":
        pass

    tuple poller_backends "grt_poller_backends"()
    object poller_open "grt_poller_open"(object name)
    poller_state *poller_handle "grt_poller_handle"(object owner) except NULL
    int poller_close "grt_poller_close"(poller_state *handle) except -1
    int poller_fileno "grt_poller_fileno"(poller_state *handle) except -2
    int poller_needs_rearm "grt_poller_needs_rearm"(poller_state *handle) except -1
    int poller_add "grt_poller_add"(poller_state *handle, int fd, int mask, uint32_t generation) except -1
    int poller_modify "grt_poller_modify"(poller_state *handle, int fd, int mask, uint32_t generation) except -1
    int poller_remove "grt_poller_remove"(poller_state *handle, int fd) except -1
    int poller_rearm "grt_poller_rearm"(poller_state *handle, int fd, int mask) except -1
    int poller_wait "grt_poller_wait"(poller_state *handle, double timeout) except -1
    int poller_fd "grt_poller_fd"(poller_state *handle, int index) noexcept
    int poller_flags "grt_poller_flags"(poller_state *handle, int index) noexcept
    uint32_t poller_generation "grt_poller_generation"(poller_state *handle, int index) noexcept
