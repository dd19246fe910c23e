"""The prompt as a person meets it, in a real terminal, without a wallet and without a node."""

import json
import re
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.wallet.screen import CLEAR, CTRL_C, CTRL_D, ENTER, ROOT, TAB, UP, Screen
from wallet.folder import WalletFolder
from wallet.mnemonic import to_words

NOBODY = "--api=127.0.0.1:1"  # a port at which nothing ever listens
PASSWORD = "hunter2 hunter2"
COLOUR = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8;[25])[0-9;]*m")


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A prompt for tests that leave it as it was."""
    with opened(tmp_path_factory.mktemp("running")) as screen:
        yield screen


@pytest.fixture
def screen(running):
    running.press(CTRL_C)
    running.press(CLEAR)
    running.until(lambda seen: seen.startswith("neuro>") and seen.count("\n") == running.terminal.lines - 1)
    return running


def opened(home, **how):
    screen = Screen.of_wallet(home, NOBODY, **how)
    screen.until("neuro>")
    return screen


def test_the_first_run_says_what_there_is_to_do(home):
    with opened(home) as screen:
        seen = screen.until("node away")
        assert "no wallet in" in seen and "`create`" in seen and "`restore`" in seen
        assert seen.splitlines()[-1].startswith(" node away · no wallet")


def test_a_node_that_is_away_is_told_once_and_the_prompt_goes_on(home):
    with opened(home) as screen:
        screen.until("No node: ")
        screen.enter("status")
        seen = screen.until(lambda seen: "HOST:PORT" in seen and seen.count("neuro>") == 2)
        assert seen.count("No node: ") == 1


@pytest.mark.parametrize("leaving", [CTRL_D, "exit" + ENTER, "quit" + ENTER])
def test_there_are_three_ways_out(home, leaving):
    with opened(home) as screen:
        screen.press(leaving)
        assert screen.ended() == 0


def test_ctrl_c_takes_the_line_away_and_nothing_else(screen):
    screen.type("send alice 5")
    screen.until("send alice 5")
    screen.press(CTRL_C)
    screen.until(lambda seen: seen.count("neuro>") == 2)
    screen.enter("stauts")
    seen = screen.until("did you mean status?")
    assert "there is no command" in seen.lower()


def test_a_mistyped_command_has_a_suggestion_and_nonsense_has_none(screen):
    screen.enter("hlep")
    screen.until("did you mean help?")
    screen.enter("xyzzy")
    screen.until("There is no command 'xyzzy'; `help` lists all")


def test_an_open_quote_is_told(screen):
    screen.enter("help 'status")
    screen.until("A quote is opened and not closed")


def test_help_of_one_command_has_its_usage_and_examples(screen):
    for line in ("help rounds", "rounds --help", "rounds -h"):
        screen.enter(line)
        screen.until("rounds 12")
        screen.press(CLEAR)
        screen.until(lambda seen: "rounds 12" not in seen)


def test_help_lists_the_commands_of_the_prompt_too(home):
    with opened(home, lines=90) as screen:
        screen.enter("help")
        seen = screen.until("exit")
        assert all(re.search(rf"^ *{name} ", seen, re.M) for name in ("status", "rounds", "watch", "lock", "exit"))


def test_tab_completes_a_command(screen):
    screen.type("statu" + TAB)
    screen.until("neuro> status")


def test_tab_completes_too_while_the_menu_is_still_being_made(home):
    code = f"""
import time
from pathlib import Path
from wallet.repl import completer, loop
at_once = completer.LineCompleter.get_completions
def late(self, document, event):
    time.sleep(0 if event.completion_requested else 2)
    yield from at_once(self, document, event)
