"""Imports go down, as layers.py has it: in functions, under TYPE_CHECKING and in .pxd files too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policy.layers import DOORS, MAY_IMPORT
from tests.policy.source import GRT, imported, modules, parse


def upward(table: dict[str, str]) -> Iterator[str]:
    """Entries that name a module at or below their own line; without any, no circle is possible."""
    above = set[str]()
    for name, allowed in table.items():
        for missing in sorted(set(allowed.split()) - above):
            yield f"{name} may not name {missing}, which does not stand above it"
        above.add(name)


def breaches(package: Path, table: dict[str, str]) -> Iterator[str]:
    """Imports of the package's own modules that the table does not allow, and ways around it."""
    known = {name for name, _ in modules(package)}
    for name, path in modules(package):
        if name not in table:
            yield f"{name} has no line in layers.py"
            continue
        for line, target in imported(path):
            if fault := fault_of(target, {name, *table[name].split()}, known):
                yield f"{path.name}:{line}: {name} imports {target}: {fault}"
        if path.suffix == ".py":
            yield from (f"{path.name}:{line}: {name} imports by a call" for line in calls_of_import(path))


def fault_of(target: str, allowed: set[str], known: set[str]) -> str:
    if target.endswith(".*"):
        return "a wildcard"
    if target.startswith("."):
        return "write it in full"
    if target.split(".")[0] != "grt" or (found := module_of(target, known)) in allowed:
        return ""
    return f"{found} is not in its line of layers.py"


def module_of(target: str, known: set[str]) -> str:
    """The module that an imported name belongs to, or is."""
    name = target.removeprefix("grt").removeprefix(".")
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or "grt"


def calls_of_import(path: Path) -> Iterator[int]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("__import__", "import_module"):
            yield node.lineno


def trespasses(package: Path, doors: dict[str, str]) -> Iterator[str]:
    """Uses of what only the modules named in doors may use."""
    for name, path in modules(package):
        used = list(imported(path))
        if path.suffix == ".py":
            used += [(n.lineno, ast.unparse(n)) for n in ast.walk(parse(path)) if isinstance(n, ast.Attribute)]
        for line, what in used:
            for door, owners in doors.items():
                if (what == door or what.startswith(f"{door}.")) and name not in owners.split():
                    yield f"{path.name}:{line}: {name} uses {what}; only {owners or 'nobody'} may"


def test_the_table_only_points_up_its_own_lines():
    assert list(upward(MAY_IMPORT)) == []


def test_modules_import_only_what_their_layer_allows():
    assert list(breaches(GRT, MAY_IMPORT)) == []


def test_doors_are_used_by_their_owners_only():
    assert list(trespasses(GRT, DOORS)) == []


@pytest.fixture
def package(tmp_path):
    """A package of the table low < high, with a file for each bad sample."""
    package = tmp_path / "grt"
    package.mkdir()
    (package / "low.py").write_text("")
    (package / "high.py").write_text("import grt.low\nfrom grt import low\n")
    return package


TABLE = {"low": "", "high": "low"}


def test_a_table_with_a_circle_is_refused():
    assert list(upward({"low": "high", "high": "low"})) == ["low may not name high, which does not stand above it"]


def test_imports_that_go_down_pass(package):
    assert list(breaches(package, TABLE)) == []


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".py", "import grt.high"),
        (".py", "from grt import high as other"),
        (".py", "from grt.high import name"),
        (".py", "from . import high"),
        (".py", "def f():\n    from grt.high import name"),
        (".py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from grt.high import name"),
        (".py", "from os import *"),
        (".py", "import importlib\nimportlib.import_module('grt.high')"),
        (".pxd", "from grt cimport high"),
        (".pxd", "cimport grt.high"),
        (".pxd", "from grt.high cimport (\n    one, two,\n)"),
    ],
)
def test_an_import_that_goes_up_is_found(package, suffix, text):
    (package / "low").with_suffix(suffix).write_text(text)
    assert len(set(breaches(package, TABLE))) >= 1


def test_a_module_that_the_table_does_not_know_is_found(package):
    (package / "new.py").write_text("")
    assert list(breaches(package, TABLE)) == ["new has no line in layers.py"]


@pytest.mark.parametrize(
    "text",
    [
        "import select",
        "from select import epoll",
        "import threading\nthreading.Thread()",
        "from threading import Thread",
    ],
)
def test_a_door_used_by_another_is_found(package, text):
    doors = {"select": "high", "threading.Thread": ""}
    (package / "low.py").write_text(text)
    (package / "high.py").write_text("import select")
    assert len(list(trespasses(package, doors))) == 1
