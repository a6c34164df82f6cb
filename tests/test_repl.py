"""The REPL on a real terminal: what a person at the prompt sees, typed and read through a pseudo-terminal."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pexpect
import pytest

PROMPT = ">>> "
LIMIT = 30  # seconds; nothing waits it out unless a test fails


def has_terminals():
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError:
        return False
    return True


pytestmark = [
    pytest.mark.skipif(not has_terminals(), reason="this system lends no pseudo-terminals"),
    # pexpect forks, and the tests' own time limit is a thread
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@contextmanager
def session(home, *command):
    environment = dict(os.environ, HOME=str(home), TERM="dumb", PYTHONWARNINGS="error", NO_COLOR="1")
    child = pexpect.spawn(sys.executable, [*command], encoding="utf-8", timeout=LIMIT, env=environment)
    child.expect(PROMPT)
    yield child
    child.close(force=True)


@pytest.fixture
def repl(tmp_path):
    with session(tmp_path, "-m", "grt") as child:
        yield child


def say(repl, statement, answer=PROMPT):
    repl.sendline(statement)
    repl.expect(answer)
    if answer != PROMPT:
        repl.expect(PROMPT)


def interrupt(repl):
    repl.sendintr()
    repl.expect("KeyboardInterrupt")
    repl.expect(PROMPT)
    say(repl, "20 + 22", "42")


def leave(repl):
    repl.sendeof()
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 0


def test_goroutines_run_while_the_prompt_waits(repl):
    say(repl, "ticks = []")
    for line in ("def tick():", "    while len(ticks) < 5:", "        sleep(0.01); ticks.append(1)"):
        repl.sendline(line)
    say(repl, "    print('five' + '!')\n")
    repl.sendline("g = go(tick)")
    repl.expect("five!")  # printed while the prompt waits


def test_callbacks_run_while_the_prompt_waits(repl):
    repl.sendline("_ = loop.call_later(0.05, print, 'call' + 'back')")
    repl.expect("callback")


def test_a_terminal_that_gets_another_size_is_filled_as_it_is_then(repl):
    say(repl, "import ctypes, readline; shown = ctypes.c_int(), ctypes.c_int()")
    say(repl, "size = lambda: ctypes.CDLL(readline.__file__).rl_get_screen_size(*map(ctypes.byref, shown))")
    for line in ("def watch():", "    while not 0 < shown[1].value <= 50:", "        sleep(0.01); _ = size()"):
        repl.sendline(line)
    say(repl, "    print('re' + 'sized')\n")
    say(repl, "g = go(watch)")
    repl.setwinsize(30, 50)
    repl.send("x")
    repl.expect("resized")


def test_ctrl_c_throws_a_half_edited_line_away_and_the_session_goes_on(repl):
    repl.send("this_is_never_run")
    repl.expect("never_run")
    interrupt(repl)


def test_ctrl_c_ends_a_statement_that_blocks(repl):
    repl.sendline("print('sleep' + 'ing'); sleep(1000)")
    repl.expect("sleeping")
    interrupt(repl)


def test_ctrl_c_ends_a_statement_that_keeps_the_thread(repl):
    repl.sendline("print('spin' + 'ning')\nwhile True: pass\n")
    repl.expect("spinning")
    repl.expect(r"\.\.\. ")
    interrupt(repl)


def test_ctrl_c_leaves_the_other_goroutines_alone(repl):
    say(repl, "g = go(sleep, 1000)")
    repl.send("x")
    repl.expect("x")
    interrupt(repl)
    say(repl, "g.done", "False")


def test_ctrl_c_ends_a_statement_of_several_lines_before_its_end(repl):
    repl.sendline("def unfinished():")
    repl.expect(r"\.\.\. ")
    interrupt(repl)
    say(repl, "unfinished", "NameError")


def test_ctrl_c_ends_a_search_through_the_history(repl):
    say(repl, "'his' + 'tory'", "history")
    repl.send("\x12")  # Ctrl-R
    repl.expect("reverse-i-search")
    interrupt(repl)


def test_an_exception_is_shown_and_the_session_goes_on(repl):
    say(repl, "1 / 0", "ZeroDivisionError")
    say(repl, "20 + 22", "42")
    say(repl, "_ + 1", "43")


def test_tab_completes_names(repl):
    repl.send("grt.gosc\t")
    repl.expect(r"grt\.gosched")
    interrupt(repl)


@pytest.mark.parametrize("key", ["\x10", "\x1b[A"], ids=["Ctrl-P", "up"])
def test_the_last_line_comes_back_from_the_history(repl, key):
    say(repl, "'his' + 'tory'", "history")
    repl.send(key)
    repl.expect("'his' [+] 'tory'")
    repl.sendline("")
    repl.expect("history")


def test_the_history_is_there_in_the_next_session(repl, tmp_path):
    say(repl, "'his' + 'tory'", "history")
    leave(repl)
    with session(tmp_path, "-m", "grt") as later:
        later.send("\x10")
        later.expect("'his' [+] 'tory'")


def test_a_goroutine_may_ask_at_the_terminal(repl):
    repl.sendline("answer = go(input, 'na' + 'me? ')")
    repl.expect(r"name\? ")
    repl.sendline("Joe")
    say(repl, "")  # the prompt comes back with the next key
    say(repl, "answer.result() * 2", "'JoeJoe'")


def test_other_prompts_are_shown(repl):
    repl.sendline("import sys; sys.ps1 = 'grt' + '$ '")
    repl.expect(r"grt\$ ")


def test_layer_1_can_be_walked_by_hand(repl):
    say(repl, "server = sock.open(); sock.bind(server, ('127.0.0.1', 0)); sock.listen(server)")
    say(repl, "sock.tcp_state(server)", "LISTEN")
    say(repl, "near = sock.open(); sock.connect(near, sock.local_address(server))")
    say(repl, "far, _ = sock.accept(server)")
    say(repl, "sock.tcp_state(far)", "ESTABLISHED")
    say(repl, "sock.close(near)")
    say(repl, "sock.tcp_state(far)", "CLOSE_WAIT")


def test_ctrl_d_leaves(repl):
    say(repl, "g = go(sleep, 1000)")
    leave(repl)


def test_exit_leaves_with_its_status(repl):
    repl.sendline("exit(3)")
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 3


def test_without_readline_the_terminal_edits_and_goroutines_still_run(tmp_path):
    program = "import sys; sys.modules['readline'] = None; from grt.repl import interact; interact('grt')"
    with session(tmp_path, "-c", program) as repl:
        say(repl, "20 + 22", "42")
        repl.sendline("_ = loop.call_later(0.05, print, 'call' + 'back')")
        repl.expect("callback")
        repl.sendintr()
        repl.expect("KeyboardInterrupt")
        repl.expect(PROMPT)
        leave(repl)


def run(program):
    return subprocess.run([sys.executable, "-m", "grt"], input=program, capture_output=True, text=True, timeout=LIMIT)


def test_a_program_on_a_pipe_is_run():
    done = run("def answer():\n    return 42\nprint(go(answer).result())\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


def test_a_program_on_a_pipe_that_fails_says_so():
    done = run("print(1)\n1 / 0\n")
    assert done.returncode == 1 and done.stdout == "1\n"
    assert "ZeroDivisionError" in done.stderr
