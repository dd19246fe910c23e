"""The life of an audit: one drawn segment of one node's round, replayed by validators drawn by lot.

Start reading at `advance_audits`; what moves an audit on is in `chain.audit_inputs`, what its end means in
`chain.verdicts`.

    opening ─▶ auditing ─▶ showing ─┬─▶ passed
                  ▲                 ├─ could not be fetched ─▶ challenged ─▶ withheld
                  ├─────────────────┴─ someone else must look ─────┘
                  └─ nobody left to look ─▶ unchecked            disputed ─▶ fraud, passed or acquitted

Every phase has a deadline and every attempt a number, so an audit ends whatever anybody says or fails to say. A block
looks at the open audits only.
"""

from dataclasses import replace

from chain.attestations import agreed, open_poll
from chain.audit_draw import Candidate, Scene, draw_auditors, draw_segment, eligible, is_drawn
from chain.audit_inputs import QUESTIONS, answer_subject
from chain.audit_messages import MISMATCH, NO_FINDING, PASS, UNSERVED, StateParts
from chain.audit_records import dequeue, enqueue, owes_secret
from chain.crypto.hashing import ZERO
from chain.findings import is_accused, is_misled, of_attempt, on_true_order, shown
from chain.genesis import Network
from chain.receipts import AuditDrawn, AuditEnded, Receipt
from chain.rounds import earning
from chain.state import (
    ACQUITTED,
    AUDITING,
    AUDITS_MAXIMUM,
    CHALLENGED,
    DISPUTED,
    OPENING,
    PASSED,
    PROVEN,
    SHOWING,
    UNCHECKED,
    WITHHELD,
    Assigned,
    Audit,
    AuditName,
    Claim,
    NodeRecord,
    Round,
    State,
    audit_key,
    claim_key,
    node_key,
    round_key,
)
from chain.verdicts import conclude, note_missed

NO_PARTS = StateParts(ZERO, ZERO, ZERO)


def advance_audits(state: State, height: int, epoch: int, network: Network) -> list[Receipt]:
    """At a block's beginning: draw for the rounds that have ended before it, and let deadlines take effect."""
    scene = Scene(state, height, epoch, network)
    receipts: list[Receipt] = []
    for name in state.open_audits:
        receipts += advance_audit(scene, name)
    dequeue(state, receipts)
    for number in range(state.ledger.drawn_round + 1, state.ledger.ended_round + 1):
        receipts += _draw_round(scene, number)
    return receipts


def _draw_round(scene: Scene, number: int) -> list[Receipt]:
    """Draw the audits of a round that has ended. Its mix is of a block after that end: nobody could know it."""
    state, names = scene.state, list[AuditName]()
    receipts, ended = list[Receipt](), list[Receipt]()  # the latter of audits that had to make room
    for node in earning(state, state.need(Round, round_key(number))):
        name, claim = AuditName(number, node), state.need(Claim, claim_key(number, node))
        record = state.need(NodeRecord, node_key(node))
        if claim.forfeited or not is_drawn(state.ledger.mix, name, record, scene.params):
            continue
        if len(state.open_audits) + len(names) - _count_ended(ended) >= AUDITS_MAXIMUM:
            pushed = _make_room(scene)
            receipts, ended = receipts + pushed, ended + pushed
        has_room = len(state.open_audits) + len(names) - _count_ended(ended) < AUDITS_MAXIMUM
        audit = _open(scene, name, claim, has_room)
        state.put(audit_key(number, node), audit)
        places = tuple(assigned.validator for assigned in audit.auditors)
        receipts.append(AuditDrawn(number, node, audit.segment, audit.attempt, places))
        if audit.is_open:
            names.append(name)
        else:
            receipts += conclude(scene, name, audit)
    dequeue(state, ended)
    enqueue(state, names)
    state.update_ledger(drawn_round=number)
    return receipts


def _count_ended(receipts: list[Receipt]) -> int:
    return sum(isinstance(receipt, AuditEnded) for receipt in receipts)


