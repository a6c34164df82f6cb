"""Unix sockets: paths, credentials, descriptors that are passed."""

import contextlib
import errno
import fcntl
import os
import resource
import socket
import sys
from typing import Any

import pytest

import grt
from tests.child import run_program
from tests.goroutines import blocked

LINUX = sys.platform == "linux"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "socket")


@pytest.fixture
def pair(path):
    with grt.listen("unix", path) as listener, grt.dial("unix", path) as near, listener.accept() as far:
        yield near, far


def test_addresses_are_paths(pair, path):
    near, far = pair
    assert near.remote_addr == far.local_addr == path
    assert near.local_addr == far.remote_addr == ""
    assert repr(near) == repr(far) == f"<grt.Conn unix {path}>"


def test_the_file_goes_with_its_listener(path):
    with grt.listen("unix", path) as listener:
        assert os.path.exists(path) and repr(listener) == f"<grt.Listener unix {path}>"
    assert not os.path.exists(path)


def test_a_file_that_somebody_else_has_made_meanwhile_stays(path):
    listener = grt.listen("unix", path)
    os.unlink(path)
    with open(path, "w"):
        pass
    listener.close()
    assert os.path.exists(path)


def test_a_file_that_a_dead_server_has_left_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with grt.listen("unix", path) as listener, grt.dial("unix", path), listener.accept():
        pass


def test_a_live_server_is_not_replaced_nor_is_a_file(path):
    with grt.listen("unix", path), pytest.raises(OSError, match=f"listen unix {path}"):
        grt.listen("unix", path)
    with open(path, "w"):
        pass
    with pytest.raises(OSError, match="in use"):
        grt.listen("unix", path)
    assert os.path.exists(path)


def test_of_servers_that_begin_together_over_a_left_file_one_listens(path, monkeypatch):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    look = grt.net.unix.is_stale

    def look_and_pause(*what):
        stale = look(*what)
        if stale:
            grt.sleep(0.05)
        return stale

    monkeypatch.setattr(grt.net.unix, "is_stale", look_and_pause)
    rivals = [grt.go(grt.listen, "unix", path) for _ in range(2)]
    with rivals[0].result(), grt.dial("unix", path), pytest.raises(OSError, match="in use"):
        rivals[1].result()


@pytest.mark.parametrize("kind", ["unix", "unixgram"])
def test_a_file_that_cannot_be_removed_keeps_nobody_from_closing(tmp_path, monkeypatch, kind):
    path = str(tmp_path / "socket")

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    end: Any = grt.listen("unix", path) if kind == "unix" else grt.listen_packet(kind, path)
    waiting = blocked(end.accept if kind == "unix" else end.recv)
    monkeypatch.setattr(os, "unlink", refuse)
    fd = end.fileno()
    end.close()
    with pytest.raises(grt.Closed):
        waiting.result()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("kind", ["unix", "unixgram"])
def test_a_lock_that_others_have_on_the_folder_does_not_keep_it_for_ever(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(grt.net.unix, "PATIENCE", 0.05)
    listen: Any = grt.listen if kind == "unix" else grt.listen_packet
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH)
        listen(kind, str(tmp_path / "one")).close()
        monkeypatch.undo()
        with grt.timeout(0.01), pytest.raises(TimeoutError, match=r"^timed out: the 0\.01 s"):
            listen(kind, str(tmp_path / "other"))
    finally:
        os.close(folder)


@pytest.mark.parametrize("kind", ["unix", "unixgram"])
def test_a_child_that_closes_what_it_has_inherited_leaves_the_parents_file(tmp_path, kind):
    program = f"""
        import os, grt

        with grt.{"listen" if kind == "unix" else "listen_packet"}({kind!r}, {str(tmp_path / "socket")!r}) as end:
            if not (child := os.fork()):
                end.close()
                os._exit(0)
            print(os.waitpid(child, 0)[1], os.path.exists(end.addr))
        print(os.path.exists(end.addr))
    """
    assert run_program(program) == (0, "0 True\nFalse\n", "")


@pytest.mark.parametrize("backlog", ["many", 1 << 80])
def test_a_backlog_that_is_none_leaves_no_file(path, backlog):
    with pytest.raises((TypeError, OverflowError)):
        grt.listen("unix", path, backlog)
    assert not os.path.exists(path)


@pytest.mark.skipif(not LINUX, reason="Linux's")
def test_a_file_that_is_called_as_a_name_without_a_file_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "@grt-test").write_text("precious")
    grt.listen("unix", "@grt-test").close()
    grt.listen_packet("unixgram", "@grt-test").close()
    assert (tmp_path / "@grt-test").read_text() == "precious"


