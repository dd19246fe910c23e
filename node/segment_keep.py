"""What open audits want of this node's disk: pure functions of the finalized state.

Which segment of a round is audited is drawn in the block after its end, the one in which the next round's data are
drawn too. Until then every state of the round is wanted, then those around the segment and the last one, until the
audit has ended.
"""

from collections.abc import Iterator

from chain.audit_messages import StateParts
from chain.crypto.hashing import ZERO
from chain.state import OPENED, Audit, Claim, State, claim_key
from node.segment_store import Keep

OTHERS_ROUNDS_MAXIMUM = 32  # whose base is kept although this node has no audit in them


def kept_segments(state: State, node: bytes) -> Keep:
    """The states that a node must be able to show, by round and boundary."""
    ledger, keep = state.ledger, dict[int, set[int] | None]()
    for number, audited, audit in _open_audits(state):
        if audited == node:
            claim = state.need(Claim, claim_key(number, node))
            keep[number] = {audit.segment, audit.segment + 1, len(claim.states)}
    current = state.round(ledger.round)
    is_drawn = current is not None and current.number > ledger.ended_round and current.phase != OPENED
    first = ledger.ended_round + 1 if is_drawn else ledger.ended_round
    keep |= dict.fromkeys(range(first, ledger.round + 1))
    return keep


def audited_rounds(state: State, node: bytes) -> frozenset[int]:
    """Rounds whose base this node keeps for their audits: all of its own, and the newest of others.

    An audited node must be able to serve the base; an auditor that lacks it asks others. The audits of the last round
    that has ended may not be drawn yet.
    """
    rounds = {number: of == node for number, of, _ in sorted(_open_audits(state), key=lambda each: each[1] == node)}
    others = [number for number, is_own in rounds.items() if not is_own]
    newest = {state.ledger.ended_round, *sorted(others)[-OTHERS_ROUNDS_MAXIMUM:]} - {0}
    return frozenset(newest | {number for number, is_own in rounds.items() if is_own})


def audited_roots(state: State) -> frozenset[bytes]:
    """The blobs that open audits name: the parts of states, the last weights, the payload and the base."""
    roots = {ZERO}
    for number, node, audit in _open_audits(state):
        roots |= {*_roots(audit.before), *_roots(audit.after)}
        if (claim := state.find(Claim, claim_key(number, node))) is not None:
            roots |= {claim.payload_root, claim.theta_root}
        if (opened := state.round(number)) is not None:
            roots.add(opened.base.weights_root)
    return frozenset(roots - {ZERO})


def _roots(parts: StateParts) -> tuple[bytes, bytes, bytes]:
    return parts.theta_root, parts.m_root, parts.v_root


def _open_audits(state: State) -> Iterator[tuple[int, bytes, Audit]]:
    for name in state.open_audits:
        audit = state.audit(name.round, name.node)
        if audit is not None and audit.is_open:
            yield name.round, name.node, audit
