"""The tutorial's transcripts are what really comes out, statement by statement, at the REPL's prompt."""

import builtins
import code
import doctest
import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import grt
from grt.repl import at_hand

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS
TURNS = 10  # of the event loop while the prompt waits: more than any news in the tutorial needs to get around

linux = pytest.mark.skipif(sys.platform != "linux", reason="the transcripts are Linux's: its errors and TCP states")


def examples(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        first_line = text.count("\n", 0, match.start(2)) + 1
        if match[1] == "pycon":
            for example in doctest.DocTestParser().get_examples(match[2]):
                example.lineno += first_line
                yield example


def shown(console, source):
    """What appears on the terminal: while the statement runs, and while the next prompt waits."""
    seen = io.StringIO()
    with redirect_stdout(seen), redirect_stderr(seen):
        for line in [*source.splitlines(), ""] if source.count("\n") > 1 else [source.rstrip()]:
            console.push(line)
        for _ in range(TURNS):
            grt.sleep(0.001)
    return seen.getvalue()


def differences(document):
    checker = doctest.OutputChecker()
    console = code.InteractiveConsole(at_hand())
    for example in examples(document):
        got = shown(console, example.source)
        want = example.want
        if not checker.check_output(want, got, OPTIONS):
            yield f"{document}:{example.lineno}: {example.source}{checker.output_difference(example, got, OPTIONS)}"


@pytest.fixture
def _prompt(monkeypatch):
    """The prompt's own trace in the interpreter, taken away afterwards."""
    monkeypatch.setattr(builtins, "_", None, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")


@linux
@pytest.mark.usefixtures("_prompt")
def test_the_tutorial_tells_what_really_comes_out():
    assert not (found := "\n".join(differences("docs/tutorial.md"))), found


@pytest.mark.usefixtures("_prompt")
def test_a_transcript_that_is_wrong_is_found(tmp_path):
    wrong = tmp_path / "wrong.md"
    wrong.write_text("```pycon\n>>> 1 + 1\n3\n>>> go(print, 'hello').join()\nhello\n```\n")
    assert len(list(differences(wrong))) == 1


@linux
def test_the_programs_of_the_tutorial_are_the_examples():
    programs = [match[2] for match in BLOCK.finditer((ROOT / "docs/tutorial.md").read_text()) if match[1] == "python"]
    sources = [path.read_text() for path in (ROOT / "examples").glob("demo*.py")]
    assert all(any(program in source for source in sources) for program in programs)
