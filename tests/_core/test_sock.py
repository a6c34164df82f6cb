"""Thin sockets, on whichever build is installed: the same values and the same errors from both."""

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
import time

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


def wait_state(fd, state):
    """For what only another packet brings, and no poller tells."""
    deadline = time.monotonic() + 30
    while sock.tcp_state(fd) != state:
        assert time.monotonic() < deadline, sock.tcp_state(fd)


def fill(fd):
    """Writes until the kernel takes no more; returns how much it took."""
    taken = 0
    try:
        while True:
            taken += sock.write(fd, b"x" * 65536)
    except BlockingIOError:
        return taken


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
    assert fill(pair[0]) > 0
    with pytest.raises(BlockingIOError, match="wait until it is writable"):
        sock.write(pair[0], b"x")


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


def test_half_a_close_that_is_acknowledged_waits_for_the_other_half(pair):
    near, far = pair
    sock.shutdown_write(near)
    wait(far)  # the peer's kernel has the end, and has said so
    wait_state(near, "FIN_WAIT2")
    assert sock.write(far, b"still") == 5
    wait(near)
    assert sock.read(near) == b"still" and sock.tcp_state(near) == "FIN_WAIT2"


def test_an_end_behind_unsent_bytes_is_not_acknowledged_yet(pair):
    near, far = pair
    fill(far)
    sock.shutdown_write(near)
    wait(far)
    assert sock.read(far) == b"" and sock.tcp_state(far) == "CLOSE_WAIT"
    sock.shutdown_write(far)  # behind what nobody has read
    assert sock.tcp_state(far) == "LAST_ACK"


def test_the_first_to_end_with_unsent_bytes_waits_for_their_receipt(pair):
    near, _ = pair
    fill(near)
    sock.shutdown_write(near)
    assert sock.tcp_state(near) == "FIN_WAIT1"


def test_a_handshake_without_answer_is_syn_sent(server, fds):
    sock.listen(server, 0)  # changes the backlog: soon the kernel lets further handshakes wait
    states = []
    while "SYN_SENT" not in states and len(states) < 10:
        fds.append(sock.open())
        assert sock.connect(fds[-1], sock.local_address(server)) is False
        states.append(sock.tcp_state(fds[-1]))
    if "SYN_SENT" not in states:
        pytest.skip("this system answers every handshake")
    with pytest.raises(BlockingIOError, match=os.strerror(errno.EALREADY)):
        sock.connect(fds[-1], sock.local_address(server))


def test_a_connection_cannot_be_connected_again(server, pair):
    assert sock.connect(pair[0], sock.local_address(server)) is True  # only now told: the handshake is over
    with pytest.raises(OSError, match=os.strerror(errno.EISCONN)):
        sock.connect(pair[0], sock.local_address(server))


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


SHAPE = "an address is a tuple \\(host, port\\), not "


@pytest.mark.parametrize("call", [sock.bind, sock.connect])
@pytest.mark.parametrize(
    ("address", "error", "told"),
    [
        (("localhost", 80), ValueError, "'localhost' is not a numeric"),
        (("127.0.0.1%lo", 80), ValueError, "'127.0.0.1%lo' is not a numeric"),
        (("", 80), ValueError, "'' is not a numeric"),
        (("127.0.0.1", 65536), ValueError, "port 65536 is not between 0 and 65535"),
        (("127.0.0.1", -1), ValueError, "port -1 is not between"),
        (("127.0.0.1", 1 << 70), ValueError, f"port {1 << 70} is not between"),
        ("127.0.0.1:80", TypeError, SHAPE + "'127.0.0.1:80'"),
        (["127.0.0.1", 80], TypeError, SHAPE),
        (("127.0.0.1",), TypeError, SHAPE),
        (("127.0.0.1", 80, 0), TypeError, SHAPE),
        (("127.0.0.1", "80"), TypeError, SHAPE),
        (("127.0.0.1", 80.0), TypeError, SHAPE),
        ((b"127.0.0.1", 80), TypeError, SHAPE),
        ((None, 80), TypeError, SHAPE),
        (None, TypeError, SHAPE),
        (("::1", 80), OSError, os.strerror(errno.EAFNOSUPPORT)),
        (("fe80::1%nowhere", 80), OSError, os.strerror(errno.ENODEV)),
        (("fe80::1%-1", 80), OSError, os.strerror(errno.ENODEV)),
    ],
)
def test_a_wrong_address_is_named(fds, call, address, error, told):
    fds.append(sock.open())
    with pytest.raises(error, match=told):
        call(fds[-1], address)


BAD_DESCRIPTOR = [
    (sock.accept, ()),
    (sock.bind, (HERE,)),
    (sock.close, ()),
    (sock.connect, (HERE,)),
    (sock.error, ()),
    (sock.linger_zero, ()),
    (sock.listen, ()),
    (sock.local_address, ()),
    (sock.read, ()),
    (sock.remote_address, ()),
    (sock.set_option, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)),
    (sock.shutdown_write, ()),
    (sock.tcp_state, ()),
    (sock.write, (b"x",)),
]


