"""What a command works with: the wallet's folder, a node to ask, and the person in front of it. Start reading here."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from chain.address import to_text
from chain.crypto.hashing import tagged_hash
from wallet.accounts import Account
from wallet.answered import Answered
from wallet.client import DEFAULT_ADDRESS, Client, checked_address, is_this_machine
from wallet.errors import BadValue, FolderError, NoWallet, OtherChain, PasswordNeeded, WalletError
from wallet.folder import WalletFolder
from wallet.keys import Wallet

NETWORK_BYTES_MAXIMUM = 262_144


def awake_or_not() -> float:
    """Seconds that also pass while the machine sleeps: a laptop that was closed for a night was idle for a night."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Ui(Protocol):
    """The person. Every question goes to a terminal, never to the place where answers are printed."""

    def can_ask(self) -> bool: ...

    def password(self, is_new: bool) -> str: ...

    def confirm(self, lines: Sequence[tuple[str, str]], question: str) -> bool:
        """Show what will be signed, label and text by line; False unless somebody says yes."""
        ...

    def show_words(self, words: str) -> None:
        """Show the words of a new wallet. Raises OSError if they cannot be shown."""
        ...

    def ask_words(self) -> str: ...

    def ask(self, question: str) -> str:
        """Something that nobody should read over a shoulder."""
        ...

    def tell(self, sentence: str) -> None:
        """Something beside the answer."""
        ...

    def say(self, line: str, content: Mapping[str, Any]) -> None:
        """A part of an answer that comes bit by bit: for people, and for programs."""
        ...


@dataclass(slots=True)
class Seen:
    """What was last heard of the ledger, for completion: nothing here is decided upon."""

    balance_nanos: int | None = None
    round: int | None = None
    height: int | None = None
    round_ms: int | None = None  # from the end of a round to the end of the next one
    nodes: tuple[str, ...] = ()
    final: set[bytes] = field(default_factory=set)  # transactions of which a command has said so


@dataclass(frozen=True, slots=True)
class Drafting:
    """What is about to be signed goes unsigned into a new file instead."""

    path: Path
    public_key: bytes | None = None  # of the sender, where the wallet is on another machine
    nonce: int | None = None  # where no node can be asked for the next one


