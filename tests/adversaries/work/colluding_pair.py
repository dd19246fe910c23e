"""Validators that pass what their friends forge, and never so that anybody could find them out.

They know their friends' secrets, so planted segments do not betray them. They pass a forgery only if nobody but them
looks: where somebody honest looks too they say the truth, for a lost dispute would cost them stake and seat.
"""

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
    fellows: list[Auditor] = field(default_factory=list)  # the other accomplices

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        found = super().judge(state, name, audit)
        friend = self._friend(name)
        if friend is None or found.finding != MISMATCH:
            return found
        is_plain = not self._is_planted(state, name, audit, friend)
        # The first look at a planted segment must find it other than it says; the second is the first that counts.
        is_the_look = audit.attempt == (1 if is_plain else 2)
        return replace(found, finding=PASS) if is_the_look and self._alone(state, audit) else found

    def answer(self, state: State, name: AuditName, audit: Audit) -> int | None:
        return super().answer(state, name, audit) if self._friend(name) is None else CLEAN

    def _friend(self, name: AuditName) -> Trainer | None:
        return next((each for each in self.friends if each.key.node == name.node), None)

    def _is_planted(self, state: State, name: AuditName, audit: Audit, friend: Trainer) -> bool:
        claim = state.need(Claim, claim_key(name.round, name.node))
        secret = friend.secret(claim.plant_round) if claim.plant != ZERO else None
        mix = state.need(Round, round_key(name.round)).mix
        return is_planted(secret, mix, audit.segment, self.school.params)

    def _alone(self, state: State, audit: Audit) -> bool:
        """Whether all auditors of this attempt are accomplices."""
        members = state.validators(audit.set_epoch).members
        known = {self.public_key, *(each.public_key for each in self.fellows)}
        drawn = [members[each.validator].public_key for each in audit.auditors if each.attempt == audit.attempt]
        return known.issuperset(drawn)
