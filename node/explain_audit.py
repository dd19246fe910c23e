"""One proof in plain words: what was claimed, what was checked and by whom, and what is still only claimed.

Written for somebody who has never heard of it. A pure function of the facts; start reading at `explain`.
"""

from dataclasses import dataclass

from chain.address import to_text
from chain.audit_messages import ANSWERS, CLEAN, MISMATCH, NO_FINDING, PASS, UNSERVED
from chain.money import NEURO
from chain.state import (
    ACQUITTED,
    AUDITING,
    CHALLENGED,
    DISPUTED,
    OPENING,
    PASSED,
    PROVEN,
    SHOWING,
    UNCHECKED,
    WITHHELD,
)
from node.audit_facts import (
    FORFEITED,
    NOT_MINTED,
    UNPAID,
    VESTING,
    AuditFacts,
    Auditor,
    ProofFacts,
    Reward,
)

CLAIMED, CHECKED, ONLY_CLAIMED, NOT_CHECKABLE = "claimed", "checked", "still only claimed", "not checkable"
KINDS = (CLAIMED, CHECKED, ONLY_CLAIMED, NOT_CHECKABLE)


@dataclass(frozen=True, slots=True)
class Statement:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    headline: str
    statements: tuple[Statement, ...]


def explain(facts: ProofFacts) -> Explanation:
    said = [*_claimed(facts), *_by_everybody(facts)]
    said += _not_audited(facts) if facts.audit is None else _audited(facts, facts.audit)
    said += _left(facts)
    said += [Statement(CHECKED, text) for text in _reward(facts, facts.reward)]
    # By kind; those of one kind stay in the order of what happened.
    return Explanation(headline(facts), tuple(sorted(said, key=lambda each: KINDS.index(each.kind))))


def headline(facts: ProofFacts) -> str:
    """The state of things in one sentence."""
    audit = facts.audit
    if audit is None:
        return f"Claimed: {_count(facts.segments, 'segment')} of training. Not audited{_why_not(facts)}."
    named = f"segment {audit.segment} of {facts.segments} (counted from 0)"
    return {
        OPENING: f"Being audited: the node is asked to show {named}.",
        AUDITING: f"Being audited: an auditor trains {named} again.",
        SHOWING: f"Being audited: what the auditors found on {named} is being shown.",
        CHALLENGED: f"Being audited: it is asked of all validators whether {named} can be had.",
        DISPUTED: f"In dispute: all validators train {named} again.",
        PASSED: f"Audited and passed: {named} was trained again with the same result.",
        PROVEN: f"Fraud: more than two thirds of the validators found that {named} is not what was claimed.",
        WITHHELD: f"Withheld: the node did not show or serve {named} in time.",
        ACQUITTED: f"Acquitted: the dispute about {named} ended without a majority.",
        UNCHECKED: f"Not checked: {named} was drawn, but nobody could or did check it.",
    }[audit.phase]


def neuro(nanos: int) -> str:
    whole, rest = divmod(nanos, NEURO)
    digits = f"{rest:09}".rstrip("0")
    return f"{whole:,}.{digits or '0'} NEURO"


def percent(basis_points: int) -> str:
    return f"{basis_points / 100:g} %"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _short(digest: bytes) -> str:
    return digest.hex()[:16]


def _who(facts: ProofFacts) -> str:
    owner = "" if facts.wallet is None else f" of wallet {to_text(facts.wallet)}"
    return f"Node {_short(facts.node)}{owner}"


# ---- What was claimed, and what every node has checked of it


def _claimed(facts: ProofFacts) -> list[Statement]:
    said = [
        Statement(
            CLAIMED,
            f"{_who(facts)} says that in round {facts.round} it trained {facts.segments:,} of "
            f"{_count(facts.of_round, 'segment')} ({_count(facts.segment_steps, 'step')} in a row each): "
            f"{_count(facts.steps, 'step')} on {_count(facts.tokens, 'token')}.",
        )
    ]
    if facts.payload_root is None:
        said.append(Statement(CLAIMED, "It has shown no payload: nothing of this training reached the model."))
    else:
        said.append(
            Statement(
                CLAIMED,
                f"It says that this training turned the round's model into payload {_short(facts.payload_root)}, "
                f"and it named the state of its weights after each of the {_count(facts.segments, 'segment')} before "
                "anybody could know which one would be checked.",
            )
        )
    said.append(Statement(ONLY_CLAIMED, "The training losses in its proofs are for information; nobody checks them."))
    return said


