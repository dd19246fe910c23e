"""What wallets were paid and lost, found by wallet. Receipts are computed anew by every node, so all of this can be.

w ‖ address ‖ height      the block's time, and those of its receipts that concern the wallet, in their order
r ‖ height                the block's base fee, and the wallets that have such a record; absent where there is nothing
d ‖ address ‖ ~day        sums over everything from the index's beginning to the end of that UTC day, the newest first
n ‖ address ‖ node id     (empty) a node that the wallet registered

Fees of transactions are no receipts of their own here: a block's base fee tells them. Start reading at
`ReceiptIndex.add`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from chain.address import address_of
from chain.block import Block
from chain.codec import OneOf
from chain.errors import DecodeError
from chain.receipts import (
    BASE_FEE,
    DATA,
    PROOF_FEE,
    RECEIPTS,
    SLASHED,
    AuditPaid,
    AutoBonded,
    Burned,
    Forfeited,
    FraudRewarded,
    Jailed,
    Minted,
    Receipt,
    Released,
    ServicePaid,
    StakeLeft,
    Tombstoned,
    TransactionApplied,
    encode_receipt,
)
from chain.stakes import ValidatorKey, validator_key
from chain.state import NodeRecord, State
from chain.transactions import RegisterNode
from chain.transfers import node_id
from chain.transition import Applied

ADDRESS_BYTES = 21
DAY_MS = 86_400_000
LAST_DAY = 2**32 - 1
PREFIXES = (b"w", b"r", b"d")
_FORM = OneOf(RECEIPTS)


@dataclass(frozen=True, slots=True)
class Sums:
    """Nanos. The first four were minted; `fraud_reward` was taken from others' stake; `burned` holds all fees too."""

    training: int = 0
    uptime: int = 0
    data: int = 0
    audit: int = 0
    fraud_reward: int = 0
    released: int = 0
    forfeited: int = 0
    burned: int = 0

    @property
    def minted(self) -> int:
        return self.training + self.uptime + self.data + self.audit

    @property
    def amounts(self) -> list[int]:
        """In the order of the fields."""
        return [getattr(self, name) for name in SUMS]

    def encode(self) -> bytes:
        return encode_sums(self.amounts)

    @classmethod
    def decode(cls, data: bytes) -> "Sums":
        """Raises DecodeError."""
        return cls(*decode_sums(data))


SUMS = tuple(Sums.__dataclass_fields__)
TRAINING, UPTIME_SUM, DATA_SUM, AUDIT, FRAUD_REWARD, RELEASED, FORFEITED_SUM, BURNED = range(len(SUMS))


def encode_sums(amounts: Sequence[int]) -> bytes:
    """One byte that says which sums are not zero, then these, 16 bytes each."""
    mask, parts = 0, [b""]
    for place, amount in enumerate(amounts):
        if amount:
            mask |= 1 << place
            parts.append(amount.to_bytes(16, "big"))
    parts[0] = bytes((mask,))
    return b"".join(parts)


def decode_sums(data: bytes) -> list[int]:
    """Raises DecodeError."""
    amounts, at = [0] * len(SUMS), 1
    for place in range(len(SUMS)):
        if data[:1] and data[0] >> place & 1:
            amounts[place] = int.from_bytes(data[at : at + 16], "big")
            at += 16
    if len(data) != at:
        raise DecodeError(f"sums of a wallet have {len(data)} bytes, {at} are wanted")
    return amounts


@dataclass(frozen=True, slots=True)
class Told:
    """What one block brought about for one wallet."""

    time_ms: int
    receipts: tuple[Receipt, ...]

    def encode(self) -> bytes:
        return self.time_ms.to_bytes(8, "big") + b"".join(map(encode_receipt, self.receipts))

    @classmethod
    def decode(cls, data: bytes) -> "Told":
        """Raises DecodeError."""
        if len(data) < 8:
            raise DecodeError("receipts of a wallet without a time")
        receipts, at = [], 8
        while at < len(data):
            receipt, at = _FORM.read(data, at)
            receipts.append(cast(Receipt, receipt))
        return cls(int.from_bytes(data[:8], "big"), tuple(receipts))


@dataclass(frozen=True, slots=True)
class Reached:
    """Whom a block concerns, and its base fee where somebody paid it."""

    base_fee: int
    wallets: tuple[bytes, ...]

    def encode(self) -> bytes:
        return self.base_fee.to_bytes(8, "big") + b"".join(self.wallets)

    @classmethod
    def decode(cls, data: bytes) -> "Reached":
        """Raises DecodeError."""
        if len(data) < 8 or (len(data) - 8) % ADDRESS_BYTES:
            raise DecodeError(f"a list of the wallets that a block concerns has {len(data)} bytes")
        starts = range(8, len(data), ADDRESS_BYTES)
        wallets = tuple(data[start : start + ADDRESS_BYTES] for start in starts)
        return cls(int.from_bytes(data[:8], "big"), wallets)


def told_key(address: bytes, height: int) -> bytes:
    return b"w" + address + height.to_bytes(8, "big")


def reached_key(height: int) -> bytes:
    return b"r" + height.to_bytes(8, "big")


