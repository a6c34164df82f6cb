"""Thin sockets, on whichever build is installed: the same values and the same errors from both."""

import errno
import os
import shutil
import socket
import subprocess
import sys

import pytest

import grt
from grt import poll
from grt._core import sock

HERE = ("127.0.0.1", 0)


@pytest.fixture
def fds():
    """Descriptors to be closed at the end."""
    made = []
    yield made
    for fd in made:
        try:
            sock.close(fd)
        except OSError:
            pass  # closed by the test


@pytest.fixture
def server(fds):
    fds.append(sock.open())
    sock.bind(fds[0], HERE)
    sock.listen(fds[0])
    return fds[0]


@pytest.fixture
def pair(server, fds):
    near = sock.open()
    sock.connect(near, sock.local_address(server))
    wait(server)
    far, peer = sock.accept(server)
    fds += [near, far]
    assert peer == sock.local_address(near)
    return near, far


def wait(fd, events=poll.READ):
    with poll.Poller() as poller:
        poller.register(fd, events)
        assert poller.wait(30)


def test_what_is_written_is_read(pair):
    near, far = pair
    assert sock.write(near, b"hello") == 5
    wait(far)
    assert sock.read(far) == b"hello"
    assert sock.remote_address(far) == sock.local_address(near)


def test_any_buffer_can_be_written(pair):
    near, far = pair
    assert sock.write(near, bytearray(b"ab")) == sock.write(near, memoryview(b"cd")) == 2
    wait(far)
    assert sock.read(far, 100) == b"abcd"


def test_reading_nothing_yet_is_told_with_a_hint(pair):
    with pytest.raises(BlockingIOError, match="wait until it is readable"):
        sock.read(pair[0])


def test_accepting_nobody_is_told_with_a_hint(server):
    with pytest.raises(BlockingIOError, match="no connection waits"):
        sock.accept(server)


def test_a_full_kernel_is_told_with_a_hint(pair):
    def write_for_ever():
        while True:
            sock.write(pair[0], b"x" * 65536)

    with pytest.raises(BlockingIOError, match="wait until it is writable"):
        write_for_ever()


def test_the_state_walks_through_the_life_of_a_connection(server, pair):
    near, far = pair
    assert sock.tcp_state(server) == "LISTEN"
    assert sock.tcp_state(near) == sock.tcp_state(far) == "ESTABLISHED"
    sock.shutdown_write(near)
    wait(far)
    assert sock.read(far) == b""
    assert sock.tcp_state(far) == "CLOSE_WAIT"
    assert sock.tcp_state(near) in ("FIN_WAIT1", "FIN_WAIT2")  # the second once the peer has acknowledged
    sock.shutdown_write(far)
    wait(near)
    assert sock.read(near) == b""
    assert sock.tcp_state(far) == "CLOSE"


def test_a_fresh_socket_is_closed():
    fd = sock.open()
    assert sock.tcp_state(fd) == "CLOSE"
    sock.close(fd)


def test_a_refused_connection_is_its_pending_error(fds):
    fds += [sock.open(), sock.open()]
    sock.bind(fds[0], HERE)  # bound, but nobody listens
    try:
        sock.connect(fds[1], sock.local_address(fds[0]))
        wait(fds[1], poll.WRITE)
        error = sock.error(fds[1])
    except ConnectionRefusedError as at_once:
        error = at_once
    assert isinstance(error, ConnectionRefusedError)
    assert sock.error(fds[1]) is None


def test_a_reset_is_the_standard_librarys_error(pair):
    near, far = pair
    sock.linger_zero(near)
    sock.close(near)
    wait(far)
    with pytest.raises(ConnectionResetError):
        sock.read(far)


def test_a_port_in_use_is_told(server, fds):
    fds.append(sock.open())
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        sock.bind(fds[-1], sock.local_address(server))


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (("localhost", 80), ValueError),
        (("127.0.0.1", 65536), ValueError),
        (("127.0.0.1", -1), ValueError),
        ("127.0.0.1:80", TypeError),
    ],
)
def test_a_wrong_address_is_named(fds, address, error):
    fds.append(sock.open())
    with pytest.raises(error, match=r"localhost|65536|-1|127\.0\.0\.1:80"):
        sock.connect(fds[-1], address)


def test_a_negative_size_is_named(pair):
    with pytest.raises(ValueError, match="-1"):
        sock.read(pair[0], -1)


def test_a_closed_descriptor_is_refused():
    fd = sock.open()
    sock.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        sock.close(fd)


def test_ipv6_and_an_ipv4_peer_of_both(fds):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    fds.append(sock.open(socket.AF_INET6))
    sock.set_option(fds[0], socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        sock.bind(fds[0], ("::", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    sock.listen(fds[0])
    fds.append(sock.open())
    sock.connect(fds[1], ("127.0.0.1", sock.local_address(fds[0])[1]))
    wait(fds[0])
    far, peer = sock.accept(fds[0])
    fds.append(far)
    assert peer[0] == "127.0.0.1"


def test_descriptors_are_not_inherited_and_do_not_block(server, pair):
    for fd in (server, *pair):
        assert not os.get_inheritable(fd) and not os.get_blocking(fd)


BROKEN_PIPE = """
import signal, socket
from grt import sock
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
near, far = socket.socketpair()
far.close()
try:
    sock.write(near.fileno(), b"x")
except BrokenPipeError:
    print("told")
near.detach()
"""


def test_writing_to_a_closed_peer_raises_no_signal():
    done = subprocess.run([sys.executable, "-c", BROKEN_PIPE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "told\n"


ONE_CALL = """
from grt import sock
import os
server = sock.open(); sock.bind(server, ("127.0.0.1", 0)); sock.listen(server); at = sock.local_address(server)
near = sock.open()
os.write(2, b"begin")
sock.connect(near, at); far, _ = sock.accept(server); sock.write(near, b"x"); sock.read(far); sock.tcp_state(far)
os.write(2, b"end")
"""


def test_each_call_is_one_system_call():
    if shutil.which("strace") is None or sys.platform != "linux":
        pytest.skip("needs strace")
    command = ["strace", "-e", "trace=network,read,write,fcntl", sys.executable, "-c", ONE_CALL]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    if "begin" not in said:
        pytest.skip("strace may not trace here")
    between = said.split('"begin"')[1].split('"end"')[0].splitlines()[1:-1]
    names = [line.split("(")[0] for line in between]
    if not grt.__compiled__:
        names.remove("getsockname")  # by which the stdlib's accept makes its socket object
    assert names == ["connect", "accept4", "sendto", "recvfrom", "getsockopt"]
