"""The REPL on a real terminal: what a person at the prompt sees, typed and read through a pseudo-terminal."""

import os
import subprocess
import sys

import pexpect
import pytest

PROMPT = ">>> "
LIMIT = 30  # seconds; nothing waits it out unless a test fails


@pytest.fixture
def repl(tmp_path):
    environment = dict(os.environ, HOME=str(tmp_path), TERM="dumb", PYTHONWARNINGS="error", NO_COLOR="1")
    child = pexpect.spawn(sys.executable, ["-m", "grt"], encoding="utf-8", timeout=LIMIT, env=environment)
    child.expect(PROMPT)
    yield child
    child.close(force=True)


def say(repl, statement, answer=PROMPT):
    repl.sendline(statement)
    repl.expect(answer)
    if answer != PROMPT:
        repl.expect(PROMPT)


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


def test_ctrl_c_throws_a_half_edited_line_away_and_the_session_goes_on(repl):
    repl.send("this_is_never_run")
    repl.expect("never_run")
    repl.sendintr()
    repl.expect("KeyboardInterrupt")
    repl.expect(PROMPT)
    say(repl, "20 + 22", "42")


def test_ctrl_c_ends_a_statement_that_blocks(repl):
    repl.sendline("print('sleep' + 'ing'); sleep(1000)")
    repl.expect("sleeping")
    repl.sendintr()
    repl.expect("KeyboardInterrupt")
    repl.expect(PROMPT)
    say(repl, "20 + 22", "42")


def test_ctrl_c_ends_a_statement_that_keeps_the_thread(repl):
    repl.sendline("print('spin' + 'ning')\nwhile True: pass\n")
    repl.expect("spinning")
    repl.expect(r"\.\.\. ")
    repl.sendintr()
    repl.expect("KeyboardInterrupt")
    repl.expect(PROMPT)
    say(repl, "20 + 22", "42")


def test_ctrl_c_leaves_the_other_goroutines_alone(repl):
    say(repl, "g = go(sleep, 1000)")
    repl.sendintr()
    repl.expect("KeyboardInterrupt")
    repl.expect(PROMPT)
    say(repl, "g.done", "False")


def test_an_exception_is_shown_and_the_session_goes_on(repl):
    say(repl, "1 / 0", "ZeroDivisionError")
    say(repl, "20 + 22", "42")
    say(repl, "_ + 1", "43")


def test_tab_completes_names(repl):
    repl.send("grt.gosc\t")
    repl.expect(r"grt\.gosched")
    repl.sendintr()
    repl.expect(PROMPT)


def test_the_last_line_comes_back_from_the_history(repl):
    say(repl, "'his' + 'tory'", "history")
    repl.send("\x10")  # Ctrl-P, as the up arrow
    repl.expect("'his' [+] 'tory'")
    repl.sendline("")
    repl.expect("history")


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
    repl.sendeof()
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 0


def test_exit_leaves_with_its_status(repl):
    repl.sendline("raise SystemExit(3)")
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 3


def test_lines_come_from_a_pipe_too():
    script = "g = go(print, 'from a goroutine')\ng.join()\nprint(6 * 7)\n"
    done = subprocess.run([sys.executable, "-m", "grt"], input=script, capture_output=True, text=True, timeout=LIMIT)
    assert done.stdout == "from a goroutine\n42\n" and done.stderr.strip() == ""
    assert done.returncode == 0
