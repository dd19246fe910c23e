"""What the ledger knows: flat records under namespaced keys, changed through overlays that spare their parent.

a ‖ address                 Account          n ‖ node id        NodeRecord
r ‖ round                   Round            c ‖ round ‖ node   Claim
q ‖ round ‖ node            Audit            o                  AuditQueue
v ‖ round ‖ node            Vesting          s ‖ epoch          ValidatorSet
l                           Ledger           $                  Supply   (written by chain.money only)

More of audits is in `chain.audit_records`, of stake in `chain.stakes`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Annotated, TypeVar

from chain.audit_messages import StateParts
from chain.block import SEATS_MAXIMUM, SEGMENTS_MAXIMUM, VALIDATORS_MAXIMUM, Outcome, Validator, validators_root
from chain.codec import U8, U16, U32, U64, U128, Address, Fixed, Flag, Hash, PublicKey, Wire
from chain.crypto.hashing import ZERO

Read = Callable[[bytes], bytes | None]
NO_OUTCOME = Outcome(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class Account(Wire):
    balance: U128 = 0
    nonce: U64 = 0


@dataclass(frozen=True, slots=True)
class NodeRecord(Wire):
    public_key: PublicKey
    wallet: Address
    registered_height: U64
    retired_height: U64  # 0: active
    validator_intent: Flag
    proofs: U64  # claims ever included: the next proof's nonce
    audited_rounds: U64  # audits that it passed since it last failed one
    counted_rounds: U64  # in which its payload was counted; 0: a newcomer
    committed_round: U64  # the last one in which it committed, 0: none
    committed_segments: U32  # that it committed then: its weight in a quorum of work
    averages_root: Hash  # of the second moments that its last reveal ended with; ZERO: none
    averages_steps: U64  # inner steps behind them
    plant: Hash  # promise of the secret for its coming rounds; ZERO: none yet
    plant_round: U64  # whose reveal made it
    suspended_round: U64  # it has no seat in rounds up to this one, for proven fraud


@dataclass(frozen=True, slots=True)
class Claim(Wire):
    """A node's work in one round, from its first proof until its reward leaves vesting."""

    wallet: Address
    batches: U64
    tokens: U64
    debt: U128  # fees owed for the inclusion of its proofs, paid from the reward
    last_proof: Hash
    commitment: Hash
    previous_claimant: Hash  # the claims of a round form a list that starts in the round record
    averages_steps: U64  # behind the second moments that it began with; 0: it began fresh
    states: Annotated[tuple[Hash, ...], SEGMENTS_MAXIMUM]
    start: Hash  # state hash with which its segment 0 began
    plant: Hash  # promise of the secret that was in force when the round opened; ZERO: none
    plant_round: U64
    payload_root: Hash  # from here on: of its reveal, ZERO and empty before
    theta_root: Hash  # of its last state
    distances: Annotated[tuple[U64, ...], SEGMENTS_MAXIMUM]
    forfeited: Flag  # proven fraud: pays nothing


@dataclass(frozen=True, slots=True)
class Vesting(Wire):
    wallet: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class Revealed(Wire):
    node: Hash
    payload_root: Hash
    payload_bytes: U64
    steps: U32
    path: U128  # sum of its distances, in units of 2⁻²⁴: how far the node says it went


@dataclass(frozen=True, slots=True)
class Tally(Wire):
    subject: Hash
    power: U128  # of the validators that voted for it