def _by_everybody(facts: ProofFacts) -> list[Statement]:
    said = (
        "Every node that keeps the ledger checked that the proofs are signed by this node, that each segment begins "
        "where the one before ended, and that the text to train on was the one drawn for it."
    )
    if facts.payload_root is not None:
        said += " It checked that the payload is the one committed to before any payload was known."
    return [Statement(CHECKED, f"{said} None of this shows that the training was done.")]


# ---- The audit


def _why_not(facts: ProofFacts) -> str:
    if facts.counts is False:
        return ", because it is not paid"
    return ": the lot did not fall on it"


def _not_audited(facts: ProofFacts) -> list[Statement]:
    if facts.counts is False:
        text = (
            f"The round ended {facts.round_phase} and this payload did not enter it, so the work is not paid, and what "
            "is not paid is not audited."
        )
    elif facts.ended_height == facts.height:
        text = "The round has just ended. The next block draws who is audited."
    else:
        text = "When the round had ended, the lot did not fall on this node: nobody has trained any of it again."
    return [Statement(ONLY_CLAIMED, text), *_rate(facts)]


def _rate(facts: ProofFacts) -> list[Statement]:
    """How often such a node is drawn, and why."""
    if facts.rate_basis_points is None or facts.audited_rounds is None:
        return []
    passed = _count(facts.audited_rounds, "audit")
    young = facts.audited_rounds < facts.warmup_rounds
    why = (
        f"each of its paid rounds is audited until it has passed {facts.warmup_rounds}"
        if young
        else "the longer it passes, the fewer of its rounds"
    )
    return [
        Statement(
            CHECKED,
            f"This node is audited in {percent(facts.rate_basis_points)} of its rounds now: it has passed {passed} "
            f"since its last failure or its beginning; {why}.",
        )
    ]


def _audited(facts: ProofFacts, audit: AuditFacts) -> list[Statement]:
    said = [_draw(facts, audit), *_rate(facts)]
    if audit.phase == OPENING:
        said.append(Statement(ONLY_CLAIMED, f"The node has until block {audit.deadline_height} to show the states."))
    said += [_auditor(audit, each) for each in audit.auditors]
    if audit.planted is not None:
        said.append(_planted(audit))
    said += _votes(audit)
    said.append(_outcome(facts, audit))
    return said


def _draw(facts: ProofFacts, audit: AuditFacts) -> Statement:
    odds = "" if facts.drawn_basis_points is None else f" (its chance was {percent(facts.drawn_basis_points)})"
    return Statement(
        CHECKED,
        f"Block {audit.drawn_height}, after the round had ended, drew this audit by a number that nobody knew when the "
        f"states were committed. The lot fell on segment {audit.segment}, counted from 0, of {facts.segments}{odds}: "
        f"{_count(facts.segment_steps, 'step')}.",
    )


def _auditor(audit: AuditFacts, auditor: Auditor) -> Statement:
    owner = "" if auditor.wallet is None else f", wallet {to_text(auditor.wallet)}"
    who = f"Attempt {auditor.attempt}, validator {auditor.place} (key {_short(auditor.key)}{owner})"
    if auditor.finding == NO_FINDING:
        return Statement(ONLY_CLAIMED, f"{who}: {_silence(audit, auditor)}.")
    words = {
        PASS: "trained the segment again and came to the claimed state, and the payload follows from the weights",
        MISMATCH: "trained the segment again and came to something else",
        UNSERVED: "could not get the states to train from",
    }[auditor.finding]
    if auditor.misled and auditor.finding == MISMATCH:
        words += ", as it had to: the segment was planted, and it could not know"
    named = (
        f" It named the states of its own steps, {_short(auditor.inner_root)}" if auditor.finding != UNSERVED else ""
    )
    return Statement(
        CHECKED,
        f"{who}: it {words}.{named}{', and' if named else ' It'} had bound itself to this before it could see what any "
        "other auditor found.",
    )


def _silence(audit: AuditFacts, auditor: Auditor) -> str:
    is_now = audit.is_open and auditor.attempt == audit.attempt
    if auditor.committed:
        return "it has bound itself to a finding" + (" and not shown it yet" if is_now else " and never shown it")
    return "nothing yet" if is_now else "it never answered"


def _planted(audit: AuditFacts) -> Statement:
    if not audit.planted:
        text = (
            "The node then showed its secret: this segment was no planted fault. In planted ones a node rightly reads "
            "other text, so that an auditor that does not look gives itself away."
        )
        return Statement(CHECKED, text)
    blind = [each for each in audit.auditors if each.misled and each.finding == PASS]
    found = (
        "An auditor that reported no difference had not looked: it pays for that."
        if blind
        else "An auditor that looked had to find a difference, and that says nothing against the node."
    )
    return Statement(
        CHECKED,
        "This segment was a planted fault: by a secret fixed long before, the node rightly read other text in it than "
        f"the public draw says. {found}",
    )


