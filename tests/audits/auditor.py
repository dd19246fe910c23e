"""A validator of a village: it attests rounds, audits what it is drawn for, and votes on challenges and disputes.

Start reading at `Auditor.says`. Lying, lazy and colluding auditors override `judge` or `verdict`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chain.attestations import has_voted
from chain.audit_messages import (
    CLEAN,
    FRAUD,
    HERE,
    MISMATCH,
    MISSING,
    NO_FINDING,
    UNSERVED,
    AuditVote,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import AvailabilityVote, ResultVote, RoundInput
from chain.crypto import bls
from chain.crypto.hashing import ZERO, tagged_hash
from chain.round_inputs import write_bitmap
from chain.rounds import counted, counted_root
from chain.state import (
    AUDITING,
    CHALLENGED,
    DISPUTED,
    HOLDING,
    RESULT,
    SHOWING,
    Assigned,
    Audit,
    AuditName,
    Claim,
    Revealed,
    Round,
    State,
    claim_key,
    round_key,
)
from tests.audits.replaying import Judged, Question, judge, question_of
from tests.audits.school import School
from tests.audits.trainer import Blob
from tests.builders import NO_BLS_SIGNATURE, Key, voting_key, voting_secret
from training.outer import Entry
from training.payload import payload_norm

if TYPE_CHECKING:
    from tests.audits.village import Village

NORM_SLACK_PERCENT = 25


@dataclass(eq=False)
class Auditor:
    """An honest validator. `wallet` is its stake's, unless it is a founder with the BLS secret given."""

    school: School
    wallet: Key
    founder_secret: int = 0
    verdicts: dict[tuple[int, bytes, int], Judged] = field(default_factory=dict)  # by round, node, attempt
    village: "Village" = field(init=False)

    @property
    def is_founder(self) -> bool:
        return bool(self.founder_secret)

    @property
    def secret(self) -> int:
        return self.founder_secret or voting_secret(self.wallet)

    @property
    def public_key(self) -> bytes:
        return bls.public_key(self.founder_secret) if self.is_founder else voting_key(self.wallet)

    @property
    def chain_id(self) -> bytes:
        return self.school.network.chain_id

    def place_in(self, state: State, epoch: int) -> int | None:
        members = state.validators(epoch).members
        return next((at for at, each in enumerate(members) if each.public_key == self.public_key), None)

    def says(self, state: State, height: int, time_ms: int) -> tuple[list, list[RoundInput]]:
        """Everything that is due from this validator on this state."""
        inputs: list[RoundInput] = []
        current = state.round(state.ledger.round)
        if current is not None and current.phase in (HOLDING, RESULT):
            place = self.place_in(state, current.set_epoch)
            if place is not None and not has_voted(current.poll, place):
                inputs.append(self._attest(state, current, place))
        for name in state.open_audits:
            audit = state.audit(name.round, name.node)
            assert audit is not None
            place = self.place_in(state, audit.set_epoch)
            if place is not None:
                inputs += self._on_audit(state, name, audit, place)
        return [], inputs

    def _attest(self, state: State, current: Round, place: int) -> RoundInput:
        vote: AvailabilityVote | ResultVote
        if current.phase == HOLDING:
            held = [self.holds(each) for each in current.revealed]
            vote = AvailabilityVote(current.number, place, write_bitmap(held), NO_BLS_SIGNATURE)
        else:
            chosen = counted(state, current)
            entries = [Entry(each.node, bytes(self._payload(each)), each.steps) for each in chosen]
            outcome = self.school.result(current.base, counted_root(state, current), entries)
            vote = ResultVote(current.number, place, outcome, NO_BLS_SIGNATURE)
        return self.sign(vote)

    def sign(self, vote):  # type: ignore[no-untyped-def]
        return replace(vote, signature=bls.sign(self.secret, vote.digest(self.chain_id)))

    def holds(self, revealed: Revealed) -> bool:
        """Whether the payload is here, and no longer than the path that its node says it went: as `node.outcomes`."""
        payload = self._payload(revealed)
        if not isinstance(payload, bytes) or len(payload) != revealed.payload_bytes:
            return False
        norm = payload_norm(payload, self.school.learning.fragment_sizes)
        return norm > 0 and 100 * norm <= (100 + NORM_SLACK_PERCENT) * revealed.path

    def _payload(self, revealed: Revealed) -> Blob | None:
        """Payloads are pushed to all when they are revealed; nothing of an audit is asked for here."""
        work = self.village.nodes[revealed.node].blobs
        return work.get(revealed.payload_root)

    # ---- Audits

    def _on_audit(self, state: State, name: AuditName, audit: Audit, place: int) -> Iterator[RoundInput]:
        mine = [each for each in audit.auditors if each.validator == place and each.attempt == audit.attempt]
        if audit.phase == AUDITING:
            yield from (self.sign(self.bind(state, name, audit, each)) for each in mine if each.commitment == ZERO)
        if audit.phase == SHOWING:
            shown = [each for each in mine if each.commitment != ZERO and each.finding == NO_FINDING]
            yield from (self.sign(self.reveal(state, name, audit, each)) for each in shown)
        if audit.phase in (CHALLENGED, DISPUTED) and not has_voted(audit.poll, place):
            answer = self.answer(state, name, audit)
            if answer is not None:
                yield self.sign(AuditVote(name.round, name.node, place, audit.attempt, answer, NO_BLS_SIGNATURE))

    def bind(self, state: State, name: AuditName, audit: Audit, mine: Assigned) -> VerdictCommit:
        commitment = self.verdict(state, name, audit, mine).commitment(self.chain_id)
        return VerdictCommit(name.round, name.node, mine.validator, commitment, NO_BLS_SIGNATURE)

    def reveal(self, state: State, name: AuditName, audit: Audit, mine: Assigned) -> VerdictReveal:
        return self.verdict(state, name, audit, mine)

    def verdict(self, state: State, name: AuditName, audit: Audit, mine: Assigned) -> VerdictReveal:
        """What it found, made once for an attempt."""
        place = name.round, name.node, audit.attempt
        if place not in self.verdicts:
            self.verdicts[place] = self.judge(state, name, audit)
        found = self.verdicts[place]
        number = name.round.to_bytes(8, "big")
        salt = tagged_hash("salt", str(self.secret).encode(), number, name.node, bytes([audit.attempt]))
        return VerdictReveal(name.round, name.node, mine.validator, salt, found.finding, found.inner, NO_BLS_SIGNATURE)

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        """The finding on the segment, with the data order that is known by now."""
        purpose = "planted" if audit.secret != ZERO and audit.attempt > 1 else "audit"
        if sum(each.attempt == audit.attempt for each in audit.auditors) > 1:
            purpose = "pair"
        return self.replay(self.question(state, name, audit, audit.secret), purpose)

    def question(self, state: State, name: AuditName, audit: Audit, secret: bytes) -> Question:
        claim = state.need(Claim, claim_key(name.round, name.node))
        return question_of(self.school, state.need(Round, round_key(name.round)), claim, (name.node, audit, secret))

    def replay(self, question: Question, purpose: str) -> Judged:
        node = self.village.nodes[question.node]
        return judge(self.school, question, lambda root: node.serve(root, self.public_key), purpose)

    def answer(self, state: State, name: AuditName, audit: Audit) -> int | None:
        """To the question of an audit's poll."""
        question = self.question(state, name, audit, audit.secret)
        if audit.phase == CHALLENGED:
            return MISSING if self.replay(question, "challenge").finding == UNSERVED else HERE
        found = self.replay(question, "dispute")
        if found.finding == UNSERVED or not found.clear:
            return None  # what may be rounding convicts nobody and clears nobody
        return FRAUD if found.finding == MISMATCH else CLEAN
