"""What has to be built before anything can run: the C and Go programs, and grt twice.

`build()` gives the set of names that contenders.py may need, and says plainly what is missing and why.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess

from bench.environment import COMPILED, FREE, FREE_THREADED, PEERS, PURE, ROOT, WORK, make, pip, python_of

BUILT = WORK / "built"
LOAD, LOAD_TLS = BUILT / "load", BUILT / "load_tls"
CERTIFICATE, KEY = BUILT / "certificate.pem", BUILT / "key.pem"
TONIO = "tonio>=0.10,<1"  # the other runtime of several threads: CPython 3.14 and later, without a GIL
PACKAGES = ("gevent", "uvloop", "trio", "curio")
PROJECT = ("src", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def build(notice):
    """Builds all; `notice` is called with a line for each thing that is not there."""
    BUILT.mkdir(parents=True, exist_ok=True)
    built = {
        "load": compiled_by("cc", PEERS.parent / "load.c", LOAD),
        "C": compiled_by("cc", PEERS / "epoll_echo.c", BUILT / "epoll_echo"),
        "Go": compiled_by("go", PEERS / "echo.go", BUILT / "echo_go")
        or compiled_by("go", PEERS / "micro.go", BUILT / "micro_go")
        or compiled_by("go", PEERS / "bulk.go", BUILT / "bulk_go"),
        "TLS": compiled_by("go", PEERS.parent / "load_tls.go", LOAD_TLS) or certified(),
        "redis-benchmark": missing("redis-benchmark"),
        "redis-server": missing("redis-server"),
        "grt": install_grt(COMPILED, {"GRT_REQUIRE_COMPILED": "1"}, True),
        "grt pure": install_grt(PURE, {"GRT_PURE": "1"}, False),
        "grt free-threaded": install_free_threaded(),
        "tonio": install_tonio(),
    }
    for package in PACKAGES:
        built[package] = None if importlib.util.find_spec(package) else "not installed"
    for name, reason in built.items():
        if reason:
            notice(f"skipped: {name}: {reason}")
    return {"asyncio"} | {name for name, reason in built.items() if reason is None}


def missing(program):
    return None if shutil.which(program) else f"no {program} on this machine"


def certified():
    """None when there is a certificate for the TLS servers; else why not."""
    if reason := missing("openssl"):
        return reason
    if not CERTIFICATE.exists():
        options = ["-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=localhost"]
        command = ["openssl", "req", "-x509", *options, "-keyout", KEY, "-out", CERTIFICATE]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return None


def compiled_by(compiler, source, program):
    """None when the program is there and newer than its source; else the reason why it is not."""
    if not shutil.which(compiler):
        return f"no {compiler} on this machine"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return None
    command = {
        "cc": ["cc", "-O2", "-Wall", "-Wextra", "-o", program, source],
        "go": ["go", "build", "-o", program, source],
    }[compiler]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, timeout=300)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def install_grt(folder, variables, compiled):
    """Installs the project as it is now, from a copy: a build in place would leave its traces in the next."""
    if not (ROOT / "src" / "grt" / "__init__.py").exists():
        return "there is no src/grt/__init__.py yet"
    make(folder)
    stamp, digest = folder / "grt.stamp", digest_of_project()
    if stamp.exists() and stamp.read_text() == digest:
        return None
    stamp.unlink(missing_ok=True)
    pip(folder, "uninstall", "-y", "grt")
    copy = copy_of_project(WORK / "source")
    reason = pip(folder, "install", str(copy), env=os.environ | variables) or wrong_build(folder, compiled)
    if reason is None:
        stamp.write_text(digest)
    return reason


def install_free_threaded():
    python = os.environ.get(FREE_THREADED) or shutil.which("python3.14t") or shutil.which("python3.13t")
    if python is None:
        return f"no python3.14t or python3.13t here, and {FREE_THREADED} names none"
    make(FREE, python)
    variables = {"GRT_REQUIRE_COMPILED": "1"}
    said = subprocess.run([python, "-VV"], capture_output=True, check=True, text=True, timeout=60).stdout
    if said.startswith("Python 3.13"):
        constraint = WORK / "constraint.txt"
        constraint.write_text("greenlet==3.5.2\n")  # the last that builds there
        variables |= {"PIP_CONSTRAINT": str(constraint), "PIP_BUILD_CONSTRAINT": str(constraint)}
    return install_grt(FREE, variables, True)


def install_tonio():
    """Beside the free-threaded grt."""
    if not python_of(FREE).exists():
        return "it needs a Python without a GIL"
    return pip(FREE, "install", TONIO)


def project_files():
    for name in PROJECT:
        path = ROOT / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.suffix in {"", ".py", ".pxd", ".h", ".toml", ".md", ".typed"})


def digest_of_project():
    digest = hashlib.sha256()
    for file in project_files():
        if file.is_file():
            digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def copy_of_project(copy):
    shutil.rmtree(copy, ignore_errors=True)
    for file in project_files():
        if file.is_file():
            target = copy / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
    return copy


def wrong_build(folder, compiled):
    command = [python_of(folder), "-c", "import grt; print(bool(grt.__compiled__))"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60, cwd=PEERS)
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1]
    return None if done.stdout.strip() == str(compiled) else f"grt.__compiled__ is {done.stdout.strip()}"
