"""The exceptions that grt adds."""

import grt


def test_except_exception_does_not_swallow_a_cancellation():
    assert not issubclass(grt.Cancelled, Exception)


def test_closed_is_an_exception_like_any_other():
    assert issubclass(grt.Closed, Exception)


def test_their_names_are_those_that_users_write():
    assert (f"{grt.Closed.__module__}.{grt.Closed.__qualname__}", grt.Cancelled.__module__) == ("grt.Closed", "grt")