@dataclass(frozen=True, slots=True)
class Poll(Wire):
    """A question to a validator set: which of some subjects does more than two thirds of its power attest?"""

    set_epoch: U64
    voted: Annotated[bytes, Fixed(VALIDATORS_MAXIMUM // 8)]  # who has voted, bit by index in the set
    tallies: Annotated[tuple[Tally, ...], VALIDATORS_MAXIMUM]


# Whom a round awaits: all participants; who committed in the round before or registered since it opened; of these the
# veterans only; whoever takes the seats.
EVERYBODY, RECENT, VETERANS, ANYBODY = range(4)
AWAITED = ("everybody", "recent", "veterans", "anybody")


@dataclass(frozen=True, slots=True)
class Awaited(Wire):
    """Whom a round's training phase waits for, in numbers: `chain.awaited` has the rule."""

    whom: U8
    since_height: U64  # when the round before opened, 0 if none did
    nodes: U64
    work: U64  # segments that they committed in their last round
    arrived: U64  # of the nodes, those that have committed
    arrived_work: U64  # of the work, theirs
    quorum_height: U64  # the block in which it was more than two thirds, and the deadline came nearer; 0: not yet


# Phases of an audit: the node shows the segment's states; auditors bind themselves; they and the node show what they
# bound themselves to; all validators say whether the states are to be had; all say whether the segment is forged.
OPENING, AUDITING, SHOWING, CHALLENGED, DISPUTED = range(1, 6)
# How an audit ends: no objection; proven fraud; the node did not show or serve; a dispute without a majority; nobody
# could or did check.
PASSED, PROVEN, WITHHELD, ACQUITTED, UNCHECKED = range(6, 11)
AUDIT_PHASES = (
    *("none", "opening", "auditing", "showing", "challenged", "disputed"),
    *("passed", "fraud", "withheld", "acquitted", "unchecked"),
)
AUDITORS_MAXIMUM = 16
AUDITS_MAXIMUM = 8192  # open ones


@dataclass(frozen=True, slots=True)
class Assigned(Wire):
    """An auditor of one attempt: a member of the audit's set."""

    validator: U16
    attempt: U8
    commitment: Hash  # ZERO: none yet
    finding: U8  # NO_FINDING: not shown yet
    inner_root: Hash  # merkle root of the states that it named


@dataclass(frozen=True, slots=True)
class Audit(Wire):
    """The check of one segment of a node's round. It stays beside the claim until the reward leaves vesting."""

    phase: U8
    segment: U32
    attempt: U8
    set_epoch: U64  # of the validator set that auditors are drawn from and that answers its poll
    drawn_height: U64
    deadline_height: U64  # of the phase
    mix: Hash  # that drew the segment and the first auditors
    before: StateParts  # of the segment's first and last state; zero until the node has shown them
    after: StateParts
    secret: Hash  # of its plants, ZERO until it has shown it
    auditors: Annotated[tuple[Assigned, ...], AUDITORS_MAXIMUM]  # of all attempts, in the order of their draw
    poll: Poll  # subjects: `answer_subject`

    @property
    def is_open(self) -> bool:
        return self.phase < PASSED


@dataclass(frozen=True, slots=True)
class AuditName(Wire):
    round: U64
    node: Hash


@dataclass(frozen=True, slots=True)
class AuditQueue(Wire):
    """The open audits, in the order of their draw."""

    audits: Annotated[tuple[AuditName, ...], AUDITS_MAXIMUM] = ()


OPENED, TRAINING, REVEALING, HOLDING, RESULT, CLOSED, VOID = range(1, 8)
ROUND_PHASES = ("none", "opened", "training", "revealing", "holding", "result", "closed", "void")


@dataclass(frozen=True, slots=True)
class Round(Wire):
    number: U64
    phase: U8
    opened_height: U64
    deadline_height: U64  # of the current phase
    participants: U64  # nodes registered before the opening
    veterans: U64  # of them, those whose payload was ever counted
    awaited: Awaited
    base: Outcome  # the model that the round starts from
    mix: Hash  # drawn after the opening; fixes data order and seats
    last_claimant: Hash
    committed: Annotated[tuple[Hash, ...], SEATS_MAXIMUM]
    committed_newcomers: U16
    revealed: Annotated[tuple[Revealed, ...], SEATS_MAXIMUM]  # by node id from the holding phase on
    availability: Poll  # subjects: the payload roots; its set is fixed at the commit deadline
    result: Poll  # subjects: the outer roots of `outcomes`
    outcomes: Annotated[tuple[Outcome, ...], VALIDATORS_MAXIMUM]  # in the order of the tallies

    @property
    def poll(self) -> Poll:
        """What validators are asked now, or will be next."""
        return self.result if self.phase >= RESULT else self.availability

    @property
    def set_epoch(self) -> int:
        """The epoch of the validator set that attests the round."""
        return self.availability.set_epoch


@dataclass(frozen=True, slots=True)
class ValidatorSet(Wire):
    members: Annotated[tuple[Validator, ...], VALIDATORS_MAXIMUM]

    @property
    def power(self) -> int:
        return sum(member.power for member in self.members)


@dataclass(frozen=True, slots=True)
class Ledger(Wire):
    """The singletons. `base_fee` is in nanos per unit of gas."""

    mix: Hash
    base_fee: U64
    round: U64  # the newest round, 0 before the first
    ended_round: U64  # rounds up to here are closed or void
    drawn_round: U64  # rounds up to here have had their audits drawn
    closed_rounds: U64  # of them, those that changed the model
    settled_round: U64  # rounds up to here have had their reward minted
    released_round: U64  # rounds up to here have left vesting
    nodes: U64  # active registrations
    veterans: U64  # of them, those whose payload was ever counted
    work: U64  # segments that the active nodes committed in their last round, each its own
    arrivals: U64  # active nodes that registered since the newest round opened
    tokens: U128  # of all proven segments, ever
    active_maximum: U128  # historical maximum of active real stake
    model: Outcome  # of the last closed round, or of the genesis


@dataclass(frozen=True, slots=True)
class Supply(Wire):
    """Totals per kind of pot; their sum is minted − burned after every block."""

    minted: U128 = 0
    burned: U128 = 0
    balances: U128 = 0
    bonded: U128 = 0
    unbonding: U128 = 0
    vesting: U128 = 0
    escrow: U128 = 0
    deposits: U128 = 0

    @property
    def circulating(self) -> int:
        return self.minted - self.burned

    @property
    def owned(self) -> int:
        return self.balances + self.bonded + self.unbonding + self.vesting + self.escrow + self.deposits


W = TypeVar("W", bound=Wire)
LEDGER_KEY, SUPPLY_KEY, AUDITS_KEY = b"l", b"$", b"o"


def account_key(address: bytes) -> bytes:
    return b"a" + address


def node_key(node: bytes) -> bytes:
    return b"n" + node


def round_key(number: int) -> bytes:
    return b"r" + number.to_bytes(8, "big")


def claim_key(number: int, node: bytes) -> bytes:
    return b"c" + number.to_bytes(8, "big") + node


def vesting_key(number: int, node: bytes) -> bytes:
    return b"v" + number.to_bytes(8, "big") + node


def audit_key(number: int, node: bytes) -> bytes:
    return b"q" + number.to_bytes(8, "big") + node


def set_key(epoch: int) -> bytes:
    return b"s" + epoch.to_bytes(8, "big")


# Every block of an epoch reads the same set of up to a thousand members.
@lru_cache(maxsize=16)
def _validator_set(data: bytes) -> ValidatorSet:
    return ValidatorSet.decode(data)


@lru_cache(maxsize=16)
def _validators_root(data: bytes) -> bytes:
    return validators_root(_validator_set(data).members)


class State:
    """An overlay over finalized records. `fork` gives a draft; the parent never sees it until `merge`.

    A draft reads a record of its parent once: the parent stays as it is while the draft is at work.
    """

    __slots__ = ("_decoded", "_read", "changes")

    def __init__(self, read: Read) -> None:
        self._read = read
        self._decoded: dict[bytes, tuple[bytes, Wire]] = {}  # records by key, with the bytes that they stand for
        self.changes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.changes[key] if key in self.changes else self._read(key)

    def put(self, key: bytes, record: Wire) -> None:
        data = self.changes[key] = record.encode()
        self._decoded[key] = data, record

    def delete(self, key: bytes) -> None:
        self.changes[key] = None

    def fork(self) -> "State":
        return State(cache(self.get))

    def merge(self, draft: "State") -> None:
        self.changes.update(draft.changes)
        self._decoded.update(draft._decoded)

    def find(self, kind: type[W], key: bytes) -> W | None:
        data = self.get(key)
        if data is None:
            return None
        known = self._decoded.get(key)
        # Whoever writes to `changes` need not know of this memory: other bytes are another record.
        if known is not None and known[0] is data and type(known[1]) is kind:
            return known[1]
        record = kind.decode(data)
        self._decoded[key] = data, record
        return record

    def need(self, kind: type[W], key: bytes) -> W:
        record = self.find(kind, key)
        assert record is not None, f"the state lacks {kind.__name__} {key.hex()}"
        return record

    @property
    def ledger(self) -> Ledger:
        return self.need(Ledger, LEDGER_KEY)

    @property
    def supply(self) -> Supply:
        return self.find(Supply, SUPPLY_KEY) or Supply()

    def account(self, address: bytes) -> Account:
        return self.find(Account, account_key(address)) or Account()

    def round(self, number: int) -> Round | None:
        return self.find(Round, round_key(number))

    def audit(self, number: int, node: bytes) -> Audit | None:
        return self.find(Audit, audit_key(number, node))

    @property
    def open_audits(self) -> tuple[AuditName, ...]:
        queue = self.find(AuditQueue, AUDITS_KEY)
        return () if queue is None else queue.audits

    def validators(self, epoch: int) -> ValidatorSet:
        return _validator_set(self._encoded_set(epoch))

    def validators_root(self, epoch: int) -> bytes:
        """The root of an epoch's set as a header names it."""
        return _validators_root(self._encoded_set(epoch))

    def _encoded_set(self, epoch: int) -> bytes:
        data = self.get(set_key(epoch))
        assert data is not None, f"the state lacks the validator set of epoch {epoch}"
        return data

    def update_ledger(self, **changes: int | bytes | Outcome) -> None:
        self.put(LEDGER_KEY, replace(self.ledger, **changes))  # type: ignore[arg-type]

    def spend_nonce(self, address: bytes) -> None:
        account = self.account(address)
        self.put(account_key(address), Account(account.balance, account.nonce + 1))
