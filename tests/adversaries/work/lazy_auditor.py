"""Validators that save the replay: one passes everything unseen, one repeats what another has committed to."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chain.audit_messages import PASS, VerdictCommit
from chain.block import RoundInput
from chain.crypto.hashing import ZERO, tagged_hash
from chain.state import AUDITING, Assigned, Audit, AuditName, State
from tests.audits.auditor import Auditor
from tests.audits.replaying import Judged


@dataclass(eq=False)
class RubberStamp(Auditor):
    """Passes everything, with invented states."""

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        steps = range(self.school.params.segment_steps)
        return Judged(PASS, tuple(tagged_hash("made up", name.node, bytes([step])) for step in steps))


@dataclass(eq=False)
class Copier(RubberStamp):
    """Waits for the other auditor of its attempt and repeats its commitment, in the hope of repeating its verdict."""

    def _on_audit(self, state: State, name: AuditName, audit: Audit, place: int) -> Iterator[RoundInput]:
        others = [each for each in audit.auditors if each.attempt == audit.attempt and each.validator != place]
        if audit.phase != AUDITING or all(each.commitment != ZERO for each in others):
            yield from super()._on_audit(state, name, audit, place)

    def bind(self, state: State, name: AuditName, audit: Audit, mine: Assigned) -> VerdictCommit:
        others = [each for each in audit.auditors if each.attempt == audit.attempt and each != mine]
        own = super().bind(state, name, audit, mine)
        return replace(own, commitment=others[0].commitment) if others else own
