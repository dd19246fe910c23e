"""What nodes, auditors and validators say in the audits of a played chain."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from chain.attestations import has_voted
from chain.audit_messages import (
    FRAUD,
    MISMATCH,
    PASS,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import RoundInput, state_hash
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.findings import of_attempt
from chain.state import AUDITING, DISPUTED, OPENING, SHOWING, Assigned, Audit, AuditName, Claim, claim_key
from tests.builders import NO_BLS_SIGNATURE, NO_SIGNATURE, Chain, Key, named, plant_secret, state_parts


@dataclass(frozen=True, slots=True)
class PlayedAudits:
    """The open audits of a chain. Of the nodes in `forgers` every auditor finds a mismatch."""

    chain: Chain
    nodes: Collection[Key]
    secret_of: Callable[[bytes], int]
    forgers: Collection[bytes]

    def inputs(self) -> Iterator[RoundInput]:
        for name in self.chain.state.open_audits:
            audit = self.chain.state.audit(name.round, name.node)
            assert audit is not None
            node = next(node for node in self.nodes if node.node == name.node)
            if audit.phase == OPENING:
                yield self._opening(name, audit, node)
            elif audit.phase in (AUDITING, SHOWING):
                yield from self._verdicts(name, audit, node)
            elif audit.phase == DISPUTED:
                yield from self._votes(name, audit)

    def _by_node(self, item: Any, node: Key) -> Any:
        return replace(item, signature=node.sign(item.digest(self.chain.network.chain_id)))

    def _by_validator(self, item: Any, audit: Audit) -> Any:
        member = self.chain.state.validators(audit.set_epoch).members[item.validator]
        digest = item.digest(self.chain.network.chain_id)
        return replace(item, signature=bls.sign(self.secret_of(member.public_key), digest))

    def _opening(self, name: AuditName, audit: Audit, node: Key) -> SegmentOpening:
        after = StateParts(*state_parts(node, name.round, audit.segment))
        before = StateParts(*state_parts(node, name.round, audit.segment - 1))
        if not audit.segment:
            before = self._start(name, node)
        return self._by_node(SegmentOpening(name.round, node.node, before, after, NO_SIGNATURE), node)

    def _start(self, name: AuditName, node: Key) -> StateParts:
        """The parts that the claim's first state is made of: the base, and second moments of some round before."""
        claim, current = self._claim(name), self.chain.state.round(name.round)
        assert current is not None
        segments = range(self.chain.network.params.segments)
        carried = (state_parts(node, number, s)[2] for number in range(1, name.round) for s in segments)
        parts = (StateParts(current.base.weights_root, ZERO, root) for root in (ZERO, *carried))
        return next(p for p in parts if state_hash(p.theta_root, p.m_root, p.v_root) == claim.start)

    def _claim(self, name: AuditName) -> Claim:
        return self.chain.state.need(Claim, claim_key(name.round, name.node))

    def _verdicts(self, name: AuditName, audit: Audit, node: Key) -> Iterator[RoundInput]:
        claim = self._claim(name)
        for assigned in of_attempt(audit):
            verdict = self._verdict(name, audit, assigned)
            if audit.phase == SHOWING:
                yield self._by_validator(verdict, audit)
            else:
                hidden = verdict.commitment(self.chain.network.chain_id)
                commit = VerdictCommit(name.round, name.node, assigned.validator, hidden, NO_BLS_SIGNATURE)
                yield self._by_validator(commit, audit)
        if audit.phase == SHOWING and claim.plant != ZERO and audit.secret == ZERO:
            secret = plant_secret(node, claim.plant_round)
            yield self._by_node(PlantReveal(name.round, name.node, secret, NO_SIGNATURE), node)

    def _verdict(self, name: AuditName, audit: Audit, assigned: Assigned) -> VerdictReveal:
        finding = MISMATCH if name.node in self.forgers else PASS
        inner = tuple(named(f"inner {step}") for step in range(self.chain.network.params.segment_steps))
        salt = named(f"salt {name.round} {assigned.validator} {audit.attempt}")
        return VerdictReveal(name.round, name.node, assigned.validator, salt, finding, inner, NO_BLS_SIGNATURE)

    def _votes(self, name: AuditName, audit: Audit) -> Iterator[RoundInput]:
        """Of just so many validators that their word decides."""
        members, power = self.chain.state.validators(audit.set_epoch).members, 0
        for place, member in enumerate(members):
            if has_voted(audit.poll, place) or 3 * power > 2 * sum(each.power for each in members):
                continue
            power += member.power
            vote = AuditVote(name.round, name.node, place, audit.attempt, FRAUD, NO_BLS_SIGNATURE)
            yield self._by_validator(vote, audit)
