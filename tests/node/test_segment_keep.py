"""What open audits want of the disk, by the ledger's state: states, bases, blobs; and how much room states may take."""

from dataclasses import replace
from pathlib import Path

import pytest

from chain.attestations import open_poll
from chain.audit_messages import StateParts
from chain.crypto.hashing import ZERO
from chain.state import (
    AUDITING,
    AUDITS_KEY,
    CLOSED,
    OPENED,
    PASSED,
    TRAINING,
    Audit,
    AuditName,
    AuditQueue,
    Claim,
    State,
    audit_key,
    claim_key,
    round_key,
)
from node import segment_room
from node.errors import TrainerError
from node.model_store import ModelStore
from node.payload_prune import last_spent, needed_roots
from node.segment_keep import OTHERS_ROUNDS_MAXIMUM, audited_roots, audited_rounds, kept_segments
from node.segment_room import RoomFor, SegmentDiskLimit, check_segment_disk, limit_of, round_bytes
from node.segment_store import SegmentStore
from node.template import Learning
from tests.node.lone_node import LoneNode, named, tiny_network, with_rounds
from tests.node.test_segment_store import put

US, THEM = named("us"), named("them")


class Ledger:
    """The state of a lone node after three rounds, in which audits are put by hand."""

    def __init__(self, node: LoneNode) -> None:
        self.state: State = node.state.fork()
        self.names: list[AuditName] = []

    def at(self, ended: int, newest: int, phase: int) -> "Ledger":
        template = self.state.round(3)
        assert template is not None
        for number in range(1, newest + 1):
            found = replace(template, number=number, phase=phase if number == newest else CLOSED)
            self.state.put(round_key(number), found)
        self.state.update_ledger(round=newest, ended_round=ended)
        return self

    def audit(self, number: int, node: bytes, segment: int = 1, segments: int = 4, phase: int = AUDITING) -> None:
        record = an_audit(segment, phase, str(number))
        claim = a_claim(number, node, segments)
        self.state.put(audit_key(number, node), record)
        self.state.put(claim_key(number, node), claim)
        if record.is_open:
            self.names.append(AuditName(number, node))
            self.state.put(AUDITS_KEY, AuditQueue(tuple(self.names)))


def an_audit(segment: int, phase: int, name: str = "") -> Audit:
    before, after = (
        StateParts(*(named(f"{part} {at} {name}") for part in ("theta", "m", "v"))) for at in ("before", "after")
    )
    return Audit(phase, segment, 1, 1, 1, 1, ZERO, before, after, ZERO, (), open_poll(0))


def a_claim(number: int, node: bytes, segments: int) -> Claim:
    states = tuple(named(f"state {number} {segment}") for segment in range(segments))
    roots = named(f"payload {number}"), named(f"last {number}")
    return Claim(bytes(21), 1, 1, 0, ZERO, ZERO, ZERO, 0, states, ZERO, ZERO, 0, *roots, (1,) * segments, False)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return with_rounds(tmp_path_factory.mktemp("rounds") / "node", 3, vest_rounds=10)


@pytest.fixture
def ledger(node: LoneNode) -> Ledger:
    return Ledger(node)


# ---- States


@pytest.mark.parametrize("phase", [OPENED, TRAINING])
def test_every_state_of_a_round_is_wanted_until_it_is_drawn_which_of_them_is_audited(
    ledger: Ledger, phase: int
) -> None:
    """That is in the block after the round's end, in which the next round's data are drawn too."""
    assert kept_segments(ledger.at(7, 8, phase).state, US) == ({7: None, 8: None} if phase == OPENED else {8: None})


def test_without_a_next_round_nothing_has_been_drawn(ledger: Ledger) -> None:
    assert kept_segments(ledger.at(8, 8, CLOSED).state, US) == {8: None}


def test_of_an_audited_round_the_states_around_the_segment_and_the_last_one_are_wanted(ledger: Ledger) -> None:
    ledger.at(7, 8, TRAINING).audit(7, US, segment=1, segments=4)
    ledger.audit(5, US, segment=3, segments=4)
    ledger.audit(6, THEM)
    assert kept_segments(ledger.state, US) == {5: {3, 4}, 7: {1, 2, 4}, 8: None}


def test_an_audit_that_has_ended_wants_nothing(ledger: Ledger) -> None:
    ledger.at(7, 8, TRAINING).audit(7, US)
    ledger.audit(7, US, phase=PASSED)
    assert kept_segments(ledger.state, US) == {8: None}
    assert audited_rounds(ledger.state, US) == {7} and audited_roots(ledger.state) == frozenset()


def test_an_audit_of_the_round_before_is_not_taken_for_no_audit(ledger: Ledger) -> None:
    """While the next round opens, the whole round is wanted; an audit that is drawn already takes nothing away."""
    ledger.at(7, 8, OPENED).audit(7, US, segment=1)
    assert kept_segments(ledger.state, US) == {7: None, 8: None}


# ---- Bases and blobs


