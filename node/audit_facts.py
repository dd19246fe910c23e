"""What the ledger's state knows of a node's work in a round and of its audit. `node.explain_audit` puts it in words."""

from dataclasses import dataclass
from fractions import Fraction

from chain.audit_messages import ANSWERS, NO_FINDING
from chain.block import Validator
from chain.crypto.hashing import ZERO, tagged_hash
from chain.genesis import Network, Params
from chain.plants import is_planted
from chain.rounds import counted
from chain.stakes import ValidatorKey, validator_key
from chain.state import (
    CLOSED,
    PASSED,
    ROUND_PHASES,
    VOID,
    Audit,
    Claim,
    NodeRecord,
    Poll,
    Round,
    State,
    Vesting,
    claim_key,
    node_key,
    vesting_key,
)

# What has become of a reward.
UNPAID, NOT_MINTED, VESTING, FORFEITED, RELEASED = "unpaid", "not minted yet", "vesting", "forfeited", "released"
REWARDS = (UNPAID, NOT_MINTED, VESTING, FORFEITED, RELEASED)


@dataclass(frozen=True, slots=True)
class Auditor:
    """One validator that was drawn, in one attempt."""

    place: int  # in the audit's set
    key: bytes
    wallet: bytes | None
    attempt: int
    committed: bool
    finding: int
    inner_root: bytes
    misled: bool | None  # it could not know that the node rightly read other data; None: that is not shown


@dataclass(frozen=True, slots=True)
class AuditFacts:
    phase: int
    segment: int
    attempt: int
    drawn_height: int
    deadline_height: int | None
    set_epoch: int
    planted: bool | None  # None: the node has not shown it
    auditors: tuple[Auditor, ...]
    votes: tuple[tuple[int, int], ...]  # answers, with basis points of the power, to the question that was put last

    @property
    def is_open(self) -> bool:
        return self.phase < PASSED


@dataclass(frozen=True, slots=True)
class Reward:
    state: str
    amount: int | None
    release_round: int  # after whose end it is released


@dataclass(frozen=True, slots=True)
class ProofFacts:
    """All that is told of one node's work in one round. None: not known here any more."""

    round: int
    node: bytes
    wallet: bytes | None
    round_phase: str
    ended_height: int | None
    height: int
    ended_round: int  # rounds up to here have ended by now
    segments: int
    of_round: int
    segment_steps: int
    tokens: int
    payload_root: bytes | None
    counts: bool | None  # whether it may be paid
    distances: tuple[int, ...]
    rate_basis_points: int | None  # that applies to the node now
    audited_rounds: int | None
    suspended_round: int | None
    warmup_rounds: int
    sets_size: int | None  # validators that could be drawn
    own_power: int | None  # of them those of the node's own wallet
    audit: AuditFacts | None
    reward: Reward

    @property
    def steps(self) -> int:
        return self.segments * self.segment_steps

    @property
    def drawn_basis_points(self) -> int | None:
        """How likely the drawn segment was to be the one.

        Half of the lots are uniform, half go by distance, where none weighs less than the mean distance.
        """
        if self.audit is None or not self.segments or self.audit.segment >= self.segments:
            return None
        total = sum(self.distances)
        weights = [max(self.segments * distance, total) for distance in self.distances]
        uniform = Fraction(1, self.segments)
        weighted = Fraction(weights[self.audit.segment], sum(weights)) if total else uniform
        return int((uniform + weighted) / 2 * 10_000)


