"""Validators that replay and then say the opposite."""

from dataclasses import dataclass, replace

from chain.audit_messages import MISMATCH, PASS
from chain.state import Audit, AuditName, State
from tests.audits.auditor import Auditor
from tests.audits.replaying import Judged


@dataclass(eq=False)
class Accuser(Auditor):
    """Finds fault with everybody."""

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        found = super().judge(state, name, audit)
        return replace(found, finding=MISMATCH) if found.finding == PASS else found


@dataclass(eq=False)
class Whitewasher(Auditor):
    """Finds fault with nobody."""

    def judge(self, state: State, name: AuditName, audit: Audit) -> Judged:
        found = super().judge(state, name, audit)
        return replace(found, finding=PASS) if found.finding == MISMATCH else found
