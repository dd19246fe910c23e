"""A transaction on its way between machines: drafted where the network is, signed where the keys are, then broadcast.

A file is JSON with the bytes, the chain and, for people only, what they say. Nothing but the bytes and the chain id is
believed when it is read: the lines are made anew, signatures are checked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chain.transactions import TRANSACTION_BYTES_MAXIMUM, Transaction
from wallet.durable import Reached, unwatched
from wallet.errors import SigningError, TransactionFileError, TransactionFileExists
from wallet.keystore_file import write_new
from wallet.plain import plain
from wallet.signing import UnsignedTransaction, described, read_signed, read_unsigned, sign
from wallet.strict import Reader

FORMAT = "neuroshard-transaction"
VERSION = 1
# The bytes in hexadecimal, and the lines: 256 payments of about 150 characters.
BYTES_MAXIMUM = 262_144
NETWORK_CHARACTERS = 64
UNSIGNED, SIGNED = "unsigned", "signed"


@dataclass(frozen=True, slots=True)
class TransactionFile:
    """What a file holds. `signed` is None before somebody has signed."""

    unsigned: UnsignedTransaction
    network: str = ""
    signed: Transaction | None = None

    @property
    def chain_id(self) -> bytes:
        return self.unsigned.chain_id

    @property
    def id(self) -> bytes:
        return self.unsigned.id

    def described(self, names: Mapping[bytes, str] | None = None) -> list[tuple[str, str]]:
        """What the bytes say, for somebody who has to say yes."""
        return described(self.unsigned.raw, self.chain_id, names, self.network)

    def signed_by(self, secret: bytes) -> "TransactionFile":
        """With the signature of the sender's 32-byte secret. Raises SigningError."""
        return TransactionFile(self.unsigned, self.network, sign(self.unsigned, secret))


def to_json(content: TransactionFile) -> bytes:
    raw = content.unsigned.raw if content.signed is None else content.signed.encode()
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "state": UNSIGNED if content.signed is None else SIGNED,
        "chain_id": content.chain_id.hex(),
        "network": plain(content.network, NETWORK_CHARACTERS - 1),
        "raw": raw.hex(),
        "described": [list(line) for line in content.described()],
    }
    return json.dumps(whole, indent=2).encode() + b"\n"


def parse(content: bytes, what: str = "the transaction file") -> TransactionFile:
    """The content of a file of unknown origin. Raises TransactionFileError."""
    reader = Reader(what, TransactionFileError)
    if len(content) > BYTES_MAXIMUM:
        raise reader.fault(f"it has more than {BYTES_MAXIMUM} bytes")
    whole = reader.object(content, {"format", "version", "state", "chain_id", "network", "raw", "described"})
    if whole["format"] != FORMAT or reader.whole(whole["version"], 2**31, "version") != VERSION:
        raise reader.fault(f"a {FORMAT} of version {VERSION} is wanted")
    chain_id = reader.raw(whole["chain_id"], (32, 32), "chain_id")
    network = reader.text(whole["network"], NETWORK_CHARACTERS, "network")
    raw = reader.raw(whole["raw"], (1, TRANSACTION_BYTES_MAXIMUM), "raw")
    try:
        if whole["state"] == UNSIGNED:
            return TransactionFile(read_unsigned(raw, chain_id), network)
        if whole["state"] == SIGNED:
            signed = read_signed(raw, chain_id)
            return TransactionFile(read_unsigned(signed.signing_bytes(), chain_id), network, signed)
    except SigningError as error:
        raise reader.fault(str(error)) from None
    raise reader.fault(f"its state is neither {UNSIGNED} nor {SIGNED}")


def load(path: Path) -> TransactionFile:
    """Read a file. Raises TransactionFileError."""
    try:
        if not path.is_file():
            raise TransactionFileError(f"there is no file {plain(path)}: check its name")
        with path.open("rb") as file:
            content = file.read(BYTES_MAXIMUM + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is none"
        raise TransactionFileError(f"{plain(path)} cannot be read: {reason}") from None
    return parse(content, plain(path))


def save(path: Path, content: TransactionFile, reached: Reached = unwatched) -> None:
    """Write a new file; an existing one is never overwritten. Raises TransactionFileError."""
    try:
        write_new(path, to_json(content), reached)
    except FileExistsError:
        raise TransactionFileExists(
            f"{plain(path)} exists already and is not overwritten: choose another name"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is none"
        raise TransactionFileError(
            f"{plain(path)} cannot be written: {reason}; check the free space of the disk and the permissions"
        ) from None
