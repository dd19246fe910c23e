"""What wallet.json says: accounts, address book, settings, networks met. No secret is in it."""

import json
from dataclasses import dataclass, field
from typing import Any

from chain.address import address_of, from_text, to_text
from chain.errors import DecodeError
from wallet.accounts import ACCOUNTS_MAXIMUM, INDEX_MAXIMUM, Account
from wallet.book import ENTRIES_MAXIMUM, Book, Entry, checked_name, key_of
from wallet.errors import FolderDamaged, NameRefused
from wallet.strict import Reader

SCHEMA = 1
BYTES_MAXIMUM = 1_000_000
SETTINGS_MAXIMUM = 64
CHAINS_MAXIMUM = 64
TEXT_CHARACTERS = 200
NUMBER_MAXIMUM = 2**53

Setting = str | int | bool


@dataclass(frozen=True, slots=True)
class Content:
    """The whole file. `chains` are the chain ids of the nodes that were asked, by their HOST:PORT."""

    accounts: tuple[Account, ...] = ()
    book: Book = field(default_factory=Book)
    settings: dict[str, Setting] = field(default_factory=dict)
    chains: dict[str, bytes] = field(default_factory=dict)


def to_json(content: Content) -> bytes:
    accounts = [
        {
            "index": account.index,
            "label": account.label,
            "address": account.address_text,
            "public_key": None if account.public_key is None else account.public_key.hex(),
        }
        for account in content.accounts
    ]
    whole = {
        "schema": SCHEMA,
        "accounts": accounts,
        "book": [{"name": entry.name, "address": to_text(entry.address)} for entry in content.book],
        "settings": content.settings,
        "chains": {node: chain_id.hex() for node, chain_id in content.chains.items()},
    }
    return json.dumps(whole, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def parse(content: bytes, what: str = "wallet.json") -> Content:
    """The content of a file. Raises FolderDamaged."""
    reader = Reader(what, FolderDamaged)
    whole = reader.object(content, {"schema", "accounts", "book", "settings", "chains"})
    schema = reader.whole(whole["schema"], 2**31, "schema")
    if schema != SCHEMA:
        raise reader.fault(f"it has schema {schema} and this program knows {SCHEMA}: use the program that wrote it")
    rows = reader.rows(whole["accounts"], ACCOUNTS_MAXIMUM, "accounts")
    accounts = tuple(_account(reader, row) for row in rows)
    rows = reader.rows(whole["book"], ENTRIES_MAXIMUM, "book")
    book = Book(tuple(_entry(reader, row) for row in rows))
    _check_apart(reader, accounts, book)
    return Content(accounts, book, _settings(reader, whole["settings"]), _chains(reader, whole["chains"]))


def _account(reader: Reader, row: Any) -> Account:
    row = reader.shaped(row, {"index", "label", "address", "public_key"})
    index = reader.whole(row["index"], INDEX_MAXIMUM, "an account's index")
    address = _address(reader, row["address"])
    key = None
    if row["public_key"] is not None:
        key = reader.raw(row["public_key"], (33, 33), "an account's public_key")
        if address_of(key) != address:
            raise reader.fault(f"the public key of account {index} is not that of its address")
    return Account(index, _name(reader, row["label"]), address, key)


def _entry(reader: Reader, row: Any) -> Entry:
    row = reader.shaped(row, {"name", "address"})
    return Entry(_name(reader, row["name"]), _address(reader, row["address"]))


def _name(reader: Reader, value: Any) -> str:
    name = reader.take(value, str, "a name")
    try:
        if checked_name(name) == name:
            return name
    except NameRefused as error:
        raise reader.fault(str(error)) from None
    raise reader.fault("a name is not in its usual form")


def _address(reader: Reader, value: Any) -> bytes:
    text = reader.take(value, str, "an address")
    try:
        address = from_text(text)
    except DecodeError as error:
        raise reader.fault(str(error)) from None
    if to_text(address) != text:
        raise reader.fault("an address is not in lower case")
    return address


def _check_apart(reader: Reader, accounts: tuple[Account, ...], book: Book) -> None:
    names = [key_of(account.label) for account in accounts] + [key_of(entry.name) for entry in book]
    addresses = [entry.address for entry in book]
    indexes = [account.index for account in accounts]
    for values in (names, addresses, indexes, [account.address for account in accounts]):
        if len(set(values)) != len(values):
            raise reader.fault("a name, an address or an account stands there twice")


def _settings(reader: Reader, value: Any) -> dict[str, Setting]:
    found = reader.take(value, dict, "settings")
    if len(found) > SETTINGS_MAXIMUM:
        raise reader.fault(f"there are more than {SETTINGS_MAXIMUM} settings")
    return {reader.text(name, TEXT_CHARACTERS, "a setting"): _setting(reader, each) for name, each in found.items()}


def _setting(reader: Reader, value: Any) -> Setting:
    if type(value) is bool:
        return value
    if type(value) is int:
        return reader.whole(value, NUMBER_MAXIMUM, "a setting")
    return reader.text(value, TEXT_CHARACTERS, "a setting")


def _chains(reader: Reader, value: Any) -> dict[str, bytes]:
    found = reader.take(value, dict, "chains")
    if len(found) > CHAINS_MAXIMUM:
        raise reader.fault(f"there are more than {CHAINS_MAXIMUM} nodes")
    return {
        reader.text(node, TEXT_CHARACTERS, "a node"): reader.raw(chain_id, (32, 32), "a chain id")
        for node, chain_id in found.items()
    }
