"""What conftest.py and pyproject.toml hold every test to, tried on bad tests."""

import os
import shutil
import subprocess

import pytest

import grt
from tests.child import PYTEST
from tests.policy.source import ROOT

OTHER_BUILD = "pure" if grt.__compiled__ else "compiled"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os.pipe()", "descriptors were left open"),
        ("import socket; socket.socket()", "ResourceWarning"),
        ("import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()", "ZeroDivisionError"),
        ("import time; time.sleep(60)", "test_bad did not end within 2.0 s. Every thread's stack:"),
        ("import grt; grt.go(lambda: grt.sleep(60)); grt.sleep(60)", "in <lambda>"),
    ],
)
def test_a_bad_test_fails(tmp_path, body, said):
    assert said in failing_run(tmp_path, body)


def test_a_run_on_another_build_than_expected_fails(tmp_path):
    assert f"on the {OTHER_BUILD} build" in failing_run(tmp_path, "pass", GRT_EXPECT_BUILD=OTHER_BUILD)


def failing_run(folder, body, **environment):
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_bad.py").write_text(f"def test_bad():\n    {body}\n")
    command = [*PYTEST, "-c", ROOT / "pyproject.toml", "--timeout=2", folder]
    ran = subprocess.run(command, env={**os.environ, **environment}, text=True, capture_output=True)
    assert ran.returncode != 0
    return ran.stdout + ran.stderr
