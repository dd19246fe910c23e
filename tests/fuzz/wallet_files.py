"""The files that a wallet reads, spoilt: each is refused in words, or says something that is written back alike."""

from collections.abc import Callable
from functools import cache
from typing import Any

from chain.errors import NeuroError
from tests.fuzz.mutation import Chance, damaged
from tests.wallet.cases import BOB, CHAIN, PASSWORD, SECRET, WALLET, a_draft, a_sent
from wallet import folder_file, keystore, messages, pending, transaction_file
from wallet.accounts import account_of
from wallet.book import Book
from wallet.export import KeyKind, export
from wallet.folder_file import Content
from wallet.transaction_file import TransactionFile

Kind = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]


def _block(data: bytes) -> messages.SignedMessage:
    return messages.read_block(data.decode("latin-1"))


def _block_bytes(message: messages.SignedMessage) -> bytes:
    return message.to_block().encode("latin-1")


KINDS: dict[str, Kind] = {
    "wallet.json": (folder_file.parse, folder_file.to_json),
    "wallet-pending.json": (pending.parse, pending.to_json),
    "transaction": (transaction_file.parse, transaction_file.to_json),
    "keystore": (keystore.parse, keystore.to_json),
    "message": (_block, _block_bytes),
}


@cache
def valid() -> dict[str, tuple[Any, ...]]:
    """Objects of each kind."""
    accounts = account_of(WALLET, 0, "main"), account_of(WALLET, 7, "savings")
    full = Content(accounts, Book().added("bob", BOB), {"idle": 5, "on": True}, {"a:1": CHAIN})
    draft = TransactionFile(a_draft(), "home")
    return {
        "wallet.json": (Content(), full),
        "wallet-pending.json": ((), (a_sent(0), a_sent(1))),
        "transaction": (draft, draft.signed_by(SECRET)),
        "keystore": (WALLET.to_keystore(PASSWORD, scrypt_n=2), export(WALLET, KeyKind.VALIDATOR, 0, PASSWORD, 2)),
        "message": (messages.sign_message("a\nb", SECRET), messages.sign_message("", SECRET)),
    }


@cache
def _valid_bytes() -> dict[str, tuple[bytes, ...]]:
    return {name: tuple(KINDS[name][1](each) for each in objects) for name, objects in valid().items()}


def wallet_files(chance: Chance) -> bool:
    """Whether what was made of a valid file is one."""
    names = list(KINDS)
    name, other = (names[chance.below(len(names))] for _ in range(2))
    read, written = KINDS[name]
    data = damaged(_valid_bytes()[name][chance.below(2)], _valid_bytes()[other][chance.below(2)], chance)
    try:
        found = read(data)
    except NeuroError:
        return False
    assert read(written(found)) == found
    return True
