"""What this validator has voted, on disk before a vote may leave, so that a crash never makes it vote against itself.

One file, only ever appended to. A head, then one record per vote; integers big-endian:

    head    "NEUROSIG" ‖ owner[32] ‖ floor epoch u64 ‖ floor view u64 ‖ check[8]       64 bytes
    record  kind u8 ‖ epoch u64 ‖ view u64 ‖ block hash[32] ‖ check[8]                57 bytes

`check` is the first 8 bytes of SHA-256 over everything before it in the head or record (the record's also over its
number). A record that a crash cut short, or whose end never reached the disk, is dropped: its vote can not have left.
Anything else that does not check is refused, since a lost record is a lost promise.

`owner` is a hash of chain id and public key, so that one key's file is never taken for another's. Beside the file lies
a lock file, which stays: the file itself is replaced when it is pruned.
"""

import errno
import fcntl
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from chain.crypto.hashing import tagged_hash
from consensus.messages import FINALIZE, KIND_NAMES, NOTARIZE, NULLIFY, is_well_formed
from consensus.state import Own
from node.errors import NodeError, disk_advice
from node.failpoints import reach
from wallet.durable import sync_folder

MAGIC = b"NEUROSIG"
CHECK_BYTES = 8
HEAD_BYTES = 64
RECORD_BYTES = 57


class SignStateError(NodeError):
    """The record of our votes is in use, damaged, or cannot be written: voting would be unsafe."""


class VoteRefused(NodeError):
    """A vote that contradicts one on record, or lies at or below the floor."""


@dataclass(frozen=True, slots=True)
class _Record:
    kind: int
    epoch: int
    view: int
    block_hash: bytes


def owner_of(chain_id: bytes, public_key: bytes) -> bytes:
    """Whose votes a file holds. 32 bytes."""
    return tagged_hash("sign-state", chain_id, public_key)


def _checked(content: bytes, number: int = 0) -> bytes:
    """The content and its check. Binding the record's number shows records that were lost, moved or doubled."""
    return content + sha256(number.to_bytes(8, "big") + content).digest()[:CHECK_BYTES]


def _head(owner: bytes, floor: tuple[int, int]) -> bytes:
    return _checked(MAGIC + owner + floor[0].to_bytes(8, "big") + floor[1].to_bytes(8, "big"))


def _encode(record: _Record, number: int) -> bytes:
    place = record.epoch.to_bytes(8, "big") + record.view.to_bytes(8, "big")
    return _checked(record.kind.to_bytes(1, "big") + place + record.block_hash, number)


def _decode(content: bytes) -> _Record:
    epoch, view = int.from_bytes(content[1:9], "big"), int.from_bytes(content[9:17], "big")
    return _Record(content[0], epoch, view, content[17:49])


