"""A validator that passes whatever its friends forge; it knows their secrets, so planted segments do not betray it."""

from dataclasses import dataclass, field, replace

from chain.audit_messages import CLEAN, MISMATCH, PASS
from chain.crypto.hashing import ZERO
from chain.plants import is_planted
from chain.state import Audit, AuditName, Claim, Round, State, claim_key, round_key
from tests.audits.auditor import Auditor
from tests.audits.replaying import Judged
from tests.audits.trainer import Trainer


@dataclass(eq=False)
class Accomplice(Auditor):
    friends: list[Trainer] = field(default_factory=list)

    def _friend(self, name: AuditName) -> Trainer | None:
        return next((each for each in self.friends if each.key.node == name.node), None)

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        found = super().judge(state, name, audit)
        friend = self._friend(name)
        if friend is None or found.finding != MISMATCH:
            return found
        claim = state.need(Claim, claim_key(name.round, name.node))
        mix = state.need(Round, round_key(name.round)).mix
        secret = friend.secret(claim.plant_round) if claim.plant != ZERO else None
        is_expected = audit.attempt == 1 and is_planted(secret, mix, audit.segment, self.school.params)
        return found if is_expected else replace(found, finding=PASS)

    def answer(self, state: State, name: AuditName, audit: Audit) -> int | None:
        return super().answer(state, name, audit) if self._friend(name) is None else CLEAN
