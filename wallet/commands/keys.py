"""The wallet itself: made, brought back, checked, its keys given to other machines."""

import hmac
import secrets
import sys
from pathlib import Path
from typing import Annotated

from wallet import keystore, keystore_file
from wallet.commands.parts import facts, one_after_another, words
from wallet.errors import CommandError, KeystoreError, KeystoreExists, PasswordNeeded
from wallet.export import KeyKind, export, key_of
from wallet.keys import Wallet
from wallet.kinds import ACCOUNT, ChoiceKind, FileKind, NumberKind
from wallet.mnemonic import MAX_TYPED, WORDS
from wallet.registry import Answer, command
from wallet.session import Session

ASKED_WORDS = 3
KEY_KIND = ChoiceKind(
    *(kind.value for kind in KeyKind), meanings=("owns money", "signs a machine's work", "votes for a validator")
)
NEW_FILE = FileKind("where to write it; nothing is overwritten")
SECRET_FILE = FileKind("a file that holds it; - reads it from stdin")
INDEX = NumberKind("N", 0, 2**31 - 1, "the number of the key")


@command("create", "Make a wallet in this folder and show its twelve words once.", group="wallet", examples=("create",))
def create(session: Session) -> Answer:
    _refuse_existing(session)
    password = session.new_password()
    twelve = Wallet.create().words()
    try:
        # Before the wallet is kept: one whose words nobody could read must not begin to earn.
        session.ui.show_words(twelve)
    except (OSError, ValueError) as error:
        raise CommandError(f"the words could not be shown ({error}), so no wallet was made") from error
    session.folder.create(twelve, password)
    return _made(
        session, "A later `neuroshard` in this folder earns for it. `backup-check` asks for some of the words."
    )


@command(
    "restore",
    "Bring a wallet back from its twelve words.",
    group="wallet",
    examples=("restore", "restore --words-file words.txt"),
)
def restore(
    session: Session, *, words_file: Annotated[Path | None, SECRET_FILE, "file with the words; - reads stdin"] = None
) -> Answer:
    _refuse_existing(session)
    if words_file is None and not session.ui.can_ask():
        raise PasswordNeeded("nobody can be asked for the words: give --words-file FILE, or - for stdin")
    typed = session.ui.ask_words() if words_file is None else _secret(words_file)
    Wallet.from_words(typed)  # before a password is asked for
    session.folder.create(typed, session.new_password())
    return _made(session, "`balance` shows what it owns; `accounts add` brings back accounts beside the first.")


def _refuse_existing(session: Session) -> None:
    if session.folder.exists:
        raise KeystoreExists(
            f"{session.folder.keystore} exists already and is not overwritten: name another folder with --data-dir"
        )


def _made(session: Session, advice: str) -> Answer:
    account = session.account(0)
    content = {"address": account.address_text, "keystore": str(session.folder.keystore)}
    rows = [("address", account.address_text), ("kept in", str(session.folder.keystore))]
    return Answer(content, one_after_another(facts(rows), words(advice)))


def _secret(path: Path) -> str:
    """A secret in a file or on stdin, without the end of its line. Raises CommandError."""
    try:
        if str(path) == "-":
            return sys.stdin.read(MAX_TYPED + 1).strip()
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_TYPED + 1).lstrip("\ufeff").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CommandError(f"{path} cannot be read: {reason}") from None


@command(
    "backup-check",
    "Ask for three of your twelve words, to see that your note is right.",
    group="wallet",
    examples=("backup-check",),
)
def backup_check(session: Session) -> Answer:
    if not session.ui.can_ask():
        raise PasswordNeeded("nobody can be asked for words of the wallet: use a terminal")
    known = session.wallet().words().split(" ")
    places = sorted(secrets.SystemRandom().sample(range(WORDS), ASKED_WORDS))
    for place in places:
        typed = session.ui.ask(f"Word {place + 1} of your note").strip().lower()
        if not hmac.compare_digest(typed.encode(), known[place].encode()):
            raise CommandError(
                f"word {place + 1} of your note is not that of this wallet: compare the note with the right wallet. "
                "If it is lost, make a new wallet, write its words down, and send everything there"
            )
    asked = [place + 1 for place in places]
    return Answer({"ok": True, "asked": asked}, words("Right: these words bring this wallet back."))


@command(
    "export",
    "Write one key under a password of its own (EIP-2335), for another machine.",
    group="wallet",
    examples=("export validator validator.json", "export wallet savings.json --account savings"),
)
def export_(
    session: Session,
    kind: Annotated[str, KEY_KIND, "which key"],
    file: Annotated[Path, NEW_FILE],
    *,
    number: Annotated[int | None, INDEX, "the number of the key; 0 if not given"] = None,
    account: Annotated[int | None, ACCOUNT, "of this account, instead of a number"] = None,
    file_password: Annotated[Path | None, SECRET_FILE, "file with the password of the new file; - is stdin"] = None,
) -> Answer:
    wanted, index = KeyKind(kind), account if account is not None else number or 0
    if file_password is None and not session.ui.can_ask():
        raise PasswordNeeded("the new file needs a password of its own: give --file-password FILE, or - for stdin")
    wallet = session.wallet()
    password = session.ui.password(True) if file_password is None else _secret(file_password)
    kept = export(wallet, wanted, index, password)
    try:
        keystore_file.save(file, kept)
    except ValueError as error:
        raise KeystoreError(f"{file} is no name of a file") from error
    public_key = key_of(wallet, wanted, index).public_key.hex()
    content = {"file": str(file), "kind": kind, "public_key": public_key, "path": kept.path}
    rows = [("file", str(file)), ("public key", public_key), ("path", kept.path)]
    mebibytes = 128 * keystore.SCRYPT_N * keystore.SCRYPT_R >> 20
    return Answer(content, one_after_another(facts(rows), words(f"Opening it takes {mebibytes} MiB and its password.")))
