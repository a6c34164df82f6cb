"""Where Python has no GIL, grt leaves it off."""

import subprocess
import sys
import sysconfig

import pytest

free_threaded = pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")


def gil_after(statement, **environment):
    """What is said of the GIL after statement, in a process without this one's environment, which could decide it."""
    program = f"import sys; {statement}; print(sys._is_gil_enabled())"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, text=True, capture_output=True
    )
    return ran.stdout.strip() or ran.stderr


@free_threaded
def test_importing_grt_leaves_the_gil_off():
    assert gil_after("import grt, grt.loop, grt.poll, grt.sock") == "False"


@free_threaded
def test_a_gil_that_is_on_is_found():
    assert gil_after("pass", PYTHON_GIL="1") == "True"