def _votes(audit: AuditFacts) -> list[Statement]:
    meanings = dict(
        zip(
            ANSWERS[1:],
            ("the states cannot be had", "the states can be had", "the segment is forged", "the segment is honest"),
            strict=True,
        )
    )
    told = [f"{percent(share)} of the power said that {meanings[ANSWERS[answer]]}" for answer, share in audit.votes]
    if not told:
        return []
    return [Statement(CHECKED, f"All validators were asked: {'; '.join(told)}. More than two thirds decide.")]


def _outcome(facts: ProofFacts, audit: AuditFacts) -> Statement:
    until = "" if audit.deadline_height is None else f" This phase ends at block {audit.deadline_height} at the latest."
    if audit.is_open:
        return Statement(
            ONLY_CLAIMED, f"The audit is still open, and the reward is not released before it ends.{until}"
        )
    kind, text = {
        PASSED: (CHECKED, f"Result: {_acquittal(audit)} {_share(facts)} was checked by training it again."),
        PROVEN: (
            CHECKED,
            "Result: fraud. All rewards of the node that were still vesting are burned, its unreleased rounds pay "
            f"nothing, a part of its wallet's stake is burned, and it has no seat up to round {facts.suspended_round}.",
        ),
        WITHHELD: (
            CHECKED,
            "Result: withheld. What cannot be checked is not paid: all rewards of the node that were still vesting are "
            "burned, its unreleased rounds pay nothing, and it is audited in every round again.",
        ),
        ACQUITTED: (
            ONLY_CLAIMED,
            "Result: undecided. Nobody pays, the reward stays, and the node is audited in every round again.",
        ),
        UNCHECKED: (ONLY_CLAIMED, f"Result: nobody checked it{_nobody(facts, audit)}. It is paid on its word."),
    }[audit.phase]
    return Statement(kind, text)


def _acquittal(audit: AuditFacts) -> str:
    if any(answer == CLEAN for answer, _ in audit.votes):
        return "the dispute is decided for the node, and auditors that found otherwise pay for it."
    return "no objection."


def _nobody(facts: ProofFacts, audit: AuditFacts) -> str:
    if facts.set_size == facts.own_members:
        return ": every validator belongs to the wallet of this node, so the network verifies itself alone"
    return ", because there was no auditor of another wallet" if not audit.auditors else ", in all attempts"


# ---- What is left


def _share(facts: ProofFacts) -> str:
    return f"1 of {_count(facts.segments, 'segment')}"


def _left(facts: ProofFacts) -> list[Statement]:
    said = []
    is_checked = facts.audit is not None and facts.audit.phase in (PASSED, PROVEN)
    others = facts.segments - 1 if is_checked else facts.segments
    if others and is_checked:
        said.append(
            Statement(
                ONLY_CLAIMED,
                f"The other {_count(others, 'segment')} of this round, {_count(others * facts.segment_steps, 'step')}, "
                "are only claimed. That they could have been drawn as well is what makes cheating not worth it.",
            )
        )
    elif others:
        said.append(
            Statement(
                ONLY_CLAIMED,
                f"No segment of this round has been confirmed by training it again: all {others} are only claimed.",
            )
        )
    said.append(
        Statement(
            NOT_CHECKABLE,
            "Training again shows that the work was done, not who did it, where, or on which machine; and that the "
            "auditor was no accomplice is only likely, because it was drawn by lot.",
        )
    )
    if facts.set_size == 1:
        said.append(
            Statement(NOT_CHECKABLE, "One validator carries this network: it is self-verified, whatever it says.")
        )
    return said


# ---- The reward


def _reward(facts: ProofFacts, reward: Reward) -> list[str]:
    amount = "" if reward.amount is None else f" of {neuro(reward.amount)}"
    if reward.state == UNPAID:
        return ["Reward: none."]
    if reward.state == FORFEITED:
        return ["Reward: forfeited. What was minted of it is burned."]
    if reward.state == NOT_MINTED:
        return [
            "Reward: not minted yet. That happens at the end of an epoch, with all work of that time, and then it "
            f"vests until round {reward.release_round} has ended."
        ]
    assert reward.state == VESTING
    left = reward.release_round - facts.ended_round
    when = f"{_count(left, 'round')} from now" if left > 0 else "as soon as no audit of the node is open"
    return [
        f"Reward{amount}: vesting. It is released when round {reward.release_round} has ended, {when}, and burned if "
        "fraud is proven before."
    ]