completer.LineCompleter.get_completions = late
loop.Loop(Path({str(home)!r}), "127.0.0.1:1", lambda: None).run()
"""
    with Screen([sys.executable, "-c", code]) as screen:
        screen.until("neuro>")
        screen.type("statu")
        screen.until("neuro> statu")
        screen.press(TAB)
        screen.until("neuro> status", 1.5)


def test_a_known_command_and_a_wrong_one_have_other_colours(screen):
    screen.type("status")
    screen.until("neuro> status")
    right = screen.colours_of("neuro> status") - {"default"}
    screen.press(CTRL_C)
    screen.type("stauts ")
    screen.until("neuro> stauts")
    wrong = screen.colours_of("stauts")
    assert right and wrong and not right & wrong


def test_lines_come_back_after_a_restart_but_no_words_of_a_wallet(home):
    words = to_words(bytes(range(16)))
    with opened(home) as screen:
        screen.enter("help status")
        screen.until("How the network")
        screen.enter(words)
        screen.until("there is no command".capitalize())
        screen.enter(f"restore {words}")
        screen.until(lambda seen: seen.count("neuro>") >= 4)
        screen.press(CTRL_D)
        assert screen.ended() == 0
    kept = home / "wallet-history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text() == "help status\n"
    with opened(home) as screen:
        screen.press(UP)
        screen.until("neuro> help status")


def test_forty_columns_are_enough(home):
    with opened(home, columns=40) as screen:
        seen = screen.until("node away")
        screen.enter("stauts")
        screen.until("did you")
        assert seen.splitlines()[-1] == " node away · no wallet"
        assert all(len(line) <= 40 for line in seen.splitlines())
        assert not re.search(r"`cre\n|`resto\n|wal\nlet", screen.everything())


def test_a_window_that_changes_its_size_is_drawn_anew(home):
    with opened(home) as screen:
        screen.until("node away")
        screen.resize(60, 20)
        screen.enter("help")
        screen.until(lambda seen: seen.splitlines()[-1].startswith(" node away"))


def test_without_colours_there_is_no_colour(home):
    with opened(home, environment={"NO_COLOR": "1"}) as screen:
        screen.until("node away")
        screen.enter("stauts")
        screen.until("did you mean")
        screen.enter("help")
        screen.until("How the network")
        assert not COLOUR.search(screen.raw)


def test_with_colours_there_are_some(screen):
    screen.enter("stauts")
    screen.until("did you mean")
    assert COLOUR.search(screen.raw)


def test_a_dumb_terminal_gets_plain_text(home):
    with opened(home, environment={"TERM": "dumb"}) as screen:
        screen.enter("stauts")
        screen.until("did you mean status?")
        screen.enter("help")
        screen.until("How the network")
        screen.press(CTRL_C)
        screen.until("^C\nneuro>")
        screen.enter("exit")
        assert screen.ended() == 0
        assert b"\x1b" not in screen.raw


def test_a_terminal_of_ascii_gets_ascii(home):
    WalletFolder(home).create(None, PASSWORD)
    with opened(home, environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}) as screen:
        assert screen.until("node away").splitlines()[-1] == " node away | locked"
        screen.enter("receive")  # which has a QR code
        seen = screen.until(lambda seen: re.search(r"main: neuro1.*\n(.*\n)+neuro>", seen))
        assert "should not have happened" not in seen and seen.isascii()


def test_keys_that_steer_terminals_are_only_letters_to_the_prompt(home):
    with opened(home) as screen:
        screen.press("\x1b[200~evil\x1b]0;title\x07\x1b[2J words\x1b[201~")
        screen.look(0.5)
        screen.press(ENTER)
        seen = screen.until("There is no command")
        assert "no wallet in" in seen  # the screen was not emptied
        assert b"\x1b]0;title" not in screen.raw


EVIL = "\x1b]0;evil\x07\x1b[2J\x1b[31mred\u202e\u200b\n"


class EvilNode(BaseHTTPRequestHandler):
    """A node whose every text would steer the terminal, and whose numbers are sometimes none."""

    def do_GET(self):
        status = {
            "chain_id": "ab" * 32,
            "phase": EVIL,
            "round": 3,
            "round_phase": EVIL,
            "height": 12,
            "round_line": EVIL,
        }
        events = [
            ("status", status),
            ("round_closed", {"round": 3, "model_root": EVIL}),
            (EVIL.replace("\n", ""), {}),
            ("round_void", {"round": 4}),
            ("earning", {"kind": EVIL, "amount_nanos": "1000000000", "round": None, "node": None}),
            ("status", status | {"height": EVIL}),
        ]
        is_stream = self.path.startswith("/v1/events")
        error = {"error": {"code": EVIL, "message": EVIL * 100}}
        body = "".join(f"event: {name}\ndata: {json.dumps(content)}\n\n" for name, content in events)
        content = body.encode() if is_stream else json.dumps(status if self.path == "/v1/status" else error).encode()
        self.send_response(200 if is_stream or self.path == "/v1/status" else 400)
        self.send_header("Content-Type", "text/event-stream" if is_stream else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def test_what_a_node_says_cannot_steer_the_terminal(home):
    with ThreadingHTTPServer(("127.0.0.1", 0), EvilNode) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Screen.of_wallet(home, "--api", f"127.0.0.1:{server.server_port}") as screen:
            screen.until("Round 3 is finished")
            screen.until("Round 4 has ended")
            screen.until("Earned: 1 NEURO for ")
            screen.until("makes no sense")  # and the connection is given up
            for line in ("rounds", "audit", "proof 3 abcd", "status"):
                screen.enter(line)
                screen.until(lambda seen, asked=line: re.search(rf"neuro> {asked}\n(.*\n)+neuro>", seen))
                screen.press(CLEAR)
            screen.until(lambda seen: "ode away" in seen.splitlines()[-1])
            assert b"\x1b]0;evil" not in screen.raw and b"\x1b[31mred" not in screen.raw
            assert "\u202e" not in screen.everything()
        server.shutdown()


def test_keys_pressed_while_a_command_runs_stand_at_the_next_prompt_only(home):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        code = f"""
from pathlib import Path
from wallet import client
from wallet.repl import loop
client.SECONDS = 1.5
loop.Loop(Path({str(home)!r}), "127.0.0.1:{silent.getsockname()[1]}", lambda: None).run()
"""
        with Screen([sys.executable, "-c", code]) as screen:
            screen.until("neuro>")
            screen.enter("status")
            screen.until(lambda seen: "no wallet" not in seen.splitlines()[-1])  # the bar is gone: it runs
            screen.type("help sta")
            seen = screen.until(lambda seen: re.search(r"^neuro> help sta", seen, re.M))
            assert seen.count("help sta") == 1


def test_an_answer_given_before_the_question_is_none(tmp_path):
    code = """
