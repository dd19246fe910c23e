"""Validators that save the replay: one passes everything unseen, one repeats what another has committed to."""

from dataclasses import dataclass

from chain.audit_messages import PASS, VerdictCommit
from chain.crypto.hashing import ZERO, tagged_hash
from chain.state import Assigned, Audit, AuditName, State
from tests.audits.auditor import Auditor
from tests.audits.replaying import Judged
from tests.builders import NO_BLS_SIGNATURE


@dataclass(eq=False)
class RubberStamp(Auditor):
    """Passes everything, with invented states."""

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        steps = range(self.school.params.segment_steps)
        return Judged(PASS, tuple(tagged_hash("made up", name.node, bytes([step])) for step in steps))


@dataclass(eq=False)
class Copier(RubberStamp):
    """Repeats the other auditor's commitment, if there is one, in the hope of repeating its verdict."""

    def bind(self, state: State, name: AuditName, audit: Audit, mine: Assigned) -> VerdictCommit:
        others = [each for each in audit.auditors if each.attempt == audit.attempt and each is not mine]
        copied = next((each.commitment for each in others if each.commitment != ZERO), None)
        if copied is None:
            return super().bind(state, name, audit, mine)
        return VerdictCommit(name.round, name.node, mine.validator, copied, NO_BLS_SIGNATURE)
