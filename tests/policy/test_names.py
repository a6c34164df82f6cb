"""What a reader can rely on in every module: `__all__`, `__slots__` in the core, the field's words, a test file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policy.layers import BUT_FOR, NO_IDENTIFIERS, NO_MODULES, TESTED_BY
from tests.policy.source import GRT, ROOT, modules, parse

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# Bases that make slots, or need none.
WITHOUT_SLOTS = {"Exception", "BaseException", "RuntimeError", "ValueError", "Protocol", "NamedTuple"}
PACKAGE_BODY = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)  # what an __init__.py may hold


def python_modules(package: Path) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path in modules(package) if path.suffix == ".py")


def assigned(body: list[ast.stmt]) -> set[str]:
    return {ast.unparse(target) for node in body if isinstance(node, ast.Assign) for target in node.targets}


def without_all(package: Path) -> Iterator[str]:
    for name, path in python_modules(package):
        if "__all__" not in assigned(parse(path).body) and path.read_text() and not path.stem.startswith("__main"):
            yield f"{name} has no __all__"


def without_slots(package: Path) -> Iterator[str]:
    for name, path in python_modules(package):
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.ClassDef) or "__slots__" in assigned(node.body):
                continue
            if not WITHOUT_SLOTS & {ast.unparse(base) for base in node.bases}:
                yield f"{name}.{node.name} has no __slots__"


def forbidden_words(package: Path) -> Iterator[str]:
    for name, path in python_modules(package):
        if path.stem in NO_MODULES:
            yield f"{name}: a module is named by the concept it holds"
        for node in ast.walk(parse(path)):
            for identifier in identifiers(node):
                if (NO_IDENTIFIERS - BUT_FOR.get(name, set())) & {word.lower() for word in WORD.findall(identifier)}:
                    yield f"{name}:{getattr(node, 'lineno', 0)}: {identifier}"


def identifiers(node: ast.AST) -> Iterator[str]:
    for field in ("id", "attr", "name", "arg", "asname"):
        if isinstance(found := getattr(node, field, None), str):
            yield found


def busy_packages(package: Path) -> Iterator[str]:
    """Packages whose __init__.py does more than re-export."""
    for name, path in python_modules(package):
        if path.stem == "__init__" and any(not isinstance(node, PACKAGE_BODY) for node in parse(path).body):
            yield f"{name} does more than re-export"


def untested(package: Path, tests: Path) -> Iterator[str]:
    """Modules without the test file that mirrors them, or that of the module they are tested through."""
    for name, path in python_modules(package):
        *folders, stem = TESTED_BY.get(name, name).split(".")
        expected = tests.joinpath(*folders, f"test_{stem.strip('_')}.py")
        if path.stem != "__init__" and not expected.exists():
            yield f"{name} has no {expected.relative_to(tests.parent)}"


def test_every_module_says_what_it_exports():
    assert list(without_all(GRT)) == []


def test_every_class_of_the_core_has_slots():
    assert list(without_slots(GRT / "_core")) == []


def test_one_word_per_idea():
    assert list(forbidden_words(GRT)) == []


def test_packages_only_re_export():
    assert list(busy_packages(GRT)) == []


def test_every_module_has_its_test_file():
    assert list(untested(GRT, ROOT / "tests")) == []


@pytest.mark.parametrize(
    ("check", "name", "text", "found"),
    [
        (without_all, "sample", "x = 1", ["sample has no __all__"]),
        (without_slots, "sample", "class Side:\n    pass", ["sample.Side has no __slots__"]),
        (without_slots, "sample", "class Closed(Exception):\n    pass", []),
        (forbidden_words, "sample", "def run_task(): pass", ["sample:1: run_task"]),
        (forbidden_words, "sample", "class EventHub: pass", ["sample:1: EventHub"]),
        (forbidden_words, "sample", "the_github = 1  # kernel", []),
        (forbidden_words, "utils", "", ["utils: a module is named by the concept it holds"]),
        (busy_packages, "__init__", "print('hello')\nif True:\n    pass", ["grt does more than re-export"]),
    ],
)
def test_a_bad_sample_is_found(tmp_path, check, name, text, found):
    (tmp_path / f"{name}.py").write_text(text)
    assert list(check(tmp_path)) == found


def test_a_module_without_its_test_file_is_found(tmp_path):
    package, tests = tmp_path / "grt", tmp_path / "tests"
    (package / "net").mkdir(parents=True)
    (package / "net" / "tcp.py").touch()
    assert list(untested(package, tests)) == ["net.tcp has no tests/net/test_tcp.py"]
    (tests / "net").mkdir(parents=True)
    (tests / "net" / "test_tcp.py").touch()
    assert list(untested(package, tests)) == []
