"""Sockets that were open before this program began, as systemd opens them."""

import contextlib
import fcntl
import os
import socket
import sys

import pytest

import grt
from tests.child import finish, run_program, spawn, wait_ready


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "socket")


INHERITED = """
    import os, grt
    for number, fd in enumerate({fds}):
        os.dup2(fd, 3 + number)
    os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "2"
    found = grt.inherited_listeners()
    said = [listener.describe() for listener in found], grt.inherited_listeners()
    print("ready", flush=True)
    for listener in found:
        with listener, listener.accept() as conn:
            conn.write(b"served")
    print(*said, flush=True)
    os._exit(0)
"""


def test_systemds_listeners_are_taken_over(path):
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen()
        high = [fcntl.fcntl(server, fcntl.F_DUPFD, 100) for server in (tcp, unix)]
        child = spawn(INHERITED.format(fds=high), pass_fds=high)
        wait_ready(child)
        port = tcp.getsockname()[1]
        with grt.dial("tcp", ("127.0.0.1", port)) as conn:
            assert conn.read() == b"served"
        with grt.dial("unix", path) as conn:
            assert conn.read() == b"served"
        status, out, err = finish(child)
        for fd in high:
            os.close(fd)
    assert (status, out) == (0, f"['tcp 127.0.0.1:{port}', 'unix {path}'] []\n"), err
    assert os.path.exists(path)  # whoever made it removes it


def test_another_processs_listeners_are_left_alone():
    child = spawn("""
        import os, grt
        os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = "1", "2"
        print(grt.inherited_listeners())
    """)
    assert finish(child)[1] == "[]\n"


OTHERS = """
    import os, grt
    for number, fd in enumerate({fds}):
        os.dup2(fd, 3 + number)
    os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len({fds}))
    udp, unixgram, tcp, unix, name, connected = found = grt.inherited_listeners()
    print(*map(type, found))
    for packets in udp, unixgram:
        print(packets.recv())
    for conn in tcp, unix:
        print(conn.read(), conn.remote_addr)
        conn.write(b"answer")
    print(name.addr)
    connected.send(b"connected")
    print(connected.peer == udp.addr, udp.recv())
    for each in found:
        each.close()
    os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's, as are names without a file")
def test_so_are_its_datagrams_and_connections(path):
    with contextlib.ExitStack() as opened:
        open_ = opened.enter_context
        udp, unixgram = (open_(socket.socket(family, socket.SOCK_DGRAM)) for family in (socket.AF_INET, socket.AF_UNIX))
        udp.bind(("127.0.0.1", 0))
        bound = open_(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        bound.connect(udp.getsockname())
        unixgram.bind(path)
        server, name = open_(socket.create_server(("127.0.0.1", 0))), open_(socket.socket(socket.AF_UNIX))
        name.bind(f"\0{path}")
        name.listen()
        near = open_(socket.create_connection(server.getsockname()))
        far = open_(server.accept()[0])
        unix_near, unix_far = map(open_, socket.socketpair())
        near.sendall(b"over tcp")
        caller = near.getsockname()
        unix_near.sendall(b"over unix")
        with open_(grt.dial_packet("udp", udp.getsockname())) as sender:
            sender.send(b"by udp")
        with open_(grt.dial_packet("unixgram", path)) as sender:
            sender.send(b"by unix")
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in (udp, unixgram, far, unix_far, name, bound)]
        child = spawn(OTHERS.format(fds=high), pass_fds=high)
        status, out, err = finish(child)
        for fd in high:
            os.close(fd)
        assert (near.recv(10), unix_near.recv(10)) == (b"answer", b"answer")
    kinds, *said = out.splitlines()
    assert (status, err) == (0, "")
    assert [kind.split("'")[0].split(".")[-1] for kind in kinds.split("<class '")[1:]] == [
        "UDPConn", "UnixPacketConn", "TCPConn", "UnixConn", "UnixListener", "UDPConn",
    ]  # fmt: skip
    assert said == [
        "b'by udp'",
        "b'by unix'",
        f"b'over tcp' {caller}",
        "b'over unix' ",
        f"@{path}",
        "True b'connected'",
    ]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        ("1", "OSError: [Errno 88] Socket operation on non-socket: 'descriptor 3 of LISTEN_FDS'"),
        ("many", "ValueError: LISTEN_FDS is 'many': it is the number of descriptors that this process was given"),
    ],
)
def test_what_is_no_socket_is_told(count, said):
    status, _, err = run_program(f"""
        import os, grt
        os.dup2(os.open("/dev/null", os.O_RDONLY), 3)
        os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "{count}"
        grt.inherited_listeners()
    """)
    assert status == 1 and err.splitlines()[-1] == said
