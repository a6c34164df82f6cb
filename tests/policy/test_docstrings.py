"""The examples in docstrings run."""

import doctest
import importlib

import pytest

from tests.policy.source import GRT, modules

pytestmark = pytest.mark.usefixtures("fork_server")

NAMES = [
    f"grt.{name}".replace("grt.grt", "grt")
    for name, path in modules(GRT)
    if path.suffix == ".py" and path.stem != "__main__"
]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of(name, capsys):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed, capsys.readouterr().out


def test_an_example_that_is_wrong_is_found(tmp_path, monkeypatch):
    (tmp_path / "sample.py").write_text('""">>> 1 + 1\n3\n"""')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError):
        assert not doctest.testmod(importlib.import_module("sample"), verbose=False).failed
