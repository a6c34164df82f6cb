"""The project stands without the machine it was made on."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policy.source import ROOT

# Folders of a machine or an account, and registry hosts. The brackets keep this file from finding itself.
NOT_OURS = re.compile(
    r"(?:^|[^\w.~])/(?:work|root|farm|home/\w+|var/tmp|opt)/|pypi[.]org|python[h]osted|deb[.]debian|registry[.]npmjs|proxy[.]golang"
)


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def places(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if found := NOT_OURS.search(line):
                yield f"{path.name}:{number}: {found[0]}"


def test_no_file_names_a_machine_or_a_registry():
    assert list(places(tracked())) == []


@pytest.mark.parametrize("line", ["cd /ro" + "ot/x", "PATH=/wo" + "rk/main", "https://pypi" + ".org/simple"])
def test_a_file_that_does_is_found(tmp_path, line):
    (tmp_path / "sample").write_text(line)
    assert len(list(places([tmp_path / "sample"]))) == 1