def _make_room(scene: Scene) -> list[Receipt]:
    """A full queue ends the oldest audit that waits for its node: nobody can fill it by not answering."""
    for name in scene.state.open_audits:
        audit = scene.state.audit(name.round, name.node)
        if audit is not None and audit.phase == OPENING:
            withheld = replace(audit, phase=WITHHELD)
            scene.state.put(audit_key(name.round, name.node), withheld)
            return conclude(scene, name, withheld)
    return []


def _open(scene: Scene, name: AuditName, claim: Claim, has_room: bool) -> Audit:
    """The audit, in its first phase if somebody can look at it."""
    mix = scene.state.ledger.mix
    auditors = _draw(scene, name, scene.epoch, 1, ()) if has_room else ()
    return Audit(
        phase=OPENING if auditors else UNCHECKED,
        segment=draw_segment(mix, name, claim),
        attempt=1,
        set_epoch=scene.epoch,
        drawn_height=scene.height,
        deadline_height=scene.height + scene.params.opening_blocks,
        mix=mix,
        before=NO_PARTS,
        after=NO_PARTS,
        secret=ZERO,
        auditors=auditors,
        poll=open_poll(scene.epoch),
    )


def _left(scene: Scene, name: AuditName, set_epoch: int, assigned: tuple[Assigned, ...]) -> list[Candidate]:
    claim = scene.state.need(Claim, claim_key(name.round, name.node))
    return eligible(scene.candidates(set_epoch), claim.wallet, {each.validator for each in assigned})


def _draw(
    scene: Scene, name: AuditName, set_epoch: int, attempt: int, assigned: tuple[Assigned, ...]
) -> tuple[Assigned, ...]:
    """The auditors of an attempt, drawn by this block's mix."""
    left = _left(scene, name, set_epoch, assigned)
    places = draw_auditors(left, scene.state.ledger.mix, name, attempt, scene.params)
    return tuple(Assigned(place, attempt, ZERO, NO_FINDING, ZERO) for place in places)


def advance_audit(scene: Scene, name: AuditName) -> list[Receipt]:
    """Move an audit on as far as this block allows."""
    state, key = scene.state, audit_key(name.round, name.node)
    receipts: list[Receipt] = []
    audit = state.need(Audit, key)
    while audit.is_open:
        after = _next(scene, name, audit, receipts)
        if after is None:
            return receipts
        state.put(key, after)
        if len(after.auditors) > len(audit.auditors):
            places = tuple(assigned.validator for assigned in of_attempt(after))
            receipts.append(AuditDrawn(name.round, name.node, after.segment, after.attempt, places))
        if not after.is_open:
            receipts += conclude(scene, name, after)
        audit = after
    return receipts


def _next(scene: Scene, name: AuditName, audit: Audit, receipts: list[Receipt]) -> Audit | None:
    """The audit in its next phase, or None while it must wait. Misses that a deadline brings to light are noted."""
    late = scene.height >= audit.deadline_height
    match audit.phase:
        case phase if phase == OPENING:
            if audit.after != NO_PARTS:
                return _enter(audit, AUDITING, scene.height + scene.params.audit_blocks)
            return replace(audit, phase=WITHHELD) if late else None
        case phase if phase == AUDITING:
            if not of_attempt(audit):
                return _begin_attempt(scene, name, audit) if late else None
            silent = [assigned for assigned in of_attempt(audit) if assigned.commitment == ZERO]
            if silent and not late:
                return None
            receipts += note_missed(scene, name, audit, silent)
            if len(silent) == len(of_attempt(audit)):
                return _next_attempt(scene, name, audit)
            return _enter(audit, SHOWING, scene.height + scene.params.showing_blocks)
        case phase if phase == SHOWING:
            bound = [assigned for assigned in of_attempt(audit) if assigned.commitment != ZERO]
            silent = [assigned for assigned in bound if assigned.finding == NO_FINDING]
            is_hidden = owes_secret(scene.state, name, audit)
            # A node that is away for a while must not lose all for it: its secret may come as late as an opening.
            is_waiting = is_hidden and scene.height < audit.deadline_height + scene.params.opening_blocks
            if is_waiting or (silent and not late):
                return None
            receipts += note_missed(scene, name, audit, silent)
            return replace(audit, phase=WITHHELD) if is_hidden else _decide(scene, name, audit)
        case _:
            return _answered(scene, name, audit, late)


