"""VMs: what is called there, what comes back, and how they end."""

import os
import signal
import subprocess
import sys
import sysconfig
import time
import warnings

import pytest

import grt
from grt.vm import VM, RemoteError, RemoteTraceback
from tests.child import finish, read_line, run_program, spawn
from tests.vm import work


def test_a_call_is_made_in_another_process_and_its_result_comes_back(vm):
    assert vm.go(work.ident).result() == vm.pid != os.getpid()
    assert vm.go(work.double, x=21).result() == 42
    assert vm.alive and vm.status is None and repr(vm) == f"<VM {vm.number}, pid {vm.pid}>"


def test_what_is_raised_there_is_raised_here_with_its_traceback(vm):
    with pytest.raises(ValueError, match="spam") as caught:
        vm.go(work.fail, "spam").result()
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback) and "in fail" in str(cause) and f"VM {vm.number}" in str(cause)


def test_what_is_raised_there_and_cannot_be_sent_is_told(vm):
    with pytest.raises(RemoteError, match="Stubborn: one"):
        vm.go(work.fail_stubbornly).result()
    with pytest.raises(TypeError, match="cannot be sent"):
        vm.go(eval, "lambda: 1").result()


def local_class():
    class Local:
        pass

    return Local


def test_what_cannot_be_sent_is_told_at_once(vm):
    with pytest.raises(TypeError, match=r"cannot be sent to another VM.*define it at the top of a module"):
        vm.go(lambda: 1)
    with pytest.raises(TypeError, match=r"define it at the top of a module"):
        vm.go(work.double, local_class()())
    with pytest.raises(TypeError, match="send what its result gives"):
        vm.go(work.double, grt.current())
    for why in (TypeError("I stay here"), AttributeError("I have no such thing")):
        with pytest.raises(TypeError, match=rf"{why}$"):
            vm.go(work.double, work.Reluctant(why))
    assert vm.running == 0


def test_calls_there_are_goroutines(vm):
    started = grt.chan()
    waiting = [vm.go(work.wait_for_ever, started) for _ in range(20)]
    assert [started.recv() for _ in range(20)] == [vm.pid] * 20
    assert vm.go(work.double, 2).result() == 4
    for g in waiting:
        g.cancel()


def test_a_call_is_cancelled_there(vm):
    started, told = grt.chan(), grt.chan()
    g = vm.go(work.clean_up, started, told)
    started.recv()
    g.cancel()
    assert told.recv() == "cleaned up"
    with pytest.raises(grt.Cancelled):
        g.result()
    assert vm.running == 0


def test_a_call_that_was_cancelled_before_it_began(vm):
    g = vm.go(work.wait_for_ever)
    g.cancel()
    with pytest.raises(grt.Cancelled):
        g.result()
    assert vm.go(work.double, 2).result() == 4


def test_calls_that_wait_behind_one_that_computes_are_cancelled(vm, tmp_path):
    begun, told, ran = (tmp_path / name for name in ("begun", "told", "ran"))
    computing = vm.go(work.compute_until, told, begun)
    waiting = [vm.go(work.append_to, ran, str(i)) for i in range(20)]
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline:
        grt.sleep(0.001)
    assert all(g.cancel() for g in waiting)
    grt.sleep(2)  # for that to be read there, which nothing tells
    told.touch()
    computing.result()
    assert vm.go(work.double, 2).result() == 4
    assert not ran.exists()


def test_result_has_a_timeout(vm):
    g = vm.go(work.wait_for_ever)
    with pytest.raises(TimeoutError):
        g.result(timeout=0.01)
    g.cancel()


def test_it_is_closed_with_what_runs_there():
    vm = VM()
    started, told = grt.chan(), grt.chan(1)
    g = vm.go(work.clean_up, started, told)
    started.recv()
    vm.close()
    assert (vm.status, vm.alive) == (0, False)
    assert told.recv() == "cleaned up"
    with pytest.raises((grt.Cancelled, grt.Closed)):
        g.result()
    with pytest.raises(grt.Closed, match=r"VM \d+ has ended \(exit status 0\)"):
        vm.go(work.ident)
    vm.close()
    vm.join()


def test_one_that_does_not_end_is_killed():
    vm = VM()
    started = grt.chan()
    vm.go(work.spin, started)
    started.recv()
    vm.close(timeout=0.05)
    assert vm.status == -signal.SIGKILL


def test_its_end_is_told_to_who_waits_for_it():
    with VM() as vm:
        g = vm.go(work.exit_with, 3)
        with pytest.raises(grt.Closed, match=r"exit status 3"):
            g.result()
        vm.join()
        assert vm.status == 3
    with VM() as vm:
        with pytest.raises(grt.Closed, match=r"was killed by SIGKILL \(exit status -9\)"):
            vm.go(work.kill_self).result()


