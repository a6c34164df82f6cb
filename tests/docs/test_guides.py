"""The Python programs of the guides are run, and print what is said below them."""

import io
import re
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import grt

ROOT = Path(__file__).parents[2]
GUIDES = [
    f"docs/{name}.md" for name in ("for-go-programmers", "for-gevent-programmers", "testing", "network", "parallelism")
]
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE = 30


def programs(document):
    """The programs in document, each with the number of its first line."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for match in PROGRAM.finditer(text):
        yield text.count("\n", 0, match.start(1)) + 1, match[1]


def promised(source):
    """What source says that it prints."""
    _, _, output = source.partition("# Output:\n")
    return "".join(f"{line.removeprefix('#').removeprefix(' ')}\n" for line in output.splitlines())


def printed(source, where):
    """What source prints when it is run. Goroutines that it leaves behind are cancelled."""
    if "__main__" in source:  # a file, which VMs import again
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(source)
            file.flush()
            command = [sys.executable, file.name]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return ended.stdout + ended.stderr
    seen = io.StringIO()
    names = {"__name__": "__main__", "grt": grt}
    with redirect_stdout(seen), redirect_stderr(seen), grt.timeout(PATIENCE):
        grt.run(exec, compile(source, where, "exec"), names, procs=1)  # the guides' order is that of one thread
    return seen.getvalue()


@pytest.mark.parametrize(
    ("where", "source"),
    [
        pytest.param(f"{document}:{line}", source, id=f"{Path(document).stem}:{line}")
        for document in GUIDES
        for line, source in programs(document)
    ],
)
def test_a_program_prints_what_the_guide_says(where, source):
    assert printed(source, where) == promised(source)


def test_a_program_that_prints_something_else_is_found():
    source = "grt.go(print, 'hello').join()\n# Output:\n# goodbye\n"
    assert (printed(source, "here"), promised(source)) == ("hello\n", "goodbye\n")
