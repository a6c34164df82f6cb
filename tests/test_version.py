"""Which grt this is."""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version

import grt
from grt._core import sched


def test_the_version_is_the_installed_one():
    assert grt.__version__ == version("grt")


def test_compiled_tells_whether_the_core_is_an_extension():
    assert grt.__compiled__ == sched.__file__.endswith(tuple(EXTENSION_SUFFIXES))
