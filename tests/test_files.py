"""Files, and standard streams, without blocking the other goroutines."""

import io
import os
import subprocess
import sys
from typing import Any

import pytest

import grt
from tests.child import finish, spawn, tell, wait_ready
from tests.goroutines import all_idle, blocked


def test_text_is_written_and_read(tmp_path):
    with grt.open(tmp_path / "file", "w+", encoding="utf-8") as file:
        assert file.write("größer\n") == 7
        file.writelines(["eins\n", "zwei\n"])
        file.flush()
        assert file.seek(0) == 0 and file.readline() == "größer\n" and file.readlines() == ["eins\n", "zwei\n"]
        file.seek(0)
        assert file.truncate(9) == 9 and file.read() == "größer\n"
    assert file.closed and "file" in repr(file) and file.name == str(tmp_path / "file")
    file.close()


def test_bytes_are_read_into_a_buffer(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with grt.open(tmp_path / "file", "rb") as file:
        buffer = bytearray(4)
        assert file.readinto(buffer) == 4 and buffer == b"0123" and file.tell() == 4
        assert os.fstat(file.fileno()).st_size == 10 and file.read(2) == b"45"


def test_its_lines_are_what_it_yields(tmp_path):
    lines = [f"line {number}\n" for number in range(20_000)]
    (tmp_path / "file").write_text("".join(lines))
    with grt.open(tmp_path / "file") as file:
        found = []
        for line in file:
            found.append(line)
    assert found == lines


def test_others_run_while_one_waits_for_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    opening = blocked(grt.open, tmp_path / "fifo")
    grt.sleep(0.01)
    assert not opening.done
    with grt.open(tmp_path / "fifo", "w") as writer:
        with opening.result() as reader:
            reading = blocked(reader.read, 4)
            grt.sleep(0.01)
            assert not reading.done
            writer.write("spam")
            writer.flush()
            assert reading.result() == "spam"
    all_idle()


def test_goroutines_take_turns(tmp_path):
    with grt.open(tmp_path / "file", "w") as file:
        with grt.group() as group:
            for _ in range(20):
                group.go(file.write, "0123456789" * 1000)
    assert (tmp_path / "file").read_text() == "0123456789" * 20_000


def test_what_cannot_be_opened_raises_as_ever(tmp_path):
    with pytest.raises(FileNotFoundError):
        grt.open(tmp_path / "nothing")
    with grt.open(os.devnull) as file, pytest.raises(io.UnsupportedOperation):
        file.write("x")


def test_the_standard_streams_are_those_of_the_moment(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("spam\neggs\n"))
    monkeypatch.setattr(sys, "stdout", printed := io.StringIO())
    assert grt.stdin.readline() == "spam\n" and list(grt.stdin) == ["eggs\n"]
    grt.stdout.write("said")
    assert printed.getvalue() == "said"


def test_goroutines_run_while_one_waits_for_a_line_of_input():
    child = spawn(
        """
        import grt
        def tick():
            for _ in range(3):
                grt.sleep(0.001)
            print("ready", flush=True)
        grt.go(tick)
        print("got", grt.stdin.readline().strip())
    """,
        stdin=subprocess.PIPE,
    )
    wait_ready(child)  # it waits for the input that only now comes
    tell(child, "spam\n")
    status, out, err = finish(child)
    assert (status, out) == (0, "got spam\n"), err


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_what_comes_after_an_iteration_goes_on_behind_the_last_line_that_it_gave(tmp_path, mode):
    path = tmp_path / "lines"
    lines = [f"line {number}\n" for number in range(20_000)]
    path.write_text("".join(lines))
    wanted: Any = lines if mode == "r" else [line.encode() for line in lines]
    with grt.open(path, mode) as file:
        assert next(file) == wanted[0]
        for line in file:
            if line == wanted[9000]:
                break
        assert file.readline() == wanted[9001] and next(iter(file)) == wanted[9002]
        place = file.tell()
        assert list(file) == wanted[9003:] and file.read() == wanted[0][:0]
        file.seek(place)
        assert next(file) == wanted[9003] and file.readlines(1) == wanted[9004:9005]
        assert next(file) == wanted[9005] and len(file.read()) == sum(map(len, wanted[9006:]))


def test_lines_of_a_pipe_are_given_as_they_come():
    reader, writer = os.pipe()
    with grt.open(reader) as file, open(writer, "w") as far:
        for line in ("one\n", "two\n"):
            far.write(line)
            far.flush()
            assert next(file) == line