def _enter(audit: Audit, phase: int, deadline: int) -> Audit:
    return replace(audit, phase=phase, deadline_height=deadline)


def _ask(scene: Scene, audit: Audit, phase: int) -> Audit:
    """Put a question to all validators of the audit's set."""
    params = scene.params
    blocks = params.challenge_blocks if phase == CHALLENGED else params.dispute_blocks
    return replace(_enter(audit, phase, scene.height + blocks), poll=open_poll(audit.set_epoch))


def _decide(scene: Scene, name: AuditName, audit: Audit) -> Audit:
    """What follows from the verdicts of the attempt that has ended."""
    found, mix = shown(audit), _round_mix(scene, name)
    if not found:
        return _next_attempt(scene, name, audit)
    findings = [assigned.finding for assigned in found]
    if UNSERVED in findings and MISMATCH not in findings:
        return _ask(scene, audit, CHALLENGED)
    if is_misled(audit, found[0], mix, scene.params):
        return _next_attempt(scene, name, audit)
    accusers = on_true_order(audit, MISMATCH, mix, scene.params)
    if not accusers:
        return replace(audit, phase=PASSED)
    if len(accusers) > 1 or on_true_order(audit, PASS, mix, scene.params):
        return _ask(scene, audit, DISPUTED)
    return _next_attempt(scene, name, audit)


def _next_attempt(scene: Scene, name: AuditName, audit: Audit) -> Audit:
    """Let somebody else look, from the next block on. One attempt more than usual confirms a single accusation.

    That block's mix draws who: whoever made this one has chosen its words, and must not know whom they call.
    """
    accused = is_accused(audit, _round_mix(scene, name), scene.params)
    attempt = audit.attempt + 1
    if attempt <= scene.params.audit_attempts + accused and _left(scene, name, audit.set_epoch, audit.auditors):
        return replace(_enter(audit, AUDITING, scene.height + 1), attempt=attempt)
    return _without_auditors(scene, name, audit)


def _begin_attempt(scene: Scene, name: AuditName, audit: Audit) -> Audit:
    auditors = _draw(scene, name, audit.set_epoch, audit.attempt, audit.auditors)
    if not auditors:  # the running set is another since the block before
        return _without_auditors(scene, name, audit)
    after = _enter(audit, AUDITING, scene.height + scene.params.audit_blocks)
    return replace(after, auditors=(*audit.auditors, *auditors))


def _without_auditors(scene: Scene, name: AuditName, audit: Audit) -> Audit:
    """An accusation is never dropped for want of auditors: all validators then answer it."""
    accused = is_accused(audit, _round_mix(scene, name), scene.params)
    return _ask(scene, audit, DISPUTED) if accused else replace(audit, phase=UNCHECKED)


def _answered(scene: Scene, name: AuditName, audit: Audit, late: bool) -> Audit | None:
    """What more than two thirds of the power answered, or that it is too late for an answer."""
    subjects = [audit.poll.tallies[place].subject for place in agreed(scene.state, audit.poll)]
    yes, no = (answer_subject(answer) in subjects for answer in QUESTIONS[audit.phase])
    if not (yes or no or late):
        return None
    if audit.phase == CHALLENGED:
        return replace(audit, phase=WITHHELD) if yes else _next_attempt(scene, name, audit)
    return replace(audit, phase=PROVEN if yes else PASSED if no else ACQUITTED)


def _round_mix(scene: Scene, name: AuditName) -> bytes:
    return scene.state.need(Round, round_key(name.round)).mix
