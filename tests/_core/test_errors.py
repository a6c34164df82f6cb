"""The exceptions that grt adds; and one that nobody takes is reported once, with where its goroutine was started."""

import gc
import traceback

import pytest

import grt


@pytest.fixture
def reports(monkeypatch):
    seen = []
    monkeypatch.setattr(grt, "excepthook", seen.append)
    return seen


def fail():
    raise ZeroDivisionError("on purpose")


def test_an_exception_nobody_takes_is_reported_once_and_the_program_goes_on(reports):
    started = test_an_exception_nobody_takes_is_reported_once_and_the_program_goes_on.__code__.co_firstlineno + 2
    identity = grt.go(fail).id
    grt.sleep(0.001)
    [uncaught] = reports
    assert isinstance(uncaught.error, ZeroDivisionError)
    assert (uncaught.name, uncaught.id, uncaught.started_at) == ("fail", identity, (__file__, started))
    assert traceback.extract_tb(uncaught.error.__traceback__)[-1].name == "fail"
    gc.collect()
    grt.sleep(0.001)
    assert len(reports) == 1


def test_a_report_does_not_wait_until_another_goroutine_runs(reports):
    blocked = []
    for _ in range(3):  # each parks by switching to one that fails
        blocked.append(grt.go(grt.sleep, 60))
        grt.go(fail)
    grt.sleep(0.001)
    assert len(reports) == 3
    for g in blocked:
        g.cancel()
        g.join()


def test_an_exception_that_result_took_is_not_reported(reports):
    g = grt.go(fail)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            g.result()
    del g
    gc.collect()
    assert reports == []


def test_join_alone_takes_no_exception(reports):
    g = grt.go(fail)
    g.join()
    assert reports == []  # it can still be taken
    del g
    gc.collect()
    assert len(reports) == 1


def test_a_cancelled_goroutine_is_not_reported(reports):
    g = grt.go(grt.sleep, 60)
    grt.gosched()
    g.cancel()
    g.join()
    del g
    gc.collect()
    assert reports == []


def test_cancellation_turned_into_another_exception_is_reported(reports):
    def clean_up_badly():
        try:
            grt.sleep(60)
        finally:
            fail()

    g = grt.go(clean_up_badly)
    grt.gosched()
    g.cancel()
    g.join()
    del g
    gc.collect()
    assert [type(uncaught.error) for uncaught in reports] == [ZeroDivisionError]


def test_an_excepthook_that_raises_is_reported_too(monkeypatch, capsys):
    def hook(uncaught):
        raise LookupError("the hook's own")

    monkeypatch.setattr(grt, "excepthook", hook)
    grt.go(fail)
    grt.sleep(0.001)
    said = capsys.readouterr().err
    assert "grt: grt.excepthook raised" in said and "the hook's own" in said and "on purpose" in said
    assert grt.go(max, 1, 2).result() == 2


def test_an_excepthook_that_blocks_is_told_so_and_the_program_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(grt, "excepthook", lambda uncaught: grt.sleep(0.01))
    for _ in range(3):
        grt.go(fail)
    grt.sleep(0.001)
    said = capsys.readouterr().err
    assert said.count("grt: grt.excepthook raised") == 3 and "cannot block here" in said
    assert grt.go(max, 1, 2).result() == 2


def test_the_default_hook_prints_name_place_and_traceback(capsys):
    g = grt.go(fail)
    identity = g.id
    del g
    grt.sleep(0.001)
    said = capsys.readouterr().err
    assert said.startswith(f"grt: goroutine {identity} (fail), started at {__file__}:")
    assert "was ended by an exception:\nTraceback" in said and said.endswith("ZeroDivisionError: on purpose\n")


def test_except_exception_does_not_swallow_a_cancellation():
    assert not issubclass(grt.Cancelled, Exception)


def test_closed_is_an_exception_like_any_other():
    assert issubclass(grt.Closed, Exception)


def test_their_names_are_those_that_users_write():
    assert (f"{grt.Closed.__module__}.{grt.Closed.__qualname__}", grt.Cancelled.__module__) == ("grt.Closed", "grt")
