"""The project's source as the policies see it: its modules, and what each imports."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GRT = ROOT / "src" / "grt"

CIMPORT = re.compile(r"^\s*(?:from\s+(?P<base>[\w.]+)\s+)?c?import\s+(?P<names>\([^)]*\)|[^#\n]+)", re.MULTILINE)


def modules(package: Path) -> Iterator[tuple[str, Path]]:
    """Every .py and .pxd file under package with its name in it: "_core.sched"; the package's own is "grt"."""
    for path in sorted(package.rglob("*.p*")):
        if path.suffix in (".py", ".pxd"):
            parts = path.relative_to(package).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield name or "grt", path


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) for all that path imports, wherever it does: `from a import b` counts as "a.b"."""
    if path.suffix == ".pxd":
        text = path.read_text()
        for match in CIMPORT.finditer(text):
            line = text.count("\n", 0, match.start("names")) + 1
            base = f"{match['base']}." if match["base"] else ""
            for name in match["names"].strip("()").split(","):
                yield line, base + name.split(" as ")[0].strip()
        return
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
