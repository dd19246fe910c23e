"""What has to be found out for an audit, as it follows from the ledger alone, and who finds it out."""

from dataclasses import dataclass
from typing import Protocol

from chain.audit_messages import StateParts
from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.plants import segment_mix
from chain.state import CHALLENGED, Audit, AuditName, Claim, NodeRecord, State, claim_key, node_key
from node.audit_words import WordKey


@dataclass(frozen=True, slots=True)
class Job:
    """One question of an audit: are the states to be had; and unless `mix` is empty, does the segment lead there?"""

    round: int
    node: bytes
    question: int  # the phase that asks
    attempt: int
    segment: int
    mix: bytes  # of the data order; empty: nothing is to be replayed
    holder: bytes  # key of the audited node among peers
    base_root: bytes  # of the weights that the round started from
    before: StateParts
    after: StateParts
    theta_root: bytes  # of the round's last state
    payload_root: bytes
    distance: int
    averages_steps: int

    @property
    def key(self) -> WordKey:
        return self.round, self.node, self.question, self.attempt


class Examiner(Protocol):
    """Finds out, beside the event loop; what it has found is kept in the driver's words before the driver hears."""

    def begin(self, job: Job) -> None: ...

    def give_up(self, job: Job) -> None:
        """There is no more time: if some blob is still missing, that is the finding."""

    def drop(self, key: WordKey) -> None:
        """Nobody wants to know it any more."""


def job_of(state: State, name: AuditName, audit: Audit, params: Params) -> Job | None:
    """The question that an audit asks now; None where the ledger no longer knows the work."""
    claim = state.find(Claim, claim_key(name.round, name.node))
    current, record = state.round(name.round), state.find(NodeRecord, node_key(name.node))
    if claim is None or current is None or record is None or audit.segment >= len(claim.distances):
        return None
    secret = audit.secret if audit.secret != ZERO else None
    return Job(
        round=name.round,
        node=name.node,
        question=audit.phase,
        attempt=audit.attempt,
        segment=audit.segment,
        mix=b"" if audit.phase == CHALLENGED else segment_mix(secret, current.mix, audit.segment, params),
        holder=record.public_key,
        base_root=current.base.weights_root,
        before=audit.before,
        after=audit.after,
        theta_root=claim.theta_root,
        payload_root=claim.payload_root,
        distance=claim.distances[audit.segment],
        averages_steps=claim.averages_steps,
    )
