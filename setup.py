"""Compiles the core and net/sealed where a C compiler is present; installs plain Python, with a notice, elsewhere.

GRT_PURE=1              do not compile
GRT_REQUIRE_COMPILED=1  fail instead of falling back to plain Python
GRT_KQUEUE=1            on Linux, add the kqueue back-end through libkqueue (to test it)
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("src")
CORE = SOURCES / "grt" / "_core"
FLAGS = [
    "-O2",
    "-fno-inline-functions-called-once",
    "-Wno-unused-function",
    "-Werror=incompatible-pointer-types",  # what Cython makes of obj.method where method is a cdef one: older gccs warn
]


class OptionalBuild(build_ext):
    """Leaves every extension out, not just the failing one: a half-compiled core would mix the two builds."""

    def run(self):
        try:
            super().run()
        except Exception as error:
            if os.environ.get("GRT_REQUIRE_COMPILED"):
                raise
            self.extensions = []
            print(f"grt: installing as plain Python, because compiling failed: {error}", file=sys.stderr)


def extensions():
    import greenlet
    from Cython.Build import cythonize

    macros, libraries = [], []
    if os.environ.get("GRT_KQUEUE") and sys.platform == "linux":
        macros, libraries = [("GRT_KQUEUE", "1")], ["kqueue"]
    headers = sorted(str(header) for header in (CORE / "csys").glob("*.h"))
    found = [
        Extension(
            ".".join(pxd.relative_to(SOURCES).with_suffix("").parts),
            [str(pxd.with_suffix(".py"))],
            include_dirs=[str(CORE / "csys"), str(Path(greenlet.__file__).parent)],
            depends=headers,
            define_macros=macros,
            libraries=libraries,
            extra_compile_args=FLAGS,
        )
        for pxd in sorted([*CORE.glob("*.pxd"), *CORE.parent.glob("net/*.pxd"), *CORE.parent.glob("vm/*.pxd")])
        if pxd.with_suffix(".py").exists()
    ]
    return cythonize(
        found,
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "annotation_typing": False,
            "binding": False,
            "embedsignature": True,
            "embedsignature.format": "clinic",
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "auto_pickle": False,
            "always_allow_keywords": False,
            "freethreading_compatible": True,
        },
    )


setup(
    ext_modules=[] if os.environ.get("GRT_PURE") else extensions(),
    cmdclass={"build_ext": OptionalBuild},
)
