"""select: waits on several channels at once; exactly one of the cases happens.

Invariants: with the locks of all its channels held, in one order for everybody, a select either does one case or
hangs a clause for each; so nobody sees half of it. It tries the cases in a random order, so that of several that are
ready each is as likely. The losers are taken back before it returns.
Threads: any.
Rejected: one channel after the other (a partner can then be claimed that this side has to give back).
"""

from typing import Any

from grt._core.chan import EMPTY, GONE, Chan, RecvChan, SendChan
from grt._core.goroutine import Clause, Goroutine, Waiters, enter, new_clause
from grt._core.timers import deadline_of

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt._core.chan import RECV, RECV_OK, SEND
    from grt._core.goroutine import AGAIN, CLOSED, NOTHING, PASSED
    from grt._core.pysys import LOCKS, NEVER, method_is, method_self, mutex_lock, mutex_unlock

__all__ = ["select"]


def select(*cases: Any, default: bool = False, timeout: float | None = None) -> "tuple[int, Any]":
    """Waits until one of cases can happen, does it, and returns (its position, the value received).

    A case is a channel's bound `recv` or `recv_ok`, or (its `send`, value); None in place of a case or of a send is
    never ready. Of several that are ready one is chosen at random. With default=True it does not wait: it returns
    (-1, None) when none is ready. Raises grt.Closed when the chosen channel is closed (`recv_ok` gives (None, False)
    instead), and TimeoutError after timeout seconds. Without any case it waits for ever.

    >>> import grt
    >>> a, b = grt.chan(1), grt.chan(1)
    >>> a.send("spam")
    >>> grt.select(a.recv, b.recv)
    (0, 'spam')
    >>> grt.select(a.recv, (b.send, "eggs"))
    (1, None)
    """
    g = enter()
    deadline = NEVER if timeout is None else deadline_of(timeout)
    clauses = clauses_of(g, cases)
    fetched = fetch_all(clauses) if default else None
    order = lock_order(clauses) if LOCKS else None
    while True:
        lock_all(order)
        done = first_that_can(clauses)
        if done is not None or default:
            unlock_all(order)
            if fetched is not None:
                let_go_all(fetched)
            g.proc.spend(g)
            return (-1, None) if done is None else outcome(done)
        hang_all(clauses)
        g.arm(clauses)
        unlock_all(order)
        won = g.settle(deadline)
        lock_all(order)
        done = unhang_all(clauses)
        unlock_all(order)
        if not won:
            g.judge(deadline)
            raise TimeoutError(f"none of {len(cases)} cases could happen within {timeout} s")
        if done.news != AGAIN:
            return outcome(done)
        g.check()
        pack_all(clauses)


def clauses_of(g: Goroutine, cases: "tuple[Any, ...]") -> "list[Clause]":
    """A clause for each case that is not None, in random order."""
    clauses: list[Clause] = []
    for index, case in enumerate(cases):
        clause = clause_of(g, case, index)
        if clause is not None:
            clauses.append(clause)
    left = len(clauses)
    while left > 1:
        at = g.proc.below(left)
        left -= 1
        clauses[at], clauses[left] = clauses[left], clauses[at]
    return clauses


def clause_of(g: Goroutine, case: Any, index: int) -> "Clause | None":
    bound, value, sends = case, None, False
    if type(case) is tuple and len(case) == 2:
        bound, value = case
        sends = True
    if bound is None:
        return None
    owner = method_self(bound)
    if type(owner) is RecvChan or type(owner) is SendChan:
        owner = owner.chan
    op = SEND if sends else RECV
    if type(owner) is Chan and not sends and method_is(bound, b"recv_ok"):
        op = RECV_OK
    elif type(owner) is not Chan or not method_is(bound, b"send" if sends else b"recv"):
        raise TypeError(
            f"case {index} of grt.select is {case!r}: a case is c.recv, c.recv_ok or (c.send, value), without a call"
        )
    clause = new_clause(g)
    clause.place = owner
    clause.op = op
    clause.index = index
    clause.value = owner.link.pack(value) if sends and owner.link is not None else value
    return clause


def pack_all(clauses: "list[Clause]") -> None:
    """What is to be sent, in the form in which it crosses, if it does by now."""
    for clause in clauses:
        c = clause.place
        if clause.op == SEND and c.link is not None:
            clause.value = c.link.pack(clause.value)


def fetch_all(clauses: "list[Clause]") -> "list[Any] | None":
    """Has those channels come here, and stay, that may be elsewhere; returns their links, None for none."""
    links = {id(clause.place): clause.place.link for clause in clauses if clause.place.link is not None}
    if not links:
        return None
    fetched: list[Any] = []
    try:
        for link in sorted(links.values()):  # in one order for everybody: two that fetch do not wait for each other
            link.fetch()
            fetched.append(link)
    except BaseException:
        let_go_all(fetched)
        raise
    return fetched


def let_go_all(fetched: "list[Any]") -> None:
    for link in fetched:
        link.let_go()


def first_that_can(clauses: "list[Clause]") -> "Clause | None":
    """Does the first of clauses that can happen now, with the locks held; None if none can."""
    for clause in clauses:
        c = clause.place
        if clause.op == SEND:
            if c.closed:
                clause.news = CLOSED
                return clause
            if c.put_locked(clause.value):
                clause.news = PASSED
                return clause
        else:
            value = c.take_locked()
            if value is GONE:
                clause.news = CLOSED
                return clause
            if value is not EMPTY:
                clause.value = value
                clause.news = PASSED
                return clause
    return None


def hang_all(clauses: "list[Clause]") -> None:
    for clause in clauses:
        c = clause.place
        c.hang_locked(waiters_of(clause), clause)


def unhang_all(clauses: "list[Clause]") -> "Clause | None":
    """Takes back those that are still hung; returns the one that has won."""
    done = None
    for clause in clauses:
        waiters_of(clause).unhang(clause)
        c = clause.place
        c.move_locked()
        if clause.news != NOTHING:
            done = clause
    return done


def outcome(done: Clause) -> "tuple[int, Any]":
    """What select returns, or raises, when done has happened."""
    c = done.place
    if done.op == SEND:
        if done.news == CLOSED:
            raise c.send_error()
        return done.index, None
    if done.news == CLOSED:
        if done.op == RECV_OK:
            return done.index, (None, False)
        raise c.recv_error()
    value = done.value if c.link is None else c.link.open(done.value)
    return done.index, ((value, True) if done.op == RECV_OK else value)


def waiters_of(clause: Clause) -> Waiters:
    c: Any = clause.place
    waiters: Waiters = c.senders if clause.op == SEND else c.receivers
    return waiters


def lock_order(clauses: "list[Clause]") -> "list[Chan[Any]]":
    """The channels of clauses, each once, in an order that is the same for every select."""
    channels = {id(clause.place): clause.place for clause in clauses}
    return [channels[key] for key in sorted(channels)]


def lock_all(order: "list[Chan[Any]] | None") -> None:
    if order is not None:
        for c in order:
            mutex_lock(c.mutex)


def unlock_all(order: "list[Chan[Any]] | None") -> None:
    if order is not None:
        for c in order:
            mutex_unlock(c.mutex)
