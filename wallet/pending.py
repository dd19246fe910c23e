"""What was sent and is not settled: wallet-pending.json, so that nothing is sent twice or forgotten.

A transaction is recorded before it leaves. The file holds its bytes, and everything else is read from them; an entry
that its sender has not signed is refused, so that a changed file cannot lead anybody to sign its contents again.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.address import address_of
from chain.errors import NeuroError
from chain.transactions import TRANSACTION_BYTES_MAXIMUM, Transaction, check_signature
from wallet.durable import Reached, unwatched
from wallet.errors import FolderDamaged, NonceTaken, TooManyWaiting
from wallet.files import Remembered, locked, replace_whole
from wallet.strict import Reader

SCHEMA = 1
ENTRIES_MAXIMUM = 256
BYTES_MAXIMUM = 4_000_000  # some 200 payments to 256 addresses each; parsing takes about 20 times as much memory
TIME_MAXIMUM_MS = 2**53
# What is settled stays for a day: a node that answers wrongly for a moment makes nothing forgotten.
KEEP_MS = 24 * 3_600_000
KEEP_USED = 16  # of an account: a busy one would fill the file within the day


@dataclass(frozen=True, slots=True)
class Sent:
    """A signed transaction that was, or is about to be, handed to a node."""

    transaction: Transaction
    chain_id: bytes
    sent_ms: int

    @property
    def id(self) -> bytes:
        return self.transaction.id(self.chain_id)

    @property
    def raw(self) -> bytes:
        """What a node is handed."""
        return self.transaction.encode()

    @property
    def sender(self) -> bytes:
        """The 21-byte address."""
        return address_of(self.transaction.sender)

    @property
    def nonce(self) -> int:
        return self.transaction.nonce


class PendingFile:
    """The file as it lies there now. Changes are made under the folder's lock, so two programs may send at once."""

    def __init__(self, path: Path, lock: Path, reached: Reached = unwatched) -> None:
        self.path = path
        self._lock = lock
        self._reached = reached
        self._file = Remembered(path, BYTES_MAXIMUM, lambda content: parse(content, str(path)))

    def read(self) -> tuple[Sent, ...]:
        """All of it, in the order of sending. Raises FolderError."""
        try:
            return self._file.read() or ()
        except FolderDamaged as error:
            raise FolderDamaged(
                f"{error}; move it away: what is on its way goes on, the wallet only forgets that it has sent it"
            ) from None

    def of(self, sender: bytes, chain_id: bytes) -> tuple[Sent, ...]:
        """What one address has sent on one chain."""
        return tuple(each for each in self.read() if each.sender == sender and each.chain_id == chain_id)

    def record(self, sent: Sent, replaces: bool = False) -> None:
        """Keep it before it is sent. Raises NonceTaken if another one has its nonce and `replaces` is false.

        Raises TooManyWaiting if the file is full; what is recorded already stays as it is.
        """
        with locked(self._lock):
            known = self.read()
            if any(each.id == sent.id and each.chain_id == sent.chain_id for each in known):
                return
            if not replaces and any(_place(each) == _place(sent) for each in known):
                raise NonceTaken(
                    f"something else was just sent with nonce {sent.nonce}: nothing was sent now, try again"
                )
            if len(known) >= ENTRIES_MAXIMUM:
                raise TooManyWaiting(
                    f"{ENTRIES_MAXIMUM} transactions are not settled, which is all that is kept: look at them first"
                )
            if len(to_json((*known, sent))) > BYTES_MAXIMUM:
                raise TooManyWaiting(f"{self.path} has at most {BYTES_MAXIMUM} bytes: settle what is in it first")
            self._write((*known, sent))

    def forget(self, identity: bytes) -> None:
        """It was refused, or its owner wants it gone. Nothing happens if it is not there."""
        with locked(self._lock):
            known = self.read()
            left = tuple(each for each in known if each.id != identity)
            if len(left) != len(known):
                self._write(left)

    def settle(self, sender: bytes, chain_id: bytes, ledger_nonce: int, now_ms: int) -> None:
        """Forget what has a nonce that the ledger has used: what is older than a day, or not of the latest 16."""
        with locked(self._lock):
            known = self.read()
            mine = [each for each in known if (each.sender, each.chain_id) == (sender, chain_id)]
            used = [each for each in mine if each.nonce < ledger_nonce]
            kept = {each.id for each in used[-KEEP_USED:] if each.sent_ms > now_ms - KEEP_MS}
            gone = {each.id for each in used} - kept
            left = tuple(each for each in known if each.chain_id != chain_id or each.id not in gone)
            if gone:
                self._write(left)

    def _write(self, sent: tuple[Sent, ...]) -> None:
        replace_whole(self.path, to_json(sent), self._reached)


def _place(sent: Sent) -> tuple[bytes, bytes, int]:
    return sent.chain_id, sent.sender, sent.nonce


def to_json(sent: tuple[Sent, ...]) -> bytes:
    rows = [{"chain_id": each.chain_id.hex(), "raw": each.raw.hex(), "sent_ms": each.sent_ms} for each in sent]
    return json.dumps({"schema": SCHEMA, "sent": rows}, indent=2).encode() + b"\n"


def parse(content: bytes, what: str = "wallet-pending.json") -> tuple[Sent, ...]:
    """What a file says. Raises FolderDamaged."""
    reader = Reader(what, FolderDamaged)
    whole = reader.object(content, {"schema", "sent"})
    schema = reader.whole(whole["schema"], 2**31, "schema")
    if schema != SCHEMA:
        raise reader.fault(f"it has schema {schema} and this program knows {SCHEMA}: use the program that wrote it")
    found = tuple(_sent(reader, row) for row in reader.rows(whole["sent"], ENTRIES_MAXIMUM, "sent"))
    if len({(each.chain_id, each.id) for each in found}) != len(found):
        raise reader.fault("a transaction stands there twice")
    return found


def _sent(reader: Reader, row: Any) -> Sent:
    row = reader.shaped(row, {"chain_id", "raw", "sent_ms"})
    chain_id = reader.raw(row["chain_id"], (32, 32), "a chain id")
    raw = reader.raw(row["raw"], (1, TRANSACTION_BYTES_MAXIMUM), "a transaction")
    sent_ms = reader.whole(row["sent_ms"], TIME_MAXIMUM_MS, "a time")
    try:
        transaction = Transaction.decode(raw)
        check_signature(transaction, chain_id)
    except NeuroError as error:
        raise reader.fault(f"a transaction is not what its sender signed ({error})") from None
    return Sent(transaction, chain_id, sent_ms)