def facts_of(
    state: State, network: Network, current: Round, node: bytes, heights: tuple[int | None, int]
) -> ProofFacts:
    """The facts about a node that has a claim in a round whose records are there.

    `heights`: of the block in which the round ended, and of the newest block.
    """
    params, ledger = network.params, state.ledger
    claim = state.need(Claim, claim_key(current.number, node))
    record = state.find(NodeRecord, node_key(node))
    found = state.audit(current.number, node)
    set_epoch = current.set_epoch if found is None else found.set_epoch
    wallets = [wallet_of(state, network, member) for member in state.validators(set_epoch).members]
    return ProofFacts(
        round=current.number,
        node=node,
        wallet=claim.wallet,
        round_phase=ROUND_PHASES[current.phase],
        ended_height=heights[0],
        height=heights[1],
        ended_round=ledger.ended_round,
        segments=len(claim.states),
        of_round=params.segments,
        segment_steps=params.segment_steps,
        tokens=claim.tokens,
        payload_root=None if claim.payload_root == ZERO else claim.payload_root,
        counts=_counts(state, current, node),
        distances=claim.distances,
        rate_basis_points=None if record is None else rate_of(record.audited_rounds, params),
        audited_rounds=None if record is None else record.audited_rounds,
        suspended_round=None if record is None else record.suspended_round,
        warmup_rounds=params.audit_warmup_rounds,
        sets_size=len(wallets),
        own_power=sum(wallet == claim.wallet for wallet in wallets),
        audit=None if found is None else audit_of(state, network, current, found),
        reward=_reward(state, current, claim, node, params),
    )


def rate_of(audited_rounds: int, params: Params) -> int:
    """How often a node with this history is audited, in basis points."""
    if audited_rounds < params.audit_warmup_rounds:
        return 10_000
    is_floor = audited_rounds >= params.audit_floor_rounds
    return params.audit_floor_basis_points if is_floor else params.audit_steady_basis_points


def wallet_of(state: State, network: Network, member: Validator) -> bytes | None:
    """Who is behind a validator: the founder's payout address, or the wallet that bonded for the key."""
    for founder in network.validators:
        if founder.public_key == member.public_key:
            return founder.payout
    known = state.find(ValidatorKey, validator_key(member.public_key))
    return None if known is None else known.wallet


def _counts(state: State, current: Round, node: bytes) -> bool | None:
    if current.phase == CLOSED:
        return any(payload.node == node for payload in counted(state, current))
    if current.phase == VOID:
        return any(payload.node == node for payload in current.revealed)
    return None


def audit_of(state: State, network: Network, current: Round, audit: Audit) -> AuditFacts:
    members = state.validators(audit.set_epoch).members
    planted = None if audit.secret == ZERO else is_planted(audit.secret, current.mix, audit.segment, network.params)
    blind = next((each.attempt for each in audit.auditors if each.commitment != ZERO), 0)
    return AuditFacts(
        phase=audit.phase,
        segment=audit.segment,
        attempt=audit.attempt,
        drawn_height=audit.drawn_height,
        deadline_height=audit.deadline_height if audit.is_open else None,
        set_epoch=audit.set_epoch,
        planted=planted,
        auditors=tuple(
            Auditor(
                place=each.validator,
                key=members[each.validator].public_key,
                wallet=wallet_of(state, network, members[each.validator]),
                attempt=each.attempt,
                committed=each.commitment != ZERO or each.finding != NO_FINDING,
                finding=each.finding,
                inner_root=each.inner_root,
                misled=None if planted is None else planted and each.attempt == blind,
            )
            for each in audit.auditors
        ),
        votes=_votes(audit.poll, sum(member.power for member in members)),
    )


def _votes(poll: Poll, total: int) -> tuple[tuple[int, int], ...]:
    powers = {tally.subject: tally.power for tally in poll.tallies}
    shares = [(answer, powers.get(answer_subject(answer), 0)) for answer in range(1, len(ANSWERS))]
    return tuple((answer, 10_000 * power // total) for answer, power in shares if power)


def _reward(state: State, current: Round, claim: Claim, node: bytes, params: Params) -> Reward:
    release = current.number + params.vest_rounds
    vesting = state.find(Vesting, vesting_key(current.number, node))
    if claim.forfeited:
        return Reward(FORFEITED, None, release)
    if _counts(state, current, node) is False:
        return Reward(UNPAID, None, release)
    if current.number > state.ledger.settled_round:
        return Reward(NOT_MINTED, None, release)
    return Reward(VESTING, 0 if vesting is None else vesting.amount, release)


def answer_subject(answer: int) -> bytes:
    """The name of an answer in an audit's poll."""
    return tagged_hash("audit-answer", bytes((answer,)))
