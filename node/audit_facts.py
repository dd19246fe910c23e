"""What the ledger's state knows of a node's work in a round and of its audit. `node.explain_audit` puts it in words."""

from dataclasses import dataclass
from fractions import Fraction

from chain.audit_draw import audit_share, wallets_of
from chain.audit_inputs import answer_subject
from chain.audit_messages import ANSWERS, NO_FINDING
from chain.crypto.hashing import ZERO
from chain.findings import is_misled, is_segment_planted
from chain.genesis import Network, Params
from chain.payouts import claims_of
from chain.rounds import earning
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
    set_size: int  # validators
    own_members: int  # of them those of the node's own wallet, which are never drawn
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
    members = state.validators(set_epoch).members
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
        rate_basis_points=None if record is None else audit_share(record, params),
        audited_rounds=None if record is None else record.audited_rounds,
        suspended_round=None if record is None else record.suspended_round,
        warmup_rounds=params.audit_warmup_rounds,
        set_size=len(members),
        own_members=sum(claim.wallet in wallets_of(state, each.public_key, network) for each in members),
        audit=None if found is None else audit_of(state, network, current, found),
        reward=_reward(state, current, claim, node, params),
    )


def claimants(state: State, current: Round) -> list[bytes]:
    """The nodes of a round whose claims are there: all, or when it was released those held back for an open audit."""
    if current.number > state.ledger.released_round:
        return sorted(node for node, _ in claims_of(state, current.number))
    shown = sorted(revealed.node for revealed in current.revealed)
    return [node for node in shown if state.find(Claim, claim_key(current.number, node)) is not None]


def _counts(state: State, current: Round, node: bytes) -> bool | None:
    return node in earning(state, current) if current.phase in (CLOSED, VOID) else None


def audit_of(state: State, network: Network, current: Round, audit: Audit) -> AuditFacts:
    members = state.validators(audit.set_epoch).members
    planted = None if audit.secret == ZERO else is_segment_planted(audit, current.mix, network.params)
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
                wallet=next(iter(wallets_of(state, members[each.validator].public_key, network)), None),
                attempt=each.attempt,
                committed=each.commitment != ZERO or each.finding != NO_FINDING,
                finding=each.finding,
                inner_root=each.inner_root,
                misled=None if planted is None else is_misled(audit, each, current.mix, network.params),
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
