"""What a block brought about, recomputed by every node: nobody proposes an amount. Type numbers are final."""

from dataclasses import dataclass

from chain.block import Outcome
from chain.codec import U8, U64, U128, Address, Hash, OneOf, Wire

BASE_FEE, SERVICE_SHARE, PROOF_FEE = 1, 2, 3  # why nanos were burned


@dataclass(frozen=True, slots=True)
class TransactionApplied(Wire):
    id: Hash
    gas: U64
    fee: U128


@dataclass(frozen=True, slots=True)
class Minted(Wire):
    """A node's reward for one round, before its proof fees."""

    round: U64
    node: Hash
    wallet: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class Burned(Wire):
    reason: U8
    payer: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class Released(Wire):
    """A reward that left vesting and can be spent."""

    round: U64
    node: Hash
    wallet: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class RoundOpened(Wire):
    round: U64
    base: Outcome


@dataclass(frozen=True, slots=True)
class RoundDrawn(Wire):
    round: U64
    mix: Hash


@dataclass(frozen=True, slots=True)
class RoundClosed(Wire):
    round: U64
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RoundVoid(Wire):
    round: U64


Receipt = TransactionApplied | Minted | Burned | Released | RoundOpened | RoundDrawn | RoundClosed | RoundVoid
RECEIPTS: dict[int, type[Wire]] = {
    1: TransactionApplied,
    2: Minted,
    3: Burned,
    4: Released,
    5: RoundOpened,
    6: RoundDrawn,
    7: RoundClosed,
    8: RoundVoid,
}
_FORM = OneOf(RECEIPTS)


def encode_receipt(receipt: Receipt) -> bytes:
    out: list[bytes] = []
    _FORM.write(receipt, out)
    return b"".join(out)