import time
from wallet.repl.asker import Asker
print("ready", flush=True)
time.sleep(1)
print("answer", Asker(False).confirm([("amount", "1 NEURO")], "Sign this?"))
"""
    with Screen([sys.executable, "-c", code]) as screen:
        screen.until("ready")
        screen.press("yes\r")
        screen.until("Type yes or no:")
        assert "answer" not in screen.look(0.5)
        screen.press(ENTER)
        screen.until("answer False")


@pytest.mark.parametrize("how", [{"stdin": subprocess.DEVNULL}, {"stdin": subprocess.PIPE}])
def test_without_a_terminal_it_names_the_commands_for_scripts(home, how):
    command = [sys.executable, "-m", "node", "wallet", "--data-dir", str(home / "new")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **how)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "needs a terminal" in ended.stderr and "neuroshard wallet COMMAND" in ended.stderr
    assert not (home / "new").exists()


def test_a_wallet_is_made_and_brought_back_in_forty_columns(home):
    """Whose words and password are seen once or never, and are in no file."""
    made, back = home / "made", home / "back"
    with Screen.of_wallet(made, NOBODY, columns=40, lines=24) as screen:
        screen.until("neuro>")
        screen.enter("create")
        for question in ("Choose a password for your wallet:", "Repeat for confirmation:"):
            screen.until(lambda seen, asked=question: seen.endswith(asked))
            screen.enter(PASSWORD)
        shown = screen.until("Press Enter when you have them")
        words = " ".join(re.findall(r"\d+\. ([a-z]+)", shown))
        assert len(words.split()) == 12
        screen.press(ENTER)
        address = re.search(r"neuro1[a-z0-9]+", screen.until("`backup-check`").replace("\n", ""))[0]
        assert not re.search(r"\d+\. [a-z]+", screen.everything())
        screen.until(lambda seen: seen.splitlines()[-1].startswith(" node away · "))
        screen.press(CTRL_D)
        assert screen.ended() == 0
    with Screen.of_wallet(back, NOBODY, columns=40) as screen:
        screen.until("neuro>")
        screen.enter("restore")
        screen.until("shown):")
        screen.enter(words)
        for question in ("Choose a password for your wallet:", "Repeat for confirmation:"):
            screen.until(lambda seen, asked=question: seen.endswith(asked))
            screen.enter(PASSWORD)
        assert address in screen.until("`balance` shows").replace("\n", "").replace(" ", "")
        assert not any(secret in screen.raw for secret in (words.encode(), PASSWORD.encode()))
    for path in (*made.iterdir(), *back.iterdir()):
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in (words, " ".join(words.split()[:6]), PASSWORD))
