"""The pytest plugin, in a pytest of its own."""

import re
import subprocess
import textwrap

import pytest

from tests.child import PYTEST


@pytest.fixture
def run(tmp_path):
    """Runs pytest over a file of tests, with an ini file; returns its exit status and what it printed."""

    def run(tests, ini=""):
        (tmp_path / "test_it.py").write_text("import grt, pytest, time\n" + textwrap.dedent(tests))
        (tmp_path / "pytest.ini").write_text("[pytest]\n" + textwrap.dedent(ini))
        command = [*PYTEST, "-q", "--strict-markers", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    return run


def outcome(output):
    """Such as {"passed": 1, "failed": 2}."""
    *_, last = output.strip().splitlines()
    return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last) if word != "in"}


def test_a_marked_test_runs_as_a_goroutine_and_others_as_ever(run):
    status, output = run("""
        @pytest.mark.grt
        def test_marked(tmp_path):
            assert tmp_path.exists()
            assert grt.current().started_at is not None and "test_marked" in grt.current().name

        def test_plain():
            assert grt.current().started_at is None
        """)
    assert (status, outcome(output)) == (0, {"passed": 2}), output


def test_auto_runs_every_test_as_a_goroutine(run):
    status, output = run(
        """
        def test_plain():
            assert grt.current().started_at is not None

        class TestClass:
            @pytest.mark.parametrize("n", [1, 2])
            def test_method(self, n):
                assert grt.current().started_at is not None and n
        """,
        ini="grt_mode = auto",
    )
    assert (status, outcome(output)) == (0, {"passed": 3}), output


def test_failures_skips_and_expected_failures_are_what_they_are(run):
    status, output = run("""
        pytestmark = pytest.mark.grt

        def test_fails():
            assert [1] == [2]

        def test_is_skipped():
            pytest.skip("why not")

        @pytest.mark.xfail
        def test_fails_as_expected():
            raise KeyError

        def test_times_out_by_itself():
            grt.chan().recv(timeout=0.001)
        """)
    assert (status, outcome(output)) == (1, {"failed": 2, "skipped": 1, "xfailed": 1}), output
    assert "assert [1] == [2]" in output and "nobody sent to" in output


def test_a_test_that_does_not_end_fails_with_the_stacks(run):
    status, output = run("""
        def starve():
            grt.chan().recv()

        @pytest.mark.grt(timeout=0.2)
        def test_hangs():
            g = grt.go(starve)
            g.join()

        @pytest.mark.grt
        def test_after_it():
            pass
        """)
    assert (status, outcome(output)) == (1, {"failed": 1, "passed": 1}), output
    assert "did not end within 0.2 s" in output and "in starve" in output and "in test_hangs" in output


def test_the_configuration_sets_the_default_timeout(run):
    _, output = run(
        """
        def test_hangs():
            grt.sleep(60)
        """,
        ini="grt_mode = auto\ngrt_timeout = 0.1",
    )
    assert outcome(output) == {"failed": 1} and "did not end within 0.1 s" in output


def test_a_test_that_leaves_goroutines_behind_fails_with_their_stacks(run):
    _, output = run("""
        def starve():
            grt.chan().recv()

        @pytest.mark.grt
        def test_leaves():
            grt.go(starve)

        @pytest.mark.grt
        def test_ends_them_just_in_time():
            c = grt.chan()
            grt.go(c.recv_ok)
            grt.gosched()
            c.close()

        @pytest.mark.grt
        def test_after_it():
            assert len(grt.debug.stacks()) == 2  # its own, and the thread's
        """)
    assert outcome(output) == {"failed": 1, "passed": 2}, output
    assert "left 1 goroutines behind" in output and "in starve" in output and "test_it.py" in output


def test_a_bubble_makes_time_virtual(run):
    _, output = run("""
        @pytest.mark.grt(bubble=True)
        def test_an_hour():
            grt.sleep(3600)
            assert time.monotonic() == 3600

        @pytest.mark.grt(bubble=True)
        def test_starves():
            grt.chan().recv()
        """)
    assert outcome(output) == {"passed": 1, "failed": 1}, output
    assert "grt.Deadlock" in output


def test_wrong_marks_and_settings_are_told_so(run):
    _, output = run("""
        @pytest.mark.grt(seconds=5)
        def test_it():
            pass
        """)
    assert "takes timeout= and bubble=, not ('seconds',)" in output
    status, output = run("def test_it(): pass", ini="grt_mode = sometimes")
    assert status == 4 and "grt_mode is auto or strict, not 'sometimes'" in output
    status, output = run("def test_it(): pass", ini="grt_timeout = soon")
    assert status == 4 and "grt_timeout is a number of seconds, not 'soon'" in output
