"""What the blocks still say of a proof whose records have left the state, because its rewards were released.

Receipts are not kept, so how an audit ended can only be inferred; the words of those who took part are in the blocks.
"""

from collections import Counter
from dataclasses import dataclass

from chain.audit_messages import (
    ANSWERS,
    FINDINGS,
    MISMATCH,
    PASS,
    UNSERVED,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import PayloadReveal
from node.explain_audit import CHECKED, CLAIMED, NOT_CHECKABLE, ONLY_CLAIMED, Explanation, Statement
from node.store import Store

AuditInput = SegmentOpening | VerdictCommit | VerdictReveal | PlantReveal | AuditVote
BLOCKS_SEARCHED = 500  # after the round's end; audits that all take part in need a few


MEANINGS = {
    PASS: "it trained the segment again and came to the same state",
    MISMATCH: "it trained the segment again and came to another state",
    UNSERVED: "it could not get the states to train from",
}


@dataclass(frozen=True, slots=True)
class PastProof:
    reveal: PayloadReveal
    of_round: int  # segments
    segment_steps: int
    batch_tokens: int
    ended_height: int
    searched_height: int
    heard: tuple[tuple[int, AuditInput], ...]  # with the heights of their blocks

    @property
    def segments(self) -> int:
        return self.reveal.steps // self.segment_steps

    @property
    def tokens(self) -> int:
        return self.reveal.steps * self.batch_tokens


def past_proof(store: Store, reveal: PayloadReveal, ended_height: int) -> PastProof:
    """Everything that was said in the audit of a reveal, as far as the blocks after the round's end go."""
    params, heard = store.network.params, []
    last = min(ended_height + BLOCKS_SEARCHED, store.height)
    for height in range(ended_height + 1, last + 1):
        stored = store.block(height)
        if stored is None:
            continue
        for item in stored.block.body.rounds:
            if isinstance(item, AuditInput) and (item.round, item.node) == (reveal.round, reveal.node):
                heard.append((height, item))
    return PastProof(
        reveal, params.segments, params.segment_steps, params.batch_tokens, ended_height, last, tuple(heard)
    )


def explain_past(past: PastProof, is_held: bool = False) -> Explanation:
    """`is_held`: its reward still waits, because an audit of the node is open."""
    reveal = past.reveal
    said = [
        Statement(
            CLAIMED,
            f"Node {reveal.node.hex()[:16]} showed payload {reveal.payload_root.hex()[:16]} in round {reveal.round} "
            f"and said that {past.segments:,} of {past.of_round:,} segments of training are behind it: "
            f"{reveal.steps:,} steps on {past.tokens:,} tokens.",
        ),
        Statement(
            CHECKED,
            "The rewards of this round have been released, but for those that were forfeited. The ledger keeps no "
            "records of a round after that; what follows is what its blocks still say.",
        ),
    ]
    if is_held:
        said.append(Statement(CHECKED, "The reward of this node is still held back: another audit of it is open."))
    said += _heard(past)
    said.append(Statement(ONLY_CLAIMED, "Whatever no auditor trained again was claimed, and stays so."))
    said.append(
        Statement(NOT_CHECKABLE, "Training again shows that work was done, not who did it, where, or on which machine.")
    )
    shown = sum(isinstance(item, VerdictReveal) for _, item in past.heard)
    found = (
        f"{shown} verdict{'' if shown == 1 else 's'} of auditors in the blocks" if shown else "no verdict in the blocks"
    )
    return Explanation(f"Settled and released: {found}.", tuple(said))


def _heard(past: PastProof) -> list[Statement]:
    searched = f"{past.ended_height + 1} to {past.searched_height}"
    if not past.heard:
        return [Statement(ONLY_CLAIMED, f"Blocks {searched} hold no word of an audit of it.")]
    said = [Statement(CHECKED, text) for height, item in past.heard if (text := _sentence(height, item))]
    votes = Counter(item.answer for _, item in past.heard if isinstance(item, AuditVote))
    if votes:
        told = ", ".join(f"{number} × {ANSWERS[answer]}" for answer, number in sorted(votes.items()))
        said.append(Statement(CHECKED, f"All validators were asked; their answers: {told}."))
    if _was_planted(past):
        said.append(
            Statement(
                CHECKED,
                "After the first look another one found no fault, and nobody was asked to decide. So this segment was "
                "a planted fault: the node rightly read other text in it, by a secret that it had promised before. A "
                "mismatch of the first look says nothing against the node, and a pass there is a fault.",
            )
        )
    return said


def _was_planted(past: PastProof) -> bool:
    """Inferred: the ledger lets others look after a blind verdict of "pass" only if the segment was planted, and after
    a mismatch on the true data another's pass leads to a dispute. Nobody can dispute without any vote to be heard."""
    items = [item for _, item in past.heard]
    shown = next((place for place, item in enumerate(items) if isinstance(item, PlantReveal)), None)
    if shown is None or any(isinstance(item, AuditVote) for item in items):
        return False
    again = next((place for place, item in enumerate(items) if place > shown and isinstance(item, VerdictCommit)), None)
    if again is None:
        return False
    blind, later = (
        [i.finding for i in part if isinstance(i, VerdictReveal)] for part in (items[:again], items[again:])
    )
    return PASS in later and MISMATCH not in later and (PASS in blind or MISMATCH in blind)


def _sentence(height: int, item: AuditInput) -> str:
    match item:
        case SegmentOpening():
            return f"Block {height}: the node showed what the states of the drawn segment are made of."
        case VerdictCommit(validator=place):
            return f"Block {height}: validator {place} bound itself to a finding."
        case VerdictReveal(validator=place, finding=finding):
            return f"Block {height}: validator {place} showed its finding: {FINDINGS[finding]}, {MEANINGS[finding]}."
        case PlantReveal():
            return f"Block {height}: the node showed the secret of its planted faults."
    return ""
