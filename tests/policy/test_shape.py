"""Files and functions that can be read in one go, and a core that stays small."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.policy.layers import CORE_LINES, CORE_MODULES, FILE_LINES, FUNCTION_LINES, TESTED_BY
from tests.policy.source import GRT, ROOT, modules, parse

C_FUNCTION = re.compile(r"^(?P<head>\w[^\n;=]*\))\s*\{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def long_files(folders: list[Path]) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.rglob("*.*")):
            if path.suffix in (".py", ".pxd", ".h", ".c", ".go") and (lines := text_of(path).count("\n")) > FILE_LINES:
                yield f"{path.name} has {lines} lines"


def long_functions(folders: list[Path]) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.rglob("*.*")):
            for name, lines in functions(path):
                if lines > FUNCTION_LINES:
                    yield f"{path.name}: {name} has {lines} lines"


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines) of each function in a file of Python or C."""
    if path.suffix == ".py":
        for node in ast.walk(parse(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, (node.end_lineno or 0) - node.lineno + 1
    elif path.suffix in (".h", ".c"):
        for match in C_FUNCTION.finditer(text_of(path)):
            yield match["head"], match[0].count("\n") + 1


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def lines_of_code(path: Path) -> int:
    """Lines that hold code: not those that are blank, only comment or docstring, or what a .pxd says again."""
    code = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline):
        if token.type not in SILENT:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(parse(path)):
        twins = isinstance(node, ast.If) and node.col_offset == 0 and ast.unparse(node.test) == "not cython.compiled"
        words = isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
        if twins or words:
            first, last = node.lineno, node.end_lineno or 0  # type: ignore[attr-defined]
            code.difference_update(range(first, last + 1))
    return len(code)


OURS = [ROOT / name for name in ("src", "tests", "examples")] + [ROOT / "bench" / "peers"]


def test_no_file_is_too_long():
    assert list(long_files(OURS)) == []


def test_no_function_is_too_long():
    assert list(long_functions(OURS)) == []


def test_the_core_stays_small():
    twins = [twin.removeprefix("_core.") for twin in TESTED_BY if twin.startswith("_core.py")]  # in place of C
    core = [path for name, path in modules(GRT / "_core") if path.suffix == ".py" and name not in ("grt", *twins)]
    assert len(core) <= CORE_MODULES, [path.name for path in core]
    assert sum(map(lines_of_code, core)) <= CORE_LINES


def test_a_file_that_is_too_long_is_found(tmp_path):
    (tmp_path / "long.py").write_text("x = 1\n" * (FILE_LINES + 1))
    assert list(long_files([tmp_path])) == [f"long.py has {FILE_LINES + 1} lines"]


def test_a_function_that_is_too_long_is_found(tmp_path):
    (tmp_path / "long.py").write_text("class C:\n    def f(self):\n" + "        pass\n" * FUNCTION_LINES)
    (tmp_path / "long.h").write_text("static int g(int x) {\n" + "    x++;\n" * FUNCTION_LINES + "}\n")
    assert len(list(long_functions([tmp_path]))) == 2


def test_code_is_counted_without_comments_docstrings_and_blank_lines(tmp_path):
    (tmp_path / "sample.py").write_text(
        '"""Doc\nstring."""\n\n# why\ndef f():\n    """Doc."""\n    return (1,\n        2)\n'
    )
    assert lines_of_code(tmp_path / "sample.py") == 3