def test_what_was_read_before_is_not_overtaken_by_descriptors(pair):
    near, far = pair
    near.write(b"line\nrest")
    far.read_line()
    with open(os.devnull) as one, open(os.devnull) as other:
        near.send_fds([one.fileno(), other.fileno()], b"FD")
    assert far.recv_fds() == ([], b"rest")
    fds, data = far.recv_fds(most=1)
    for fd in fds:
        os.close(fd)
    assert (len(fds), data) == (1, b"FD")


def test_a_name_without_a_file():
    name = f"@grt-test-{os.getpid()}"
    with grt.listen("unix", name) as listener, grt.dial("unix", name) as near, listener.accept() as far:
        near.write(b"x")
        assert far.read() == b"x" and far.local_addr == name


@pytest.mark.skipif(not LINUX, reason="a name without a file is Linux's")
def test_the_system_can_choose_the_name():
    with grt.listen("unix", "") as listener, grt.dial("unix", listener.addr) as near, listener.accept() as far:
        assert listener.addr.startswith("@") and len(listener.addr) > 1
        near.write(b"x")
        assert far.read() == b"x"


def test_a_path_with_a_null_character_is_none(path):
    for call in (grt.listen, grt.dial):
        with pytest.raises(ValueError, match="has a null character in it"):
            call("unix", f"{path}\0b")
    assert not os.path.exists(path)


def test_what_fails_names_the_path(path):
    with pytest.raises(FileNotFoundError, match=f"dial unix {path}"):
        grt.dial("unix", path)
    with pytest.raises(OSError, match=r"has 10. bytes at most"):
        grt.listen("unix", "/tmp/" + "x" * 200)
    with pytest.raises(TypeError):
        grt.dial("unix", 80)  # type: ignore[arg-type]


def test_a_dial_waits_while_the_backlog_is_full(path):
    with grt.listen("unix", path, backlog=0) as listener:
        dials = [grt.go(grt.dial, "unix", path) for _ in range(4)]
        grt.sleep(0.01)
        for _ in dials:
            listener.accept().close()
        for g in dials:
            g.result().close()


def test_a_dial_that_waits_times_out(path):
    with grt.listen("unix", path, backlog=0), contextlib.ExitStack() as held:
        with pytest.raises(TimeoutError, match="no answer within"):
            for _ in range(9):
                held.enter_context(grt.dial("unix", path, timeout=0.02))


def test_the_peer_is_known(pair):
    near, far = pair
    for conn in (near, far):
        found = conn.peer_credentials()
        assert (found.uid, found.gid) == (os.getuid(), os.getgid())
        assert found.pid == (os.getpid() if LINUX else None)


def test_a_file_is_passed(pair, tmp_path):
    near, far = pair
    (tmp_path / "file").write_text("spam")
    with open(tmp_path / "file") as file:
        near.send_fds([file.fileno()], b"here it is")
    fds, data = far.recv_fds()
    assert data == b"here it is" and not os.get_inheritable(fds[0])
    with open(fds[0]) as passed:
        assert passed.read() == "spam"
    near.close()
    assert far.recv_fds() == ([], b"")


def test_descriptors_beyond_the_limit_of_the_process_are_told_of(pair):
    near, far = pair
    near.send_fds([0, 1, 2, 0, 1, 2], b"six")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 2, limits[1]))
    try:
        with pytest.raises(OSError, match=r"Too many open files.*unix ") as caught:
            far.recv_fds()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.errno == errno.EMFILE and vars(caught.value)["data"] == b"six"
    assert os.dup(0) == spare
    os.close(spare)


@pytest.mark.parametrize(("most", "size"), [(0, 1), (1, 0), (1, -1)])
def test_to_receive_nothing_is_refused(pair, most, size):
    _, far = pair
    with pytest.raises(ValueError, match=str(most if size == 1 else size)):
        far.recv_fds(most, size)


def test_a_connection_is_passed_and_served_at_the_other_end(pair):
    near, far = pair
    with grt.listen("tcp", "127.0.0.1:0") as listener, grt.dial("tcp", listener.addr) as client:
        with listener.accept() as conn:
            near.send_fds([conn.fileno()])
        (fd,), _ = far.recv_fds()
        with socket.socket(fileno=fd) as served:
            client.write(b"x")
            served.settimeout(60)
            assert served.recv(1) == b"x"


def test_waiting_for_descriptors_ends_by_a_close(pair):
    near, _ = pair
    waiting = blocked(near.recv_fds)
    near.close()
    with pytest.raises(grt.Closed):
        waiting.result()


@pytest.mark.parametrize(
    ("fds", "data", "said"), [([], b"x", "not 0"), ([1] * 254, b"x", "not 254"), ([1], b"", "one byte")]
)
def test_what_cannot_be_passed_is_refused(pair, fds, data, said):
    near, _ = pair
    with pytest.raises(ValueError, match=said):
        near.send_fds(fds, data)
