"""Which grt this is, and which build of it is running."""

from grt._core import timers

__all__ = ["__compiled__", "__version__"]

__version__ = "0.1.0"  # pyproject.toml takes it from here: asking the metadata would cost each start 25 ms
__compiled__ = not timers.__file__.endswith(".py")  # False: the core runs as plain Python
