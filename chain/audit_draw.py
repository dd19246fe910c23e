"""Whom the lot audits, which segment, and who looks. All of it follows from the mix of the block that draws.

That mix comes after the states are committed and the round has ended: nobody could prepare for it. Lots are independent
of each other, so that a draw tells nothing of the next. Start reading at `is_drawn`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from chain.crypto.hashing import tagged_hash
from chain.genesis import Network, Params
from chain.stakes import ValidatorKey, validator_key
from chain.state import AuditName, Claim, NodeRecord, State


@dataclass(frozen=True, slots=True)
class Candidate:
    """A validator that may be drawn: its place in the audit's set, and the wallets that it earns for."""

    place: int
    power: int
    wallets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """Where audits move on: a block on a draft of the state."""

    state: State
    height: int
    epoch: int
    network: Network
    known: dict[int, list[Candidate]] = field(default_factory=dict)  # by epoch of the audit's set

    @property
    def params(self) -> Params:
        return self.network.params

    def candidates(self, set_epoch: int) -> list[Candidate]:
        if set_epoch not in self.known:
            self.known[set_epoch] = _candidates(self.state, set_epoch, self.epoch, self.network)
        return self.known[set_epoch]


def _candidates(state: State, set_epoch: int, epoch: int, network: Network) -> list[Candidate]:
    """Members of an audit's set that are still members now and not banned."""
    founders = {validator.public_key: validator.payout for validator in network.validators}
    present = {member.public_key for member in state.validators(epoch).members}
    found = []
    for place, member in enumerate(state.validators(set_epoch).members):
        key = state.find(ValidatorKey, validator_key(member.public_key))
        if member.public_key not in present or (key is not None and key.tombstoned):
            continue
        wallets = [key.wallet] if key else []
        if member.public_key in founders:
            wallets.append(founders[member.public_key])
        found.append(Candidate(place, member.power, tuple(wallets)))
    return found


def wallets_of(state: State, public_key: bytes, network: Network) -> list[bytes]:
    """Whom a validator key earns for, the founder's payout first. Empty once all its stake has left."""
    founder = [validator.payout for validator in network.validators if validator.public_key == public_key]
    key = state.find(ValidatorKey, validator_key(public_key))
    return founder + ([key.wallet] if key else [])


def chance(digest: bytes) -> int:
    """128 bits of a lot."""
    return int.from_bytes(digest[:16], "big")


def falls_within(lot: int, basis_points: int) -> bool:
    return lot * 10_000 < basis_points << 128


def audit_share(record: NodeRecord, params: Params) -> int:
    """How often a node is audited, in basis points: always at first, less the longer it passes."""
    if record.audited_rounds < params.audit_warmup_rounds:
        return 10_000
    if record.audited_rounds < params.audit_floor_rounds:
        return params.audit_steady_basis_points
    return params.audit_floor_basis_points


def is_drawn(mix: bytes, name: AuditName, record: NodeRecord, params: Params) -> bool:
    return falls_within(chance(tagged_hash("audit", mix, name.encode())), audit_share(record, params))


def draw_segment(mix: bytes, name: AuditName, claim: Claim) -> int:
    """One half of the audits looks anywhere, the other half in proportion to how far each segment says it went.

    Who says that a segment went nowhere is not passed over: it weighs as much as one of the usual way.
    """
    way, weights = sum(claim.distances), [1] * len(claim.states)
    if chance(tagged_hash("audit-kind", mix, name.encode())) % 2 == 0 and way:
        weights = [max(len(claim.distances) * distance, way) for distance in claim.distances]
    return _pick(chance(tagged_hash("audit-segment", mix, name.encode())), weights)


def _pick(lot: int, weights: Sequence[int]) -> int:
    """The place that a lot of 128 bits falls on."""
    point = lot * sum(weights) >> 128
    for place, weight in enumerate(weights):
        if point < weight:
            return place
        point -= weight
    raise AssertionError("weights that sum to nothing have no place")


def eligible(candidates: Iterable[Candidate], wallet: bytes, assigned: Collection[int]) -> list[Candidate]:
    """Who may still look at the work of a wallet's node.

    A validator is assigned once in an audit: what it said of one attempt could else be played back as its word of
    another, where other data are right.
    """
    return [each for each in candidates if wallet not in each.wallets and each.place not in assigned]


def draw_auditors(
    left: Iterable[Candidate], mix: bytes, name: AuditName, attempt: int, params: Params
) -> tuple[int, ...]:
    """One of the eligible by power, now and then two: their places in the audit's set. Empty if there is none."""
    left = [each for each in left if each.power]
    place = mix, name.encode(), bytes((attempt,))
    is_double = falls_within(chance(tagged_hash("second-auditor", *place)), params.audit_second_basis_points)
    drawn: list[int] = []
    for index in range(min(1 + is_double, len(left))):
        lot = chance(tagged_hash("auditor", *place, bytes((index,))))
        drawn.append(left.pop(_pick(lot, [each.power for each in left])).place)
    return tuple(drawn)