def day_key(address: bytes, day: int) -> bytes:
    return b"d" + address + (LAST_DAY - day).to_bytes(4, "big")


def day_at(time_ms: int) -> int:
    """The UTC day of a block; whatever its time says, it has a place in a key."""
    return min(time_ms // DAY_MS, LAST_DAY)


def day_of(key: bytes) -> int:
    """The day of a key of sums, with its prefix."""
    return LAST_DAY - int.from_bytes(key[-4:], "big")


class ReceiptIndex:
    """Takes blocks in their order. `newest`: a wallet's sums before the first of them, on or before a day."""

    def __init__(self, newest: Callable[[bytes, int], Sums]) -> None:
        self._newest = newest
        self._sums: dict[bytes, list[int]] = {}
        self.fresh: dict[bytes, bytes] = {}

    def add(self, applied: Applied) -> None:
        """Put what a block says of wallets among the fresh records."""
        header = applied.block.header
        today = day_at(header.time_ms)
        told: dict[bytes, list[Receipt]] = {}
        changed: set[bytes] = set()
        for receipt in applied.receipts:
            for wallet in concerned(receipt, applied.state):
                told.setdefault(wallet, []).append(receipt)
            if (added := summed(receipt)) is not None:
                wallet, place, amount = added
                if wallet not in self._sums:
                    self._sums[wallet] = self._newest(wallet, today).amounts
                self._sums[wallet][place] += amount
                changed.add(wallet)
        for wallet in changed:
            self.fresh[day_key(wallet, today)] = encode_sums(self._sums[wallet])
        for wallet, receipts in told.items():
            self.fresh[told_key(wallet, header.height)] = Told(header.time_ms, tuple(receipts)).encode()
        fee = base_fee_of(applied.receipts)
        if fee or told:
            self.fresh[reached_key(header.height)] = Reached(fee, tuple(sorted(told))).encode()


def concerned(receipt: Receipt, state: State) -> tuple[bytes, ...]:
    """The wallets to whose history a receipt belongs. `state`: after the block."""
    match receipt:
        # The two that every transaction has come first: there are the most of them.
        case TransactionApplied():
            return ()
        case Burned(reason=reason, payer=payer, amount=amount):
            # Other burns are a part of what a transaction or a forfeited reward says already.
            return (payer,) if amount and reason in (PROOF_FEE, SLASHED) else ()
        case (
            Minted(wallet=wallet)
            | Released(wallet=wallet)
            | ServicePaid(wallet=wallet)
            | AuditPaid(wallet=wallet)
            | FraudRewarded(wallet=wallet)
            | Forfeited(wallet=wallet)
            | AutoBonded(wallet=wallet)
            | StakeLeft(wallet=wallet)
            | Jailed(wallet=wallet)
        ):
            return (wallet,)
        case Tombstoned(public_key=public_key, reporter=reporter):
            key = state.find(ValidatorKey, validator_key(public_key))
            return (reporter,) if key is None else (key.wallet, reporter)
        case _:
            return ()


def summed(receipt: Receipt) -> tuple[bytes, int, int] | None:
    """The wallet, the place of the sum and by how much a receipt makes it greater; None where it is nothing."""
    match receipt:
        case TransactionApplied():
            return None
        case Burned(payer=payer, amount=amount):
            found = payer, BURNED, amount
        case Minted(wallet=wallet, amount=amount):
            found = wallet, TRAINING, amount
        case Released(wallet=wallet, amount=amount):
            found = wallet, RELEASED, amount
        case ServicePaid(service=service, wallet=wallet, amount=amount):
            found = wallet, DATA_SUM if service == DATA else UPTIME_SUM, amount
        case AuditPaid(wallet=wallet, amount=amount):
            found = wallet, AUDIT, amount
        case FraudRewarded(wallet=wallet, amount=amount):
            found = wallet, FRAUD_REWARD, amount
        case Tombstoned(reporter=reporter, reward=reward):
            found = reporter, FRAUD_REWARD, reward
        case Forfeited(wallet=wallet, amount=amount):
            found = wallet, FORFEITED_SUM, amount
        case _:
            return None
    return found if found[2] else None


def base_fee_of(receipts: Iterable[Receipt]) -> int:
    """What a unit of gas cost in a block, told by the first that paid it; 0 if nobody did."""
    gas = 0
    for receipt in receipts:
        match receipt:
            case TransactionApplied():
                gas = receipt.gas
            case Burned(reason=reason, amount=amount) if reason == BASE_FEE:
                return amount // gas
    return 0


# ---- Nodes by wallet: the state knows them too, by node


def node_entry(address: bytes, node: bytes) -> bytes:
    return b"n" + address + node


def nodes_in(block: Block) -> Iterator[bytes]:
    """The entries of the nodes that a block registers."""
    for transaction in block.body.transactions:
        if isinstance(transaction.action, RegisterNode):
            yield node_entry(address_of(transaction.sender), node_id(transaction.action.node_key))


def nodes_of_state(records: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The same, of the node records of a state: (key, value), each key ending with the node's id."""
    return {node_entry(NodeRecord.decode(value).wallet, key[-32:]): b"" for key, value in records}
