"""What the verdicts of an audit are worth: which data order an auditor could know, and which findings contradict it.

The auditors of the first attempt in which anybody bound himself cannot know the plants: the node shows its secret only
after they did. If the segment is planted, they replay other data than the node trained on, so MISMATCH shows that they
looked and PASS that they did not. Everybody later, and everybody on a segment without plant, replays the true order.
"""

from chain.audit_messages import MISMATCH, NO_FINDING, PASS
from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.plants import is_planted
from chain.state import Assigned, Audit


def of_attempt(audit: Audit) -> tuple[Assigned, ...]:
    """The auditors of the running attempt."""
    return tuple(assigned for assigned in audit.auditors if assigned.attempt == audit.attempt)


def shown(audit: Audit) -> tuple[Assigned, ...]:
    """Those of the running attempt that showed a verdict."""
    return tuple(assigned for assigned in of_attempt(audit) if assigned.finding != NO_FINDING)


def is_segment_planted(audit: Audit, mix: bytes, params: Params) -> bool:
    """As far as the node has shown; `mix` is that of the audited round."""
    return is_planted(None if audit.secret == ZERO else audit.secret, mix, audit.segment, params)


def blind_attempt(audit: Audit) -> int:
    """The first attempt in which an auditor bound itself, 0 if none has."""
    return next((assigned.attempt for assigned in audit.auditors if assigned.commitment != ZERO), 0)


def is_misled(audit: Audit, assigned: Assigned, mix: bytes, params: Params) -> bool:
    """Whether an auditor could not know the data order that the node rightly used."""
    return assigned.attempt == blind_attempt(audit) and is_segment_planted(audit, mix, params)


def on_true_order(audit: Audit, finding: int, mix: bytes, params: Params) -> tuple[Assigned, ...]:
    """The auditors with this finding that replayed the data order of the node."""
    found = (assigned for assigned in audit.auditors if assigned.finding == finding)
    return tuple(assigned for assigned in found if not is_misled(audit, assigned, mix, params))


def caught(audit: Audit, mix: bytes, params: Params) -> tuple[Assigned, ...]:
    """The auditors that say to have reproduced what cannot be reproduced: they have not looked."""
    passing = (assigned for assigned in audit.auditors if assigned.finding == PASS)
    return tuple(assigned for assigned in passing if is_misled(audit, assigned, mix, params))


def is_accused(audit: Audit, mix: bytes, params: Params) -> bool:
    """Whether somebody found a forgery on the true data order: then the audit cannot end without an answer to that."""
    return bool(on_true_order(audit, MISMATCH, mix, params))