def test_one_that_is_killed_as_it_starts():
    for _ in range(3):
        vm = VM()
        vm.kill()
        vm.join()
        assert vm.status == -signal.SIGKILL
        with pytest.raises(grt.Closed):
            vm.go(work.ident)


def test_an_error_in_its_block_ends_it_at_once():
    started = grt.chan()
    with pytest.raises(ZeroDivisionError), VM() as vm:
        vm.go(work.spin, started)
        started.recv()
        raise ZeroDivisionError
    assert vm.status == -signal.SIGKILL


def test_none_is_started_by_another(vm):
    with pytest.raises(RuntimeError, match="cannot start another"):
        vm.go(VM).result()


def test_the_main_program_s_functions_are_found_there(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import grt\n"
        "def cube(x):\n"
        "    print('cubing', x)\n"
        "    return x ** 3\n"
        "def main():\n"
        "    with grt.vm.VM() as vm:\n"
        "        print(vm.go(cube, 3).result())\n"
        "if __name__ == '__main__':\n"
        "    grt.run(main)\n"
    )
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("cubing 3\n27\n", "", 0)


def test_a_program_that_is_read_from_stdin_cannot_start_one():
    program = "import grt\ngrt.vm.VM()\n"
    ran = subprocess.run([sys.executable], input=program, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.returncode) == ("", 1)
    assert ran.stderr.endswith(
        "RuntimeError: VMs import the program's file, and one that is read from stdin has none: save it first\n"
    )


def test_ctrl_c_ends_all():
    child = spawn("""
        import os, signal
        import grt
        from tests.vm import work

        def main():
            vms = [grt.vm.VM() for _ in range(2)]
            started = grt.chan()
            for vm in vms:
                vm.go(work.spin, started)
            for vm in vms:
                started.recv()
            print(*(vm.pid for vm in vms), flush=True)
            vms[0].join()

        grt.run(main)
    """)
    pids = [int(pid) for pid in read_line(child).split()]
    child.send_signal(signal.SIGINT)
    status, _out, err = finish(child)
    assert status == -signal.SIGINT and "KeyboardInterrupt" in err
    await_end(pids)


def test_a_block_that_is_left_by_an_exception_reports_nothing_else():
    status, _, err = run_program("""
        import grt
        from tests.vm import work

        def main():
            started = grt.chan()
            with grt.vm.VM() as vm, grt.vm.Pool(1) as pool:
                for runs in (vm, pool):
                    runs.go(work.wait_for_ever, started)
                    started.recv()
                raise KeyboardInterrupt

        try:
            grt.run(main)
        except KeyboardInterrupt:
            grt.sleep(0.01)
    """)
    assert (status, err) == (0, "")


def test_vms_of_several_threads_go_on_when_one_of_the_threads_ends():
    """What VMs say goes through the main program by way of one goroutine, which was in the first one's thread."""
    status, out, err = run_program("""
        import threading
        import grt
        from tests.vm import work

        first, second, over = threading.Event(), threading.Event(), threading.Event()

        def begin():
            with grt.vm.VM() as vm:
                vm.go(work.double, 1).result()
                first.set()
                second.wait()

        def go_on():
            first.wait()
            with grt.vm.VM() as vm:
                second.set()
                over.wait()
                channel = grt.chan()
                vm.go(work.send_all, channel, range(3))
                print(list(channel))

        threads = [threading.Thread(target=target) for target in (begin, go_on)]
        for thread in threads:
            thread.start()
        threads[0].join()
        over.set()
        threads[1].join()
    """)
    assert (status, out, err) == (0, "[0, 1, 2]\n", "")


def test_a_vm_ends_with_the_thread_that_serves_it():
    status, out, err = run_program("""
        import threading, time
        import grt
        from tests.vm import work

        vms = []
        thread = threading.Thread(target=lambda: vms.append(grt.vm.VM()))
        thread.start()
        thread.join()
        deadline = time.monotonic() + 60
        while vms[0].alive and time.monotonic() < deadline:
            grt.sleep(0.001)
        print(vms[0].alive)
        vms[0].join()
        with grt.vm.VM() as vm:
            channel = grt.chan()
            vm.go(work.send_all, channel, range(3))
            print(list(channel))
    """)
    assert (status, out, err) == (0, "False\n[0, 1, 2]\n", "")


def test_no_orphan_survives_its_parent():
    child = spawn("""
        import grt
        from tests.vm import work

        vms = [grt.vm.VM() for _ in range(2)]
        started = grt.chan()
        vms[0].go(work.spin, started)
        vms[1].go(work.wait_for_ever, started)
        print(started.recv(), started.recv(), flush=True)
        grt.select()
    """)
    pids = [int(pid) for pid in read_line(child).split()]
    child.kill()
    finish(child)
    await_end(pids)


