"""Names: of the wallet's own accounts, of the addresses of others; and settings."""

from typing import Annotated

from chain.address import to_text
from wallet.accounts import Account
from wallet.client import Client, checked_address
from wallet.commands.parts import Show, table, words
from wallet.errors import BadValue, CommandError
from wallet.kinds import ACCOUNT, ADDRESS, NAME, ChoiceKind, TextKind
from wallet.registry import Answer, command
from wallet.session import Session

DOING = ChoiceKind("list", "add", "label", meanings=("all of them", "one more", "call it otherwise"))
BOOKING = ChoiceKind("list", "add", "remove", meanings=("all of them", "one more", "forget one"))
SETTING = ChoiceKind(
    *("api", "account", "forget-chain"),
    meanings=("the node to ask", "the account that is meant", "accept another network at the node's address"),
)
NEW = TextKind("NEW", "at most 32 printable characters", 32)
VALUE = TextKind("VALUE", "what it is from now on; - forgets it", 300)


@command(
    "accounts",
    "Your accounts; add one, or call one otherwise.",
    group="wallet",
    examples=("accounts", "accounts add savings", "accounts label savings house"),
)
def accounts(
    session: Session,
    doing: Annotated[str, DOING, "list, add NAME, or label NAME NEW"] = "list",
    name: Annotated[str | None, NAME, "of the account"] = None,
    new: Annotated[str | None, NEW, "what to call it"] = None,
) -> Answer:
    if doing == "add":
        added = session.folder.add_account(session.wallet(), _wanted(name, "accounts add NAME"))
        return Answer(_fields(added), words(f"{added.label}: {added.address_text}"))
    if doing == "label":
        index = ACCOUNT.parse(_wanted(name, "accounts label NAME NEW"), session)
        session.folder.label_account(index, _wanted(new, "accounts label NAME NEW"))
    if name is not None and doing == "list":
        raise BadValue(f"NAME: `accounts list` takes none; `accounts add {name}` adds an account")
    known = session.accounts() or (session.account(),)
    rows = [(str(each.index), each.label, each.address_text) for each in known]
    return Answer({"accounts": [_fields(each) for each in known]}, table(("number", "label", "address"), rows))


def _fields(account: Account) -> dict[str, object]:
    """The public key is known once the wallet has been opened here."""
    key = None if account.public_key is None else account.public_key.hex()
    return {"index": account.index, "label": account.label, "address": account.address_text, "public_key": key}


def _wanted(value: str | None, usage: str) -> str:
    if value is None:
        raise BadValue(f"something is missing: {usage}")
    return value


@command(
    "book",
    "Names of addresses that you pay.",
    group="wallet",
    examples=("book", "book add alice neuro1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs5aqt5l", "book remove alice"),
)
def book(
    session: Session,
    doing: Annotated[str, BOOKING, "list, add NAME ADDRESS, or remove NAME"] = "list",
    name: Annotated[str | None, NAME] = None,
    address: Annotated[bytes | None, ADDRESS] = None,
) -> Answer:
    if doing == "add":
        if address is None:
            raise BadValue("something is missing: book add NAME ADDRESS")
        session.folder.add_name(_wanted(name, "book add NAME ADDRESS"), address)
    elif doing == "remove":
        session.folder.remove_name(_wanted(name, "book remove NAME"))
    entries = [(entry.name, to_text(entry.address)) for entry in session.folder.book]
    content = {"book": [{"name": name, "address": text} for name, text in entries]}
    return Answer(content, table(("name", "address"), entries, empty="Nobody is in it: book add NAME ADDRESS"))


@command(
    "settings",
    "What the wallet remembers of your wishes; change one.",
    group="tools",
    examples=("settings", "settings api 192.0.2.7:8420", "settings api -"),
)
def settings(
    session: Session,
    name: Annotated[str | None, SETTING, "which one"] = None,
    value: Annotated[str | None, VALUE] = None,
) -> Answer:
    if name == "forget-chain":
        return _forget_chain(session)
    if name is not None and value is not None:
        session.folder.set_setting(name, _checked(session, name, value))
    kept = session.folder.settings
    rows = [(each, str(kept.get(each, "-"))) for each in ("api", "account")]
    rows.append(("asked now", session.api))
    return Answer({"settings": {each: kept.get(each) for each in ("api", "account")}, "api": session.api}, _rows(rows))


def _rows(rows: list[tuple[str, str]]) -> Show:
    return table(("setting", "value"), rows)


def _checked(session: Session, name: str, value: str) -> str | None:
    if value == "-":
        return None
    return checked_address(value) if name == "api" else str(ACCOUNT.parse(value, session))


def _forget_chain(session: Session) -> Answer:
    """Whoever makes a network anew at the same address says so: nothing else may look like the old one."""
    if (session.directory / "network").exists():
        raise CommandError(f"{session.directory} is of one network, whose file lies in it: name another folder")
    client = Client(session.api)
    found = client.get("/v1/status").hexadecimal("chain_id", 32)
    # As the client writes the address: so it is looked up.
    session.folder.remember_chain(client.address, found)
    return Answer({"chain_id": found.hex()}, words(f"{client.address} is of chain {found.hex()} from now on."))