class Session:
    """One user at one folder. Opened lazily: a command that needs no secret asks for none."""

    def __init__(
        self,
        directory: Path,
        ui: Ui,
        api: str | None = None,
        password: Callable[[], str | None] = lambda: None,
        idle_seconds: int | None = None,
    ) -> None:
        self.directory, self.ui, self.seen = directory, ui, Seen()
        self.folder = WalletFolder(directory)
        self.drafting: Drafting | None = None
        self._api, self._password, self._idle_seconds = api, password, idle_seconds
        self._client: Client | None = None
        self._wallet: Wallet | None = None
        self._used = 0.0

    # ---- The node

    @property
    def api(self) -> str:
        """Where a node is asked: as the user says, as the settings say, where the folder's runs, the usual place."""
        return self._api or self.setting("api") or _running_on(self.directory) or DEFAULT_ADDRESS

    def setting(self, name: str) -> str | None:
        """A kept setting; None too where the file that holds it cannot be read, which others will say."""
        with suppress(WalletError):
            value = self.folder.settings.get(name)
            return None if value is None else str(value)
        return None

    @property
    def client(self) -> Client:
        """A connection to the node, which is of the folder's network. Raises ApiError."""
        address = checked_address(self.api)
        if self._client is None or self._client.address != address:
            client = Client(address)
            self.check_chain(client.get("/v1/status"), client.address)
            self._client = client
            if not is_this_machine(client.address):
                self.ui.tell(
                    f"What follows is told by the node at {client.address}, which could lie: `neuroshard light` checks "
                    "it, or run your own."
                )
        return self._client

    def account_answer(self, address: bytes) -> Answered:
        """What the node says of an address. Raises ApiError."""
        return self.client.get(f"/v1/accounts/{to_text(address)}")

    def close(self) -> None:
        """End the connection and forget the keys."""
        if self._client is not None:
            self._client.close()
        self.lock()

    @property
    def chain_id(self) -> bytes:
        """Raises ApiError if it is known from nowhere."""
        return (
            self.kept_chain()
            or self.folder.chain_of(checked_address(self.api))
            or self.client.get("/v1/status").hexadecimal("chain_id", 32)
        )

    def kept_chain(self) -> bytes | None:
        """None if there is no network file. The chain of the folder's network file: its id is the hash of the file."""
        with suppress(OSError), (self.directory / "network").open("rb") as file:
            content = file.read(NETWORK_BYTES_MAXIMUM + 1)
            return tagged_hash("chain", content) if len(content) <= NETWORK_BYTES_MAXIMUM else None
        return None

    def network_name(self) -> str:
        """As the folder's network file has it; empty if there is none that can be read."""
        from chain.errors import NeuroError
        from chain.genesis import parse_network

        with suppress(OSError, NeuroError, UnicodeError), (self.directory / "network").open("rb") as file:
            return parse_network(file.read(NETWORK_BYTES_MAXIMUM + 1)).name.decode()
        return ""

    def check_chain(self, status: Answered, address: str) -> None:
        """The status is of the folder's network, or of the one met there before; raises OtherChain. For all threads."""
        found, kept = status.hexadecimal("chain_id", 32), self.kept_chain()
        self.seen.round, self.seen.height = status.whole("round"), status.whole("height")
        self.seen.round_ms = status.maybe("round_ms", status.whole) if status.has("round_ms") else None
        if kept is not None and kept != found:
            raise OtherChain(
                f"the node at {address} is of chain {found.hex()[:16]}, the network in {self.directory} is "
                f"{kept.hex()[:16]}: name another node with --api or another folder with --data-dir"
            )
        if kept is None and self.folder.exists:
            self._remember_chain(checked_address(address), found)

    def _remember_chain(self, address: str, found: bytes) -> None:
        met = self.folder.chain_of(address)
        if met is None:
            # In a folder that cannot be written balances can still be read; nothing is sent from it.
            with suppress(FolderError):
                self.folder.remember_chain(address, found)
        elif met != found:
            raise OtherChain(
                f"the node at {address} was of chain {met.hex()[:16]} and is of {found.hex()[:16]} now: ask another "
                "with --api; if this is a new network of yours, `settings forget-chain` lets the wallet accept it"
            )

    # ---- The wallet

    def wallet(self) -> Wallet:
        """The opened wallet; asks for the password if that was long ago. Raises WalletError."""
        if self.is_locked:
            if not self.folder.exists:
                raise no_wallet(self.directory)
            self._wallet = self.folder.open(self.password())
        self._used = awake_or_not()
        assert self._wallet is not None
        return self._wallet

    @property
    def is_locked(self) -> bool:
        """Whether the next use asks for the password; what was idle for too long is forgotten here."""
        if self._idle_seconds is not None and awake_or_not() - self._used > self._idle_seconds:
            self.lock()
        return self._wallet is None

    def lock(self) -> None:
        """Forget the keys."""
        self._wallet = None

    def password(self) -> str:
        """Of the existing keystore. Raises PasswordNeeded."""
        given = self._password()
        if given is not None:
            return given
        stored = self.folder.stored_password()
        return self._asked_password(False) if stored is None else stored

    def new_password(self) -> str:
        """For a keystore that is about to be made. Raises PasswordNeeded."""
        given = self._password() or self.folder.stored_password()
        return self._asked_password(True) if given is None else given

    def _asked_password(self, is_new: bool) -> str:
        if not self.ui.can_ask():
            raise PasswordNeeded(
                "the wallet needs a password and nobody can be asked for it: set NEUROSHARD_PASSWORD or give "
                "--password-file FILE"
            )
        return self.ui.password(is_new)

    def accounts(self) -> Sequence[Account]:
        """Known without a password; empty without a wallet. Raises WalletError."""
        return self.folder.accounts()

    def account(self, index: int | None = None) -> Account:
        """One of the wallet's accounts; that of the settings if not said, else the first. Raises NoWallet, BadValue."""
        accounts = self.accounts()
        if not accounts:
            raise no_wallet(self.directory)
        chosen = self.setting("account") if index is None else None
        wanted = int(chosen) if chosen is not None and chosen.isdigit() else index or 0
        found = next((each for each in accounts if each.index == wanted), None)
        if found is None:
            # Another one must not pay in its place.
            raise BadValue(
                f"there is no account {wanted}: `accounts` lists yours, `settings account` names the usual one"
            )
        return found

    def names(self) -> Mapping[str, bytes]:
        """Names of the address book and labels of the own accounts, with their addresses."""
        with suppress(WalletError):
            book = {entry.name: entry.address for entry in self.folder.book}
            return book | {each.label: each.address for each in self.accounts()}
        return {}

    def name_of(self, address: bytes) -> str:
        """What the user calls an address; empty if nothing."""
        return next((name for name, known in self.names().items() if known == address), "")

    def called(self, address: bytes) -> str:
        """An address, and its name if it has one."""
        name = self.name_of(address)
        return f"{name} ({to_text(address)})" if name else to_text(address)

    def pending_ids(self) -> Sequence[str]:
        """Ids of what the wallet has sent lately."""
        with suppress(WalletError):
            return [each.id.hex() for each in self.folder.pending.read()]
        return ()

    @staticmethod
    def nearest(word: str, known: Mapping[str, Any]) -> str:
        """The known name that a word may have been meant as; empty if none is near."""
        return next(iter(get_close_matches(word[:40], known, n=1)), "")


def no_wallet(directory: Path) -> NoWallet:
    return NoWallet(
        f"there is no wallet in {directory}: `neuroshard wallet create` makes one, `neuroshard wallet restore` brings "
        "back one from its words, and --data-dir names another folder"
    )


def _running_on(directory: Path) -> str | None:
    """Where the node of a folder says that it listens."""
    with suppress(OSError, ValueError, RecursionError):
        with (directory / "api.json").open("rb") as file:
            note = json.loads(file.read(10_000))
        address = note.get("address") if isinstance(note, dict) else None
        return address if isinstance(address, str) else None
    return None
