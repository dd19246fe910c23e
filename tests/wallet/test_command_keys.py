"""The wallet itself, its names and its settings, by commands: what is asked, what is refused, what is never lost."""

import time

import pytest

from tests.wallet.people import PASSWORD, Person, a_session, a_wallet, typed
from wallet.errors import (
    BadValue,
    CommandError,
    KeystoreExists,
    KeystoreMissing,
    MnemonicError,
    NameRefused,
    NoWallet,
    PasswordNeeded,
    WalletError,
    WrongPassword,
)
from wallet.folder import WalletFolder
from wallet.mnemonic import to_words
from wallet.session import awake_or_not

pytestmark = pytest.mark.usefixtures("cheap")

ALICE = "neuro1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs5aqt5l"


def asked(folder, *answers, says=True, **how):
    """A session of somebody who types everything, the password too."""
    return a_session(folder, Person(*answers, says=says), password=lambda: None, **how)


def test_a_new_wallet_shows_its_words_before_it_is_kept_and_they_bring_it_back(tmp_path):
    session = asked(tmp_path / "a", PASSWORD)
    content, page = typed(session, "create")
    assert content["address"] in page and session.ui.words not in page
    assert session.ui.questions == ["a new password"]
    again = asked(tmp_path / "b", session.ui.words, PASSWORD)
    assert typed(again, "restore")[0]["address"] == content["address"]


def test_words_that_cannot_be_shown_make_no_wallet(tmp_path):
    session = asked(tmp_path, PASSWORD)

    def closed(_words):
        raise OSError("it is closed")

    session.ui.show_words = closed
    with pytest.raises(CommandError, match="no wallet was made"):
        typed(session, "create")
    assert not (tmp_path / "keystore.json").exists()


@pytest.mark.parametrize("line", ["create", "restore"])
def test_a_wallet_is_never_overwritten(line, tmp_path):
    kept = a_wallet(tmp_path).keystore.read_bytes()
    with pytest.raises(KeystoreExists, match="--data-dir"):
        typed(asked(tmp_path, "x", "y"), line)
    assert (tmp_path / "keystore.json").read_bytes() == kept