def test_the_bases_of_all_our_audited_rounds_and_the_newest_of_others_are_kept(ledger: Ledger) -> None:
    newest = OTHERS_ROUNDS_MAXIMUM + 20
    ledger.at(newest, newest + 1, TRAINING)
    for number in range(1, newest):
        ledger.audit(number, THEM)
    ledger.audit(3, US)
    found = audited_rounds(ledger.state, US)
    assert found == {3, newest, *range(newest - OTHERS_ROUNDS_MAXIMUM, newest)}
    assert audited_rounds(ledger.state, named("a third")) == found - {3}


def test_before_the_first_round_has_ended_no_base_is_kept_for_audits(ledger: Ledger) -> None:
    assert audited_rounds(ledger.at(0, 1, TRAINING).state, US) == frozenset()


def test_an_audited_rounds_base_stays_through_later_rounds_and_goes_with_the_audit(tmp_path: Path) -> None:
    node = with_rounds(tmp_path / "node", 2, vest_rounds=10)
    models, rounds = node.outcomes.models, node.outcomes.models._rounds
    assert rounds() == [1, 2]
    models.audited = {2, 3}
    for _ in range(3):
        node.close_round()
    # Round 2 began from the state after round 1, round 3 from that after round 2.
    assert rounds() == [1, 2, 4, 5]
    assert models.find(node.state.round(3).base.outer_root) is not None
    models.audited = {3}
    node.close_round()
    assert rounds() == [2, 5, 6]
    models.audited = ()
    node.close_round()
    assert rounds() == [6, 7]


def test_an_open_audit_names_its_blobs(ledger: Ledger) -> None:
    ledger.at(7, 8, TRAINING).audit(7, THEM)
    audit, claim = ledger.state.audit(7, THEM), ledger.state.need(Claim, claim_key(7, THEM))
    opened = ledger.state.round(7)
    assert audit is not None and opened is not None
    states = [root for p in (audit.before, audit.after) for root in (p.theta_root, p.m_root, p.v_root)]
    others = {claim.payload_root, claim.theta_root, opened.base.weights_root}
    assert audited_roots(ledger.state) == {*states, *others} - {ZERO}


def test_the_payloads_of_open_audits_stay_even_when_their_round_is_released(ledger: Ledger, node: LoneNode) -> None:
    ledger.at(7, 8, TRAINING).state.update_ledger(released_round=6)
    models = ModelStore(Path("/nowhere"), node.learning)
    models.newest_round = lambda: 7  # type: ignore[method-assign]
    assert last_spent(ledger.state, models, 1) == 6
    ledger.audit(4, THEM)
    assert last_spent(ledger.state, models, 1) == 3
    ledger.audit(2, THEM)
    assert last_spent(ledger.state, models, 1) == 1
    revealed = replace(ledger.state.round(2), number=2)
    assert {each.payload_root for each in revealed.revealed} <= needed_roots(ledger.state)


# ---- Room


@pytest.fixture
def learning() -> Learning:
    return Learning.of(tiny_network())


def test_the_usual_limit_holds_three_rounds_of_a_large_model_and_two_gigabytes_of_a_small_one(
    learning: Learning,
) -> None:
    assert round_bytes(learning) == 4 * learning.parameters * 13
    assert limit_of(learning, None) == 2 * 10**9 and limit_of(learning, 5) == 5
    large = replace(learning, inner=replace(learning.inner, round_steps=10**6))
    assert limit_of(large, None) == 3 * round_bytes(large) > 2 * 10**9


def test_a_limit_below_two_rounds_is_refused_at_the_start_with_what_is_needed(learning: Learning) -> None:
    least = 2 * round_bytes(learning)
    check_segment_disk(learning, least)
    check_segment_disk(learning, None)
    with pytest.raises(SegmentDiskLimit, match="raise --segment-disk to at least that, or start with --no-training"):
        check_segment_disk(learning, least - 1)


def test_a_round_begins_when_there_is_room_for_all_of_it_beside_what_others_left(
    learning: Learning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_room, "PATIENCE_SECONDS", 0.0)
    states = SegmentStore(tmp_path / "segments")
    put(states, 1, 1), put(states, 2, 1)
    others, need = states.bytes_besides(2), round_bytes(learning)
    room = RoomFor(2, lambda: False)
    assert room.comes(states, learning, others + need)
    with pytest.raises(TrainerError, match=r"round 2 is not trained: audits still want .* raise it to at least \d+MB"):
        room.comes(states, learning, others + need - 1)
    assert not RoomFor(2, lambda: True).comes(states, learning, 1)


def test_a_round_that_waits_for_room_begins_when_the_node_has_removed_what_is_spent(
    learning: Learning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = SegmentStore(tmp_path / "segments")
    put(states, 1, 1)
    monkeypatch.setattr(segment_room.time, "sleep", lambda seconds: states.prune({2: None}))
    assert RoomFor(2, lambda: False).comes(states, learning, round_bytes(learning))
