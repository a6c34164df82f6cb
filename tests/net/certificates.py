"""Certificates for the tests, made by openssl: an authority, a server for localhost, a client, and a stranger."""

import functools
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

__all__ = ["client_context", "made", "needs_openssl", "server_context"]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


def certify(folder, name, names):
    """A key and a certificate for names, signed by the authority."""
    key, request, certificate = (str(folder / f"{name}.{kind}") for kind in ("key", "csr", "pem"))
    extension = folder / f"{name}.ext"
    extension.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
            "-subj", f"/CN={name}")  # fmt: skip
    openssl("x509", "-req", "-in", request, "-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"),
            "-CAcreateserial", "-days", "2", "-extfile", str(extension), "-out", certificate)  # fmt: skip


@functools.cache
def made():
    """The folder that they are in."""
    folder = Path(tempfile.mkdtemp(prefix="grt-certificates-"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem"), "-subj", "/CN=grt's tests",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    certify(folder, "localhost", "DNS:localhost,IP:127.0.0.1")
    certify(folder, "client", "DNS:client")
    certify(folder, "stranger", "DNS:stranger.invalid")
    return folder


def server_context(name="localhost"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made() / f"{name}.pem", made() / f"{name}.key")
    return context


def client_context():
    return ssl.create_default_context(cafile=str(made() / "ca.pem"))
