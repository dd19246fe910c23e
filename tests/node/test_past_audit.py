"""What the blocks still say of a proof that the state has forgotten."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.audit_messages import (
    CLEAN,
    MISMATCH,
    PASS,
    UNSERVED,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.crypto.hashing import ZERO
from chain.state import Claim, claim_key
from node.api.audit_answers import audit_page, proof_of
from node.api.audit_schemas import ExplainedProof
from node.api.faults import Refusal
from node.api.round_answers import reveals_of
from node.past_audit import explain_past, past_proof
from tests.node.lone_node import IDENTITY, named, with_rounds
from tests.node.test_explain_audit import OWN, Drafted, says


def test_a_released_round_is_told_from_its_blocks(tmp_path: Path) -> None:
    node = with_rounds(tmp_path, 8, vest_rounds=1)
    assert node.state.round(1) is None
    answer = proof_of(node.store, 1, OWN[:8])
    assert ExplainedProof().validate(answer) == {}
    assert (answer["source"], answer["segments"], answer["tokens"], answer["audit"]) == ("blocks", 4, 32, None)
    assert answer["reward"]["state"] == "released" and "no verdict in the blocks" in answer["headline"]
    texts = [each["text"] for each in answer["statements"]]
    assert says(texts, "payload", "4 of 4 segments") and says(texts, "hold no word of an audit")
    with pytest.raises(Refusal, match="no node whose id begins with 0000"):
        proof_of(node.store, 1, "0000")
    with pytest.raises(Refusal, match="rewards of round 1 have been released"):
        audit_page(node.store, 5, None, 1)


def test_a_reward_that_waits_for_another_audit_of_its_node_is_said_to_be_held_back(tmp_path: Path) -> None:
    node = with_rounds(tmp_path, 8, vest_rounds=1)
    draft = node.state.fork()
    newest = draft.ledger.ended_round
    # The record of the round is gone, that of the claim is held back.
    draft.put(claim_key(1, IDENTITY.node), draft.need(Claim, claim_key(newest, IDENTITY.node)))
    answer = proof_of(Drafted(node, draft), 1, OWN)
    assert answer["reward"]["state"] == "vesting"
    assert says([each["text"] for each in answer["statements"]], "still held back")


@pytest.mark.parametrize(
    ("blind", "again", "voted", "planted"),
    [
        (MISMATCH, PASS, False, True),
        (PASS, PASS, False, True),
        (PASS, None, False, False),
        (MISMATCH, PASS, True, False),
        (MISMATCH, MISMATCH, False, False),
        (UNSERVED, PASS, False, False),
    ],
)
def test_that_the_segment_of_a_released_round_was_planted_is_told_from_who_looked_after_whom(
    tmp_path: Path, blind: int, again: int | None, voted: bool, planted: bool
) -> None:
    node = with_rounds(tmp_path, 8, vest_rounds=1)
    [reveal] = reveals_of(node.store, 1)
    who = 1, IDENTITY.node
    heard: list[Any] = [
        (10, VerdictCommit(*who, 3, named("c"), bytes(96))),
        (11, VerdictReveal(*who, 3, named("salt"), blind, (), bytes(96))),
        (11, PlantReveal(*who, named("s"), bytes(64))),
    ]
    if again is not None:
        heard.append((12, VerdictCommit(*who, 4, named("c"), bytes(96))))
        heard.append((13, VerdictReveal(*who, 4, named("salt"), again, (), bytes(96))))
    if voted:
        heard.append((14, AuditVote(*who, 0, 2, CLEAN, bytes(96))))
    found = explain_past(replace(past_proof(node.store, reveal, 8), heard=tuple(heard)))
    assert says([each.text for each in found.statements], "was a planted fault") == planted


def test_what_was_said_in_an_audit_is_told_block_by_block(tmp_path: Path) -> None:
    node = with_rounds(tmp_path, 8, vest_rounds=1)
    [reveal] = reveals_of(node.store, 1)
    parts, who = StateParts(ZERO, ZERO, ZERO), (1, IDENTITY.node)
    heard = (
        (9, SegmentOpening(*who, parts, parts, bytes(64))),
        (10, VerdictCommit(*who, 3, named("c"), bytes(96))),
        (11, VerdictReveal(*who, 3, named("salt"), PASS, (), bytes(96))),
        (11, PlantReveal(*who, named("s"), bytes(64))),
        *((12, AuditVote(*who, place, 1, CLEAN, bytes(96))) for place in range(3)),
    )
    found = explain_past(replace(past_proof(node.store, reveal, 8), heard=heard))
    texts = [each.text for each in found.statements]
    assert "1 verdict of auditors" in found.headline and says(texts, "answers: 3 × clean")
    for words in ("Block 9: the node showed", "Block 10: validator 3 bound", "Block 11: validator 3", "pass"):
        assert says(texts, words), words