@pytest.mark.parametrize("line", ["create", "restore", "restore --words-file words"])
def test_without_anybody_to_ask_nothing_is_made(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").write_text("abandon " * 11 + "about")
    with pytest.raises(PasswordNeeded):
        typed(asked(tmp_path / "a", says=None), line)
    assert not (tmp_path / "a").exists()


def test_wrong_words_are_refused_before_a_password_is_asked_for(tmp_path):
    session = asked(tmp_path / "a", "abandon " * 12)
    with pytest.raises(MnemonicError):
        typed(session, "restore")
    assert session.ui.questions == ["the words"]
    with pytest.raises(CommandError, match="cannot be read"):
        typed(session, f"restore --words-file {tmp_path / 'missing'}")


def test_three_words_at_random_places_are_asked_and_a_wrong_one_is_told_without_the_right_one(tmp_path):
    words = to_words(bytes(range(16))).split()  # none of which the sentences have
    WalletFolder(tmp_path).create(" ".join(words), PASSWORD)

    class Rememberer(Person):
        def ask(self, question: str) -> str:
            self.questions.append(question)
            return words[int(question.split()[1]) - 1].upper() if self.says else "zebra"

    places = set()
    for _ in range(3):
        person = Rememberer()
        content, _ = typed(a_session(tmp_path, person), "backup-check")
        assert content["ok"] and len(set(content["asked"])) == 3 == len(person.questions)
        places |= set(content["asked"])
    assert len(places) > 3
    wrong = Rememberer(says=False)
    with pytest.raises(CommandError) as refused:
        typed(a_session(tmp_path, wrong), "backup-check")
    assert len(wrong.questions) == 1
    assert words[int(wrong.questions[0].split()[1]) - 1] not in str(refused.value).split()


# ---- Passwords


def test_the_password_is_asked_once_and_again_when_the_wallet_was_idle_or_locked(tmp_path, monkeypatch):
    a_wallet(tmp_path)
    session = asked(tmp_path, PASSWORD, PASSWORD, PASSWORD, "wrong", idle_seconds=300)
    now = [1_000.0]
    monkeypatch.setattr("wallet.session.awake_or_not", lambda: now[0])
    session.wallet()
    now[0] += 300
    session.wallet()
    assert len(session.ui.questions) == 1 and not session.is_locked
    now[0] += 301
    assert session.is_locked
    session.wallet()
    assert len(session.ui.questions) == 2
    session.lock()
    session.wallet()
    session.lock()
    with pytest.raises(WrongPassword):
        session.wallet()
    assert session.is_locked


def test_a_password_that_a_node_made_is_found(tmp_path):
    folder = a_wallet(tmp_path)
    (tmp_path / "keystore.password").write_text(PASSWORD + "\n")
    session = asked(tmp_path, says=None)
    assert session.wallet() == folder.open(PASSWORD)


def test_no_password_is_in_what_a_session_or_an_error_shows(tmp_path):
    a_wallet(tmp_path)
    session = a_session(tmp_path)
    session.wallet()
    assert PASSWORD not in repr(session) + repr(vars(session)) + repr(session.wallet())
    with pytest.raises(WrongPassword) as wrong:
        a_session(tmp_path, password=lambda: "hunter2 hunter2").wallet()
    assert "hunter2" not in str(wrong.value)


# ---- Accounts, names, settings


def test_accounts_are_added_and_called_otherwise(tmp_path):
    a_wallet(tmp_path)
    session = a_session(tmp_path)
    first = typed(session, "accounts add savings")[0]
    assert first["index"] == 1 and first["public_key"]
    typed(session, "accounts label savings house")
    content, page = typed(session, "accounts")
    assert [each["label"] for each in content["accounts"]] == ["main", "house"] and "house" in page
    assert typed(session, "receive --account house")[0]["address"] == first["address"]
    for line in (
        "accounts add",
        "accounts label house",
        "accounts list x",
        "accounts label nobody x",
        "accounts add main",
    ):
        with pytest.raises((BadValue, NameRefused)):
            typed(session, line)


def test_the_account_of_the_settings_is_the_usual_one_and_no_other_takes_its_place(tmp_path):
    a_wallet(tmp_path)
    session = a_session(tmp_path)
    savings = typed(session, "accounts add savings")[0]
    typed(session, "settings account savings")
    assert typed(session, "receive")[0]["address"] == savings["address"]
    session.folder.set_setting("account", "7")
    with pytest.raises(BadValue, match="no account 7"):
        typed(session, "receive")
    typed(session, "settings account -")
    assert typed(session, "receive")[0]["label"] == "main"


def test_names_are_added_found_and_forgotten(tmp_path):
    session = a_session(a_wallet(tmp_path).path)
    typed(session, f"book add alice {ALICE}")
    assert typed(session, "book")[0] == {"book": [{"name": "alice", "address": ALICE}]}
    assert session.called(bytes([0, *range(1, 21)])) == f"alice ({ALICE})"
    refused = (
        f"book add alice {ALICE}",
        f"book add main {ALICE}",
        f"book add neuro1x {ALICE}",
        "book add bob",
        "book remove bob",
    )
    for line in refused:
        with pytest.raises(WalletError):
            typed(session, line)
    assert typed(session, "book remove alice")[0] == {"book": []}


def test_settings_are_checked_kept_and_forgotten(tmp_path):
    session = a_session(a_wallet(tmp_path).path, api="")
    typed(session, "settings api 192.0.2.7:8420")
    assert session.api == "192.0.2.7:8420" == typed(session, "settings")[0]["api"]
    for line in ("settings api nonsense", "settings account nobody", "settings colour red"):
        with pytest.raises(BadValue):
            typed(session, line)
    typed(session, "settings api -")
    assert session.api == "127.0.0.1:8420"


def test_a_text_is_signed_from_one_place_only(tmp_path):
    session = a_session(a_wallet(tmp_path).path)
    letter = tmp_path / "letter"
    letter.write_text("first\nsecond")
    block = typed(session, f"sign --file {letter}")[0]["block"]
    (tmp_path / "signed").write_text(block)
    content, page = typed(session, f"verify {tmp_path / 'signed'}")
    assert content["text"] == "first\nsecond" and "Signed by main" in page
    for line in ("sign", f"sign x --file {letter}"):
        with pytest.raises(BadValue):
            typed(session, line)
    with pytest.raises(NoWallet):
        typed(a_session(tmp_path / "nothing"), "sign x")


def test_a_link_to_a_keystore_that_is_not_at_hand_is_not_a_folder_without_a_wallet(tmp_path):
    (tmp_path / "keystore.json").symlink_to(tmp_path / "stick" / "keystore.json")
    session = asked(tmp_path, PASSWORD)
    with pytest.raises(KeystoreExists):
        typed(session, "create")
    assert session.ui.words == "" and session.ui.questions == []
    with pytest.raises(KeystoreMissing, match="there is no keystore"):
        typed(session, "receive")


def test_a_machine_that_slept_was_idle_meanwhile():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= awake_or_not() <= time.clock_gettime(time.CLOCK_BOOTTIME)
