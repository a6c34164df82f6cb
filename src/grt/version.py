"""Which grt this is, and which build of it is running."""

from importlib.metadata import version

from grt._core import timers

__all__ = ["__compiled__", "__version__"]

__version__ = version("grt")
__compiled__ = not timers.__file__.endswith(".py")  # False: the core runs as plain Python
