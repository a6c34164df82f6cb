"""The programs of docs/debugging.md print, each in a process of its own, what is shown under them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.child import PATIENCE

TEXT = (Path(__file__).parents[2] / "docs/debugging.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIFFERS = re.compile(r"0x[0-9a-f]+|\d+\.\d+ s\b")


def alike(text):
    """text without what differs from one run to the next."""
    return DIFFERS.sub("...", text)


@pytest.mark.parametrize(("program", "shown"), [match.groups() for match in SHOWN.finditer(TEXT)])
def test_a_program_prints_what_is_shown_under_it(program, shown, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(program, encoding="utf-8")
    limit = "0.1" if "has kept" in shown else "0"  # a busy machine is no stall of the others
    done = subprocess.run(
        [sys.executable, file],
        env={**os.environ, "GRT_STALL": limit},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    assert alike(shown.strip()) in alike(done.stdout.replace(str(file), "program.py"))


def test_every_program_shows_what_it_prints():
    assert len(SHOWN.findall(TEXT)) == TEXT.count("```python") == TEXT.count("```text")
