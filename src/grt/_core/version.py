"""Which grt this is, and which build of it is running."""

from importlib.metadata import version

try:
    import cython
except ImportError:
    from grt._core import pysys as cython

__all__ = ["__compiled__", "__version__"]

__version__ = version("grt")
__compiled__ = bool(cython.compiled)  # False: the core runs as plain Python