@pytest.mark.parametrize(("call", "arguments"), BAD_DESCRIPTOR)
@pytest.mark.parametrize("fd", [-1, 1 << 20])
def test_a_descriptor_that_is_none_is_refused(call, arguments, fd):
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        call(fd, *arguments)


@pytest.mark.parametrize(("call", "arguments"), [case for case in BAD_DESCRIPTOR if case[0] is not sock.close])
def test_a_descriptor_that_is_no_socket_is_refused(call, arguments):
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match=os.strerror(errno.ENOTSOCK)):
            call(reader, *arguments)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (sock.read, errno.ENOTCONN),
        (sock.write, errno.EPIPE),
        (sock.accept, errno.EINVAL),
        (sock.shutdown_write, errno.ENOTCONN),
        (sock.remote_address, errno.ENOTCONN),
    ],
)
def test_what_needs_a_connection_says_so_without_one(fds, call, number):
    fds.append(sock.open())
    with pytest.raises(OSError, match=os.strerror(number)):
        call(fds[0], *([b"x"] if call is sock.write else []))


@pytest.mark.parametrize(
    ("data", "error", "told"),
    [
        ("text", TypeError, "a bytes-like object is required, not 'str'"),
        (1, TypeError, "a bytes-like object is required, not 'int'"),
        (memoryview(b"abcd")[::2], BufferError, "not C-contiguous"),
    ],
)
def test_what_is_no_buffer_cannot_be_written(pair, data, error, told):
    with pytest.raises(error, match=told):
        sock.write(pair[0], data)


def test_a_negative_size_is_named(pair):
    with pytest.raises(ValueError, match="-1"):
        sock.read(pair[0], -1)


def test_a_closed_descriptor_is_refused():
    fd = sock.open()
    sock.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        sock.close(fd)


@pytest.fixture
def six(fds):
    """A socket of IPv6."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    fds.append(sock.open(socket.AF_INET6))
    try:
        sock.bind(fds[-1], ("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    sock.close(fds[-1])
    fds[-1] = sock.open(socket.AF_INET6)
    return fds[-1]


def test_ipv6_connects_and_names_both_ends(six, fds):
    sock.bind(six, ("::1", 0))
    sock.listen(six)
    host, port = sock.local_address(six)
    assert host == "::1" and port > 0
    near = sock.open(socket.AF_INET6)
    fds.append(near)
    sock.connect(near, (host, port))
    wait(six)
    far, peer = sock.accept(six)
    fds.append(far)
    assert peer == sock.local_address(near) and sock.remote_address(near) == (host, port)


def test_an_ipv4_peer_of_a_socket_for_both_is_named_as_such(six, fds):
    sock.set_option(six, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(six, ("::", 0))
    sock.listen(six)
    near = sock.open()
    fds.append(near)
    sock.connect(near, ("127.0.0.1", sock.local_address(six)[1]))
    wait(six)
    far, peer = sock.accept(six)
    fds.append(far)
    assert peer == sock.local_address(near)


def test_an_ipv4_address_does_not_fit_an_ipv6_socket(six):
    with pytest.raises(OSError, match=f"{os.strerror(errno.EINVAL)}|{os.strerror(errno.EAFNOSUPPORT)}"):
        sock.connect(six, ("127.0.0.1", 80))


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
import os
from grt import sock
os.write(2, b"begin")
server, near = sock.open(), sock.open()
sock.bind(server, ("127.0.0.1", 0))
sock.listen(server)
at = sock.local_address(server)
sock.connect(near, at)
far, _ = sock.accept(server)
sock.write(near, b"x")
sock.read(far)
sock.tcp_state(far)
sock.error(far)
sock.remote_address(far)
sock.set_option(far, 6, 1, 1)
sock.shutdown_write(near)
sock.linger_zero(far)
sock.close(far)
os.write(2, b"end")
"""
CALLS = """socket socket bind listen getsockname connect accept4 sendto recvfrom getsockopt getsockopt getpeername
    setsockopt shutdown setsockopt close"""


def test_each_call_is_one_system_call():
    if shutil.which("strace") is None or sys.platform != "linux":
        pytest.skip("needs strace")
    command = ["strace", "-f", "-e", "trace=network,read,write,close,fcntl,ioctl", sys.executable, "-c", ONE_CALL]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    if "begin" not in said:
        pytest.skip("strace may not trace here")
    between = said.split('"begin"')[1].split('"end"')[0].splitlines()[1:-1]
    names = [re.sub(r"^\[pid +\d+\] ", "", line).split("(")[0] for line in between]
    accepted = names.index("accept4") + 1
    if not grt.__compiled__:  # the stdlib's accept asks the new socket for its name; then it is told not to block
        assert names[accepted : accepted + 2] == ["getsockname", "ioctl"]
        del names[accepted : accepted + 2]
    assert names == CALLS.split()