def await_end(pids):
    limit = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < limit, f"{pids} live on"
        time.sleep(0.01)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_that_ends_without_closing_ends_its_vms():
    status, out, err = run_program("""
        import grt
        from tests.vm import work

        vm = grt.vm.VM()
        started = grt.chan()
        vm.go(work.wait_for_ever, started)
        print(started.recv() == vm.pid)
    """)
    assert (status, out, err) == (0, "True\n", "")


def test_a_program_that_ends_before_its_vm_has_begun_says_nothing():
    assert run_program("import grt; vm = grt.vm.VM()", PYTHONWARNINGS="default") == (0, "", "")


def test_the_end_of_run_ends_its_vms():
    status, out, err = run_program("""
        import grt
        from tests.vm import work

        def main():
            global vm
            vm = grt.vm.VM()
            started = grt.chan()
            vm.go(work.spin, started)
            started.recv()

        grt.run(main)
        print(vm.status)
    """)
    assert (status, out, err) == (0, "-9\n", "")


def test_what_it_prints_can_be_read():
    status, out, err = run_program("""
        import grt
        from tests.vm import work

        with grt.vm.VM() as vm:
            vm.go(work.say, "hello from there").result()
    """)
    assert (status, out, err) == (0, "hello from there\n", "hello from there\n")


def test_many_come_and_go_and_leave_nothing():
    count = int(os.environ.get("GRT_FAULTS", 0)) or 12
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    pids = []
    for i in range(0, count, 4):
        some = [VM() for _ in range(4)]
        channel = grt.chan(4)
        for vm in some:
            vm.go(work.send_one, channel, b"x" * 300_000)
        for _ in some:
            assert len(channel.recv()) == 300_000
        for vm in some:
            vm.kill() if i % 8 else vm.close()
        for vm in some:
            vm.join()
        pids += [vm.pid for vm in some]
    await_end(pids)
    if sys.platform == "linux":
        deadline = time.monotonic() + 60
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
            grt.sleep(0.01)  # the thread that relieved this one of them is on its way out, with a loop of its own
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_program_that_starts_itself_again_is_told_how_not_to(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import grt\ndef main():\n    grt.vm.VM().go(len, '').result()\ngrt.run(main)\n")
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1 and 'belongs under `if __name__ == "__main__":`' in ran.stderr


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="a fork of many threads' state")
def test_the_end_of_a_forked_child_is_not_its_vms_end():
    status, out, err = run_program("""
        import os, sys, warnings
        import grt
        from tests.vm import work

        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        vm = grt.vm.VM()
        pid = os.fork()
        if pid == 0:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), vm.go(work.double, 2).result())
        vm.close()
    """)
    assert (status, out, err) == (0, "7 4\n", "")


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="a fork of many threads' state")
def test_in_a_forked_child_the_vms_are_its_parent_s():
    status, out, err = run_program("""
        import os, warnings
        import grt
        from tests.vm import work

        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        requests, replies = grt.chan(), grt.chan()
        vm = grt.vm.VM()
        vm.go(work.echo, requests, replies)
        requests.send(1)
        assert replies.recv() == 1
        pid = os.fork()
        if pid == 0:
            for what in (lambda: vm.go(work.double, 2), replies.recv):
                try:
                    what()
                except grt.Closed as error:
                    print(error)
            vm.close()
            with grt.vm.VM() as own:
                print(own.go(work.double, 2).result())
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), vm.go(work.double, 3).result())
        requests.send(2)
        print(replies.recv())
        requests.close()
        vm.close()
    """)
    told = "VM 1 is the parent's of this process, which a fork has made"
    assert (status, err) == (0, "")
    assert out == f"{told}\nreceive from a closed channel: {told}\n4\n0 6\n2\n"


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="a fork of many threads' state")
def test_a_forked_child_keeps_no_vm_of_a_parent_that_was_killed():
    parent = spawn("""
        import os, time, warnings
        import grt

        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        vm = grt.vm.VM()
        if os.fork() == 0:
            print(vm.pid, os.getpid(), flush=True)
            time.sleep(600)
        grt.select()
    """)
    vm, child = map(int, read_line(parent).split())
    parent.kill()
    try:
        await_end([vm])
    finally:
        os.kill(child, signal.SIGKILL)
        finish(parent)


def test_a_vm_s_end_is_seen_though_a_child_of_its_lives(vm):
    child = vm.go(fork_and_sleep).result()
    try:
        vm.kill()
        vm.join(60)
    finally:
        os.kill(child, signal.SIGKILL)


def fork_and_sleep():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        time.sleep(600)
    return pid
