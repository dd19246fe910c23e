"""The prompt with a node that trains and earns, in a real terminal."""

import re
import sys

import pytest

from chain.address import to_text
from tests.node.processes import PASSWORD
from tests.wallet.screen import CLEAR, CTRL_C, CTRL_D, ENTER, TAB, Screen

ALICE = to_text(bytes([0, *[1] * 20]))
PRICE = "0.001"
SECOND_PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def running(life):
    life.earned(10_000_000)
    # So high that a question and its whole answer are seen at once.
    with Screen.of_wallet(life.earner, lines=120) as screen:
        screen.until("connected")
        screen.enter("quiet on")
        screen.until("are not told")
        screen.enter(f"book add alice {ALICE}")
        screen.until(lambda seen: re.search(rf"^alice +{ALICE}", seen, re.M))
        yield screen


@pytest.fixture
def screen(running):
    """An empty screen with a prompt."""
    running.press(CTRL_C)
    running.until(lambda seen: re.search(r"neuro>\n*( connected.*)$", seen))
    running.press(CLEAR)
    running.until(lambda seen: seen.startswith("neuro>") and " connected" in seen)
    return running


def height(seen: str) -> int:
    return int(re.search(r"height (\d+)", seen.splitlines()[-1])[1])


def answer(screen, question, text):
    screen.until(lambda seen: seen.endswith(question))
    screen.enter(text)


def pay(screen, payee, price=PRICE):
    """Pay, whether or not the wallet is open."""
    screen.enter(f"send {payee} {price}")
    asked = screen.until(lambda seen: re.search(r"(your wallet|yes or no):$", seen))
    if asked.endswith("your wallet:"):
        screen.enter(PASSWORD)
    answer(screen, "Type yes or no:", "yes")
    seen = screen.until(lambda seen: re.search(r"yes or no: yes\n(.*\n)*(.*your wallet:$|Final in block)", seen))
    if "Final in block" not in seen:
        screen.enter(PASSWORD)
    return screen.until("Final in block")


def test_the_bar_has_network_phase_height_balance_and_connection(screen):
    seen = screen.until(lambda seen: "NEURO" in seen.splitlines()[-1])
    money, network = r"[\d.]+ NEURO( · \+[\d.]+ vesting)?", r"chain [0-9a-f]{8}"
    wanted = rf"^ connected · {money} · round \d+ \w+ · height \d+ · (un)?locked · {network}"
    assert re.search(wanted, seen.splitlines()[-1])


def test_the_bar_moves_while_nobody_types(screen):
    before = height(screen.text())
    screen.until(lambda seen: height(seen) > before)


def test_what_happens_is_told_above_the_line_that_is_being_typed(screen):
    screen.enter("quiet off")
    screen.type("send alice")
    screen.until(lambda seen: re.search(r"(?s)Earned: .*is finished.*\nneuro> send alice", seen))
    screen.type(" 7")
    assert screen.until("neuro> send alice 7")
    screen.press(CTRL_C)
    screen.enter("quiet on")
    screen.until("are not told")


def test_a_payment_is_confirmed_from_its_bytes_signed_and_final(screen):
    screen.type("send al" + TAB)
    screen.until("neuro> send alice")
    screen.enter(f" {PRICE}")
    if screen.until(lambda seen: seen.endswith(("yes or no:", "your wallet:"))).endswith("wallet:"):
        screen.enter(PASSWORD)
    seen = screen.until("yes or no:")
    assert re.search(rf"amount +{PRICE} NEURO\n", seen) and re.search(rf"to +{ALICE} \(alice\)\n", seen)
    screen.enter("perhaps")
    screen.until("Only yes and no are answers")
    screen.press(ENTER)
    screen.until("Nothing was signed")
    screen.enter("quiet off")
    seen = pay(screen, "alice")
    screen.until(lambda later: later.count(" is finished") > seen.count(" is finished"))
    assert "Final in block" in seen and " is final." not in screen.everything()  # told once
    screen.enter("quiet on")
    assert PASSWORD.encode() not in screen.raw


def test_ctrl_c_at_the_question_signs_nothing(screen):
    pay(screen, "alice")  # so that it is open
    screen.press(CLEAR)
    screen.until(lambda seen: "Final" not in seen)
    screen.enter(f"send alice {PRICE}")
    screen.until("yes or no:")
    screen.look(0.5)  # Python hears nothing between the question and the reading of its answer
    screen.press(CTRL_C)
    seen = screen.until("Stopped")
    assert "Handed in" not in seen


def test_keys_typed_before_the_question_do_not_answer_it(screen):
    pay(screen, "alice")
    screen.press(CLEAR)
    screen.until(lambda seen: "Final" not in seen)
    screen.press(f"send alice {PRICE}\ryes\r")
    screen.until("yes or no:")
    assert "Handed in" not in screen.look(1)
    screen.press(ENTER)
    screen.until("Nothing was signed")


def test_after_lock_the_password_is_asked_for_and_a_wrong_one_opens_nothing(screen):
    screen.enter("lock")
    screen.until("Locked")
    screen.until(lambda seen: "· locked" in seen.splitlines()[-1])
    screen.enter("sign hello")
    answer(screen, "Password of your wallet:", "wrong")
    screen.until("does not open")
    screen.enter("sign hello")
    answer(screen, "Password of your wallet:", PASSWORD)
    screen.until(lambda seen: "unlocked" in seen.splitlines()[-1])


