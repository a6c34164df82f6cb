cimport cython

from grt._core.chan cimport RECV, RECV_OK, SEND, Chan, RecvChan, SendChan
from grt._core.csys cimport LOCKS, NEVER, method_is, method_self, mutex_lock, mutex_unlock
from grt._core.goroutine cimport AGAIN, CLOSED, NOTHING, PASSED, Clause, Goroutine, Waiters, enter, new_clause
from grt._core.timers cimport deadline_of


@cython.locals(clauses=list, index=int, clause=Clause, left=cython.uint, at=cython.uint)
cdef list clauses_of(Goroutine g, tuple cases)

@cython.locals(op=int, sends=bint, clause=Clause)
cdef Clause clause_of(Goroutine g, object case, int index)

@cython.locals(clause=Clause, c=Chan)
cdef Clause first_that_can(list clauses)

@cython.locals(clause=Clause, c=Chan)
cdef list fetch_all(list clauses)

@cython.locals(clause=Clause, c=Chan)
cdef object pack_all(list clauses)

cdef object let_go_all(list fetched)

@cython.locals(clause=Clause, c=Chan)
cdef object hang_all(list clauses)

@cython.locals(clause=Clause, done=Clause, c=Chan)
cdef Clause unhang_all(list clauses)

@cython.locals(c=Chan)
cdef tuple outcome(Clause done)

@cython.locals(c=Chan)
cdef Waiters waiters_of(Clause clause)

@cython.locals(clause=Clause)
cdef list lock_order(list clauses)

@cython.locals(c=Chan)
cdef object lock_all(list order)

@cython.locals(c=Chan)
cdef object unlock_all(list order)