class SignState:
    """The votes of one validator key on one chain. Use `open`; one process at a time."""

    def __init__(self, path: Path, owner: bytes, lock: int) -> None:
        self._path, self._owner, self._lock = path, owner, lock
        self._file = -1
        self._sound = True
        self._floor = (0, 0)
        self._records: list[_Record] = []
        self._own: dict[tuple[int, int], Own] = {}

    @classmethod
    def open(cls, path: Path, owner: bytes) -> Self:
        """Read the file, or make an empty one. Raises SignStateError."""
        place = path.with_name(path.name + ".lock")
        try:
            lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SignStateError(f"{place} cannot be opened: {disk_advice(error)}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise SignStateError(f"{path} is in use by another process: one validator key, one node") from error
        state = cls(path, owner, lock)
        try:
            if path.exists():
                state._read()
            else:
                state._rewrite()
        except BaseException:
            state.close()
            raise
        return state

    @property
    def floor(self) -> tuple[int, int]:
        """The (epoch, view) up to which votes are forgotten: a block there was final."""
        return self._floor

    @property
    def path(self) -> Path:
        return self._path

    def close(self) -> None:
        """Let go of the file; nothing can be voted afterwards."""
        self._sound = False
        for each in (self._file, self._lock):
            if each >= 0:
                os.close(each)
        self._file = self._lock = -1

    def own_votes(self, epoch: int) -> dict[int, Own]:
        """Our votes of one epoch, by view."""
        # A copy: another thread may be recording a vote.
        return {view: own for (each, view), own in self._own.copy().items() if each == epoch}

    def finalized(self) -> dict[tuple[int, int], bytes]:
        """The blocks that we voted to be final above the floor, by (epoch, view)."""
        return {place: own.finalized for place, own in self._own.copy().items() if own.finalized is not None}

    def record(self, kind: int, epoch: int, view: int, block_hash: bytes) -> None:
        """Return once this vote is on disk and so may be signed and sent; doing it again is allowed.

        Raises VoteRefused if it contradicts an earlier vote or is too old, SignStateError if it cannot be written.
        """
        assert is_well_formed(kind, block_hash) and len(block_hash) == 32
        if not self._sound:
            raise SignStateError(f"{self._path} is closed or failed before: restart to vote again")
        own = self._own.get((epoch, view), Own())
        self._permit(own, _Record(kind, epoch, view, block_hash))
        if (kind, block_hash) in own.votes():
            return
        self._append(_Record(kind, epoch, view, block_hash))
        self._own[epoch, view] = own.with_vote(kind, block_hash)

    def prune(self, epoch: int, view: int) -> None:
        """Forget the votes up to this (epoch, view), and never vote there again."""
        if not self._sound:
            raise SignStateError(f"{self._path} is closed or failed before: restart to prune it")
        if (epoch, view) <= self._floor:
            return
        self._floor = (epoch, view)
        self._records = [each for each in self._records if (each.epoch, each.view) > self._floor]
        self._own = {place: own for place, own in self._own.items() if place > self._floor}
        self._sound = False
        self._rewrite()
        self._sound = True

    def _permit(self, own: Own, record: _Record) -> None:
        name = f"{KIND_NAMES[record.kind]} in epoch {record.epoch}, view {record.view}"
        if (record.epoch, record.view) <= self._floor:
            raise VoteRefused(f"{name}: the record is pruned up to epoch {self._floor[0]}, view {self._floor[1]}")
        before = {NOTARIZE: own.notarized, FINALIZE: own.finalized}.get(record.kind)
        if before not in (None, record.block_hash):
            raise VoteRefused(f"{name}: already voted for another block there")
        if (record.kind == FINALIZE and own.nullified) or (record.kind == NULLIFY and own.finalized is not None):
            raise VoteRefused(f"{name}: NULLIFY and FINALIZE exclude each other")

    def _append(self, record: _Record) -> None:
        # If any of this fails nobody knows what is on disk: no more votes before the file has been read again.
        self._sound = False
        content = _encode(record, len(self._records))
        try:
            reach("sign-state.vote.before")
            written = os.write(self._file, content)
            if written != len(content):
                raise OSError(errno.ENOSPC, f"only {written} of {len(content)} bytes written")
            reach("sign-state.vote.written")
            os.fdatasync(self._file)
            reach("sign-state.vote.durable")
        except OSError as error:
            raise self._unwritten(error) from error
        self._records.append(record)
        self._sound = True

    def _rewrite(self) -> None:
        """Replace the file by one of the current floor and records: complete and synced, or not at all."""
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            reach("sign-state.new.before")
            temporary.unlink(missing_ok=True)
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            records = [_encode(record, number) for number, record in enumerate(self._records)]
            with os.fdopen(os.dup(file), "wb") as stream:
                stream.write(_head(self._owner, self._floor) + b"".join(records))
            reach("sign-state.new.written")
            os.fsync(file)
            reach("sign-state.new.synced")
            temporary.replace(self._path)
            reach("sign-state.new.renamed")
            sync_folder(self._path.parent)
            reach("sign-state.new.durable")
        except OSError as error:
            raise self._unwritten(error) from error
        if self._file >= 0:
            os.close(self._file)
        self._file = file

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise SignStateError(f"{self._path} cannot be read: {disk_advice(error)}") from error
        head, body = content[:HEAD_BYTES], content[HEAD_BYTES:]
        if len(head) < HEAD_BYTES or _checked(head[:-CHECK_BYTES]) != head or not head.startswith(MAGIC):
            raise SignStateError(self._damage("head"))
        if head[8:40] != self._owner:
            raise SignStateError(f"{self._path} holds the votes of another key or chain")
        self._floor = (int.from_bytes(head[40:48], "big"), int.from_bytes(head[48:56], "big"))
        whole = len(body) // RECORD_BYTES
        for number in range(whole):
            record = body[number * RECORD_BYTES : (number + 1) * RECORD_BYTES]
            if _checked(record[:-CHECK_BYTES], number) != record:
                if number == whole - 1 and len(body) % RECORD_BYTES == 0 and record.endswith(b"\x00"):
                    whole -= 1  # The length reached the disk, the end of the record did not.
                    break
                raise SignStateError(self._damage(f"record {number} of {whole}"))
            self._remember(_decode(record), number)
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.ftruncate(self._file, HEAD_BYTES + whole * RECORD_BYTES)
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritten(error) from error

    def _remember(self, record: _Record, number: int) -> None:
        own = self._own.get((record.epoch, record.view), Own())
        if not is_well_formed(record.kind, record.block_hash):
            raise SignStateError(self._damage(f"record {number}"))
        try:
            self._permit(own, record)
        except VoteRefused as error:
            raise SignStateError(self._damage(f"record {number}")) from error
        self._records.append(record)
        self._own[record.epoch, record.view] = own.with_vote(record.kind, record.block_hash)

    def _damage(self, part: str) -> str:
        return (
            f"{self._path} is damaged ({part}), so what this key has promised is unknown and voting would be unsafe: "
            "restore the whole data directory from a backup, or start anew with another --data-dir"
        )

    def _unwritten(self, error: OSError) -> SignStateError:
        return SignStateError(f"{self._path} cannot be written: {disk_advice(error)}")
