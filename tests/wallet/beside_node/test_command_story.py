"""A wallet's life on a real node that trains: made, earning, paying, drafting, lost and brought back. By processes."""

import json
import subprocess
import sys

from tests.node.processes import PASSWORD, ROOT
from tests.wallet.beside_node.life import run, wallet
from tests.wallet.screen import CTRL_C, ENTER, Screen
from wallet.keys import Wallet
from wallet.keystore_file import load

EXPORT_PASSWORD = "of the file"
# Words of the list that the sentences themselves have.
SAID = {"word", "of", "your", "note", "right", "these", "words", "bring", "this", "wallet", "back"}


def test_a_wallet_that_was_made_before_is_the_one_that_the_node_earns_for(life):
    assert life.node.status()["address"] == life.created["address"]
    [account] = life.of_earner("balance")["accounts"]
    assert int(account["balance_nanos"]) > 5_000_000 and int(account["earned_nanos"]) >= int(account["balance_nanos"])


def test_what_was_earned_is_told_by_day_and_kind(life):
    total = life.of_earner("earnings", "--days", "2")["total"]
    assert int(total["training_nanos"]) > 0
    page = wallet(life.earner, "earnings", as_json=False)
    assert page.status == 0 and "█" in page.out and "training" in page.out
    assert "released" in {each["kind"] for each in life.of_earner("history", "--limit", "200")["entries"]}
    assert life.of_earner("nodes")["nodes"][0]["node"] == life.node.status()["node"]


def test_a_person_sees_what_is_signed_and_says_yes_or_no(life):
    friend = life.of_friend("accounts")["accounts"][0]["address"]
    for answer, status in (("no", 1), ("yes", 0)):
        with Screen.of_wallet(
            life.earner, "send", "friend", "0.001", environment={"NEUROSHARD_PASSWORD": PASSWORD}
        ) as screen:
            seen = screen.until("Type yes or no")
            assert "0.001 NEURO" in seen and friend in seen and "(friend)" in seen
            screen.type(answer + ENTER)
            assert screen.ended() == status
    [account] = life.of_friend("balance")["accounts"]
    assert int(account["balance_nanos"]) >= 1_000_000
    entries = life.of_friend("history")["entries"]
    received = [
        each["counterparty"] for each in entries if (each["kind"], each["amount_nanos"]) == ("received", "1000000")
    ]
    assert received == [life.created["address"]]


def test_a_script_without_yes_signs_nothing(life):
    refused = wallet(life.earner, "send", "friend", "0.001")
    assert refused.status == 1 and "--yes" in refused.json["error"]["message"]
    assert refused.json["error"]["code"] == "not_confirmed"


def test_a_payment_is_drafted_signed_elsewhere_and_broadcast(life):
    draft, signed = life.root / "draft.json", life.root / "signed.json"
    assert wallet(life.earner, "draft", "--json", str(draft), "send", "friend", "0.0005", as_json=False).status == 2
    drafted = run("draft", "--data-dir", str(life.earner), str(draft), "send", "friend", "0.0005")
    assert drafted.status == 0, drafted.err
    assert wallet(life.earner, "sign-file", str(draft), str(signed), "--yes", "--api", "127.0.0.1:1").status == 0
    assert life.of_friend("broadcast", str(signed))["status"] == "final"
    assert (draft.stat().st_mode | signed.stat().st_mode) & 0o077 == 0


