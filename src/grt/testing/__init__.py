"""For the tests of programs: a clock that does not make them wait. (The pytest plugin is in `grt.testing.plugin`.)"""

from grt.testing.bubble import bubble

__all__ = ["bubble"]
