"""What a block brought about, recomputed by every node: nobody proposes an amount. Type numbers are final."""

from dataclasses import dataclass
from typing import Annotated

from chain.block import Outcome
from chain.codec import U8, U16, U32, U64, U128, Address, BlsPublicKey, Hash, OneOf, Wire

BASE_FEE, SERVICE_SHARE, PROOF_FEE, SLASHED, FORFEITED = 1, 2, 3, 4, 5  # why nanos were burned
UPTIME, DATA = 1, 2  # what was served


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


@dataclass(frozen=True, slots=True)
class AutoBonded(Wire):
    """Part of a released reward went straight into the stake of a wallet whose node wants to become a validator."""

    wallet: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class StakeLeft(Wire):
    """Stake left the set; it can be withdrawn from epoch `ready_epoch` on."""

    wallet: Address
    amount: U128
    ready_epoch: U64


@dataclass(frozen=True, slots=True)
class Jailed(Wire):
    """A validator signed too little of an epoch, or missed too many audits."""

    wallet: Address
    until_epoch: U64


@dataclass(frozen=True, slots=True)
class Tombstoned(Wire):
    """A validator key is banned for ever; `reward` of what its stake lost went to the reporter, the rest was burned."""

    public_key: BlsPublicKey
    lost: U128
    reporter: Address
    reward: U128


@dataclass(frozen=True, slots=True)
class ServicePaid(Wire):
    """Minted for a storage proof of an epoch, or for data served to training that an epoch paid."""

    service: U8
    epoch: U64
    node: Hash
    wallet: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class AuditDrawn(Wire):
    """A segment of a node's round is to be replayed by these members of the set; in a later attempt, by others."""

    round: U64
    node: Hash
    segment: U32
    attempt: U8
    auditors: Annotated[tuple[U16, ...], 2]


@dataclass(frozen=True, slots=True)
class AuditEnded(Wire):
    round: U64
    node: Hash
    outcome: U8  # the audit's last phase
    attempts: U8


@dataclass(frozen=True, slots=True)
class AuditMissed(Wire):
    """An auditor gave no verdict in time, for the `misses`-th time in a row."""

    round: U64
    node: Hash
    public_key: BlsPublicKey
    misses: U32


@dataclass(frozen=True, slots=True)
class AuditFault(Wire):
    """An auditor has not looked, or lost a dispute: what that cost its stake."""

    round: U64
    node: Hash
    public_key: BlsPublicKey
    lost: U128


@dataclass(frozen=True, slots=True)
class AuditPaid(Wire):
    """Minted at an epoch's end for the verdicts that counted: replays of so many standard batches."""

    wallet: Address
    batches: U64
    amount: U128


@dataclass(frozen=True, slots=True)
class Forfeited(Wire):
    """A round pays its node nothing; so much of it had been minted."""

    round: U64
    node: Hash
    wallet: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class FraudRewarded(Wire):
    """Part of what a fraud cost went to an auditor that found it."""

    round: U64
    node: Hash
    wallet: Address
    amount: U128


Receipt = (
    TransactionApplied | Minted | Burned | Released | RoundOpened | RoundDrawn | RoundClosed | RoundVoid
    | AutoBonded | StakeLeft | Jailed | Tombstoned | ServicePaid
    | AuditDrawn | AuditEnded | AuditMissed | AuditFault | AuditPaid | Forfeited | FraudRewarded
)  # fmt: skip
RECEIPTS: dict[int, type[Wire]] = {
    1: TransactionApplied,
    2: Minted,
    3: Burned,
    4: Released,
    5: RoundOpened,
    6: RoundDrawn,
    7: RoundClosed,
    8: RoundVoid,
    9: AutoBonded,
    10: StakeLeft,
    11: Jailed,
    12: Tombstoned,
    13: AuditDrawn,
    14: AuditEnded,
    15: AuditMissed,
    16: ServicePaid,
    17: AuditFault,
    18: AuditPaid,
    19: Forfeited,
    20: FraudRewarded,
}
_FORM = OneOf(RECEIPTS)


def encode_receipt(receipt: Receipt) -> bytes:
    out: list[bytes] = []
    _FORM.write(receipt, out)
    return b"".join(out)