def test_who_watches_sees_payments_as_they_come(life):
    command = [sys.executable, "-m", "node", "wallet", "watch", "--limit", "1", "--data-dir", str(life.friend)]
    with subprocess.Popen(
        [*command, "--api", life.api, "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        # A listener that comes late sees the next one.
        for _ in range(20):
            life.of_earner("send", "friend", "0.0001", "--yes")
            if watching.poll() is not None:
                break
        events = [json.loads(line) for line in watching.stdout.read().splitlines()]
    assert watching.returncode == 0 and events[-1] == {"events": 1}
    assert events[0]["event"] in ("payment", "round_closed")


def test_a_text_is_signed_and_verified_and_a_changed_one_is_refused(life):
    block = life.of_earner("sign", "I hold this address")["block"]
    verified = wallet(life.friend, "verify", "-", stdin=block)
    assert verified.json["address"] == life.created["address"]
    refused = wallet(life.friend, "verify", "-", stdin=block.replace("hold", "held"))
    assert refused.status == 1 and refused.json["error"]["code"] == "message_error"


def test_a_wrong_password_and_none_have_a_status_of_their_own(life):
    assert wallet(life.earner, "sign", "x", password="wrong").status == 4
    nobody = wallet(life.earner, "sign", "x", password=None)
    assert nobody.status == 4 and nobody.json["error"]["code"] == "password_needed"
    assert wallet(life.earner, "status", "--api", "127.0.0.1:1").status == 3
    assert wallet(life.earner, "send", "friend").status == 2
    assert wallet(life.earner, "send", "friend", "1e3", "--yes").status == 2


def test_ctrl_c_ends_a_command_with_status_130(life):
    with Screen.of_wallet(life.earner, "watch", columns=200) as screen:
        screen.until("is finished")
        screen.press(CTRL_C)
        screen.until("what was sent already is not lost")
        assert screen.ended() == 130


def test_output_that_nobody_reads_or_that_does_not_fit_is_told_by_the_status(life):
    program = f"{sys.executable} -m node wallet help"
    for shell, status in ((f"{program} > /dev/full", 1), (f"{program} | true; exit ${{PIPESTATUS[0]}}", None)):
        ended = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert "Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr, ended.stderr
        assert status is None or (ended.returncode == status and "No space left" in ended.stderr)


def test_the_note_of_the_words_is_checked_by_three_of_them(life):
    for is_right in (True, False):
        with Screen.of_wallet(life.earner, "backup-check", environment={"NEUROSHARD_PASSWORD": PASSWORD}) as screen:
            for asked in range(1, 4):
                seen = screen.until(lambda seen, asked=asked: seen.count("of your note:") == asked)
                place = int(seen.rsplit("Word ", 1)[1].split()[0])
                screen.type((life.words.split()[place - 1] if is_right else "zebra") + ENTER)
                if not is_right:
                    break
            screen.until("Right: " if is_right else "is not that of this wallet")
            # What is typed is not shown, nor what would have been right.
            assert not set(screen.look().split()) & {"zebra", life.words.split()[place - 1]} - SAID
            assert screen.ended() == (0 if is_right else 1)


def test_a_validator_key_goes_to_another_machine_under_its_own_password(life):
    file, secret = life.root / "validator.json", life.root / "secret"
    secret.write_text(EXPORT_PASSWORD + "\n")
    done = life.of_earner("export", "validator", str(file), "--file-password", str(secret))
    assert load(file).public_key == done["public_key"] and done["path"] == "m/12381/20037/0/0"
    again = wallet(life.earner, "export", "validator", str(file), "--file-password", str(secret))
    assert again.status == 1 and "not overwritten" in again.json["error"]["message"]


def test_a_lost_wallet_comes_back_from_its_words_and_never_over_another(life):
    again = life.root / "again"
    restored = wallet(again, "restore", "--words-file", "-", stdin=life.words.upper() + "\n")
    assert restored.json["address"] == life.created["address"] == str(address_text(life.words))
    before = (again / "keystore.json").read_bytes()
    refused = wallet(again, "restore", "--words-file", "-", stdin=life.words)
    assert refused.status == 1 and (again / "keystore.json").read_bytes() == before
    nothing = wallet(life.root / "never", "restore", "--words-file", "-", stdin="twelve wrong words")
    assert nothing.status == 1 and not (life.root / "never" / "keystore.json").exists()
    found = wallet(again, "balance", "--api", life.api).json["accounts"][0]
    assert int(found["balance_nanos"]) > 0


def address_text(words: str) -> str:
    from chain.address import to_text

    return to_text(Wallet.from_words(words).address())