def test_keys_are_forgotten_when_nobody_uses_them(life):
    code = f"""
import sys
from pathlib import Path
from wallet.repl import loop
loop.IDLE_SECONDS = 1
sys.exit(loop.Loop(Path({str(life.earner)!r}), None, lambda: None).run())
"""
    with Screen([sys.executable, "-c", code]) as screen:
        screen.until("connected")
        screen.enter("sign hello")
        answer(screen, "Password of your wallet:", PASSWORD)
        screen.until(lambda seen: "· locked" in seen.splitlines()[-1] and "END" in seen)
        screen.enter("sign hello")
        screen.until("Password of your wallet:")


def test_the_history_has_the_lines_and_no_secret(life, screen):
    pay(screen, "alice")
    kept = (life.earner / "wallet-history").read_text()
    assert f"send alice {PRICE}\n" in kept and PASSWORD not in kept and "yes" not in kept


QUESTIONS = {
    "status": "minted",
    "balance": "balance",
    "balance alice": ALICE,
    "receive": "main: neuro1",
    "accounts": "main",
    "book": "alice",
    "history": "when",
    "earnings": "earned",
    "nodes": "audits",
    "validator": "standing",
    "validators": "share",
    "rounds": "phase",
    "rounds 1": "phase",
    "audit": "audit",
    "pending": "final",
    "settings": "api",
    "help send": "PAYEE",
}


@pytest.mark.parametrize("line", QUESTIONS)
def test_every_question_has_its_answer_at_the_prompt(screen, line):
    screen.enter(line)
    seen = screen.until(lambda seen: re.search(rf"^neuro> {line}\n(.*\n)+neuro>", seen))
    assert QUESTIONS[line] in seen.lower().replace(line, "", 1) or QUESTIONS[line] in seen.replace(line, "", 1)
    assert "should not have happened" not in seen


def test_a_proof_is_told_in_plain_words(life, screen):
    node = life.node.status()["node"]
    screen.enter(f"proof 1 {node[:8]}")
    screen.until(lambda seen: "claimed" in seen and "neuro>" in seen.split("claimed")[-1])


def test_a_signed_text_is_verified(screen, tmp_path):
    (tmp_path / "letter").write_text("I hold this address.")
    screen.enter(f"sign --file {tmp_path / 'letter'}")
    asked = screen.until(lambda seen: "SIGN" in seen.split("letter")[-1] or seen.endswith("your wallet:"))
    if asked.endswith("your wallet:"):
        screen.enter(PASSWORD)
    screen.until("-----END NEURO SIGNATURE-----")
    block = re.findall(r"(?s)-----BEGIN NEURO SIGNED.*?-----END NEURO SIGNATURE-----", screen.raw.decode())[-1]
    (tmp_path / "signed").write_text(block.replace("\r\n", "\n") + "\n")
    screen.enter(f"verify {tmp_path / 'signed'}")
    screen.until("Signed by main")


def test_a_second_wallet_is_made_paid_and_told_while_its_owner_types(life, screen, tmp_path):
    with Screen.of_wallet(tmp_path, "--api", life.api) as other:
        other.until("neuro>")
        other.enter("create")
        answer(other, "Choose a password for your wallet:", SECOND_PASSWORD)
        answer(other, "Repeat for confirmation:", SECOND_PASSWORD)
        words = re.findall(r"\d+\. ([a-z]+)", other.until("Press Enter when you have them"))
        assert len(words) == 12
        other.press(ENTER)
        seen = other.until("A later `neuroshard` in this folder earns for it")
        assert not any(f". {word}" in other.everything() for word in words)
        address = re.search(r"neuro1[a-z0-9]+", seen)[0]
        other.until(lambda seen: "0 NEURO" in seen.splitlines()[-1])
        other.type("balan")
        pay(screen, address, "0.002")
        seen = other.until("Received: 0.002 NEURO from neuro1")
        assert re.search(r"^neuro> balan", seen, re.M)
        other.until(lambda seen: "0.002 NEURO" in seen.splitlines()[-1])
        other.press(CTRL_C)
        other.enter("history")
        other.until(lambda seen: re.search(r"received +\+0\.002 NEURO", seen))
        other.enter("backup-check")
        answer(other, "Password of your wallet:", SECOND_PASSWORD)
        for _ in range(3):
            place = re.search(r"Word (\d+) of your note:$", other.until(lambda seen: seen.endswith("of your note:")))[1]
            other.enter(words[int(place) - 1])
            other.until(lambda seen, asked=place: not seen.endswith(f"Word {asked} of your note:"))
        other.until("Right: these words bring this wallet back")
        other.press(CTRL_D)
        assert other.ended() == 0
        assert SECOND_PASSWORD.encode() not in other.raw
    for path in tmp_path.iterdir():
        assert SECOND_PASSWORD.encode() not in path.read_bytes() and " ".join(words).encode() not in path.read_bytes()


def test_a_node_that_goes_and_comes_back_is_told_and_followed(life, screen):
    """Meanwhile the usual address is tried, at which this machine may have a node of another network."""
    life.stop()
    screen.until(lambda seen: seen.splitlines()[-1].startswith((" node away", " other network")))
    assert re.search(r"^\d\d:\d\d:\d\d  (No node|The node at)", screen.text(), re.M)
    screen.enter("balance")
    screen.until(lambda seen: re.search(r"neuro> balance\n(No node answers at|The node at .* is of chain)", seen))
    life.go_on()
    life.node.until(bool)
    screen.until(lambda seen: seen.splitlines()[-1].startswith(" connected"))
    screen.until("answers again")
    screen.enter("balance")
    screen.until(lambda seen: re.search(r"^balance +[\d.]+ NEURO", seen, re.M))
