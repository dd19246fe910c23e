"""A proof in plain words: what was claimed, what was checked and by whom, what is still only claimed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chain.audit_draw import audit_share
from chain.audit_messages import CLEAN, FRAUD, MISMATCH, MISSING, PASS, UNSERVED
from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.state import (
    ACQUITTED,
    AUDIT_PHASES,
    AUDITING,
    CHALLENGED,
    DISPUTED,
    OPENING,
    PASSED,
    PROVEN,
    SHOWING,
    UNCHECKED,
    WITHHELD,
    Claim,
    NodeRecord,
    State,
    claim_key,
    node_key,
)
from node.api.audit_answers import audit_page, proof_of, the_one
from node.api.audit_schemas import Audits, ExplainedProof
from node.api.faults import Refusal
from node.audit_facts import claimants, facts_of
from node.explain_audit import CHECKED, CLAIMED, KINDS, NOT_CHECKABLE, ONLY_CLAIMED, explain, neuro
from node.store import Store
from tests.node.audited import (
    a_secret,
    an_audit,
    an_auditor,
    auditor_wallet,
    closed_rounds,
    forfeit,
    forget_audits,
    put_audit,
    seat_auditors,
)
from tests.node.lone_node import IDENTITY, LoneNode, named

ROUND = 3
OWN = IDENTITY.node.hex()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneNode]:
    found = closed_rounds(tmp_path_factory.mktemp("explain") / "home")
    yield found
    found.database.close()


@pytest.fixture
def state(node: LoneNode) -> State:
    """A draft on the ledger's state, with a set of auditors of other wallets."""
    draft = node.state.fork()
    seat_auditors(draft)
    forget_audits(draft)
    return draft


def told(node: LoneNode, state: State, number: int = ROUND, **facts: Any) -> tuple[str, dict[str, list[str]]]:
    """The headline, and the sentences by kind."""
    current = state.round(number)
    assert current is not None
    heights = node.store.height_of_round(number), node.store.height
    found = explain(replace(facts_of(state, node.network, current, IDENTITY.node, heights), **facts))
    assert found.headline and {each.kind for each in found.statements} <= set(KINDS)
    return found.headline, {kind: [s.text for s in found.statements if s.kind == kind] for kind in KINDS}


def says(texts: list[str], *words: str) -> bool:
    return any(all(word in text for word in words) for text in texts)


def test_the_claim_is_told_in_segments_steps_tokens_and_payload(node: LoneNode, state: State) -> None:
    _, said = told(node, state)
    claim = state.need(Claim, claim_key(ROUND, IDENTITY.node))
    assert says(said[CLAIMED], OWN[:16], "round 3", "4 of 4 segments", "4 steps", "32 tokens")
    assert says(said[CLAIMED], claim.payload_root.hex()[:16], "before anybody could know")
    assert says(said[CHECKED], "signed by this node", "None of this shows that the training was done")
    assert says(said[ONLY_CLAIMED], "losses", "nobody checks them")


def test_who_was_not_drawn_is_told_so_and_all_of_it_stays_claimed(node: LoneNode, state: State) -> None:
    headline, said = told(node, state)
    assert "Not audited: the lot did not fall on it" in headline
    assert says(said[ONLY_CLAIMED], "nobody has trained any of it again")
    assert says(said[ONLY_CLAIMED], "all 4 are only claimed")


def test_right_after_the_end_of_a_round_the_draw_is_still_to_come(node: LoneNode, state: State) -> None:
    ended = node.store.height_of_round(ROUND)
    assert ended is not None
    _, said = told(node, state, height=ended)
    assert says(said[ONLY_CLAIMED], "The next block draws who is audited")


def test_work_whose_payload_did_not_enter_is_neither_paid_nor_audited(node: LoneNode, state: State) -> None:
    current = state.round(ROUND)
    assert current is not None
    headline, said = told(node, state, counts=False)
    assert "because it is not paid" in headline and says(said[ONLY_CLAIMED], "what is not paid is not audited")


def test_the_draw_names_block_segment_chance_and_that_nobody_knew_it_before(node: LoneNode, state: State) -> None:
    key = claim_key(ROUND, IDENTITY.node)
    state.put(key, replace(state.need(Claim, key), distances=(0, 0, 7, 1)))
    put_audit(state, ROUND, an_audit(PASSED, an_auditor(1, finding=PASS)))
    headline, said = told(node, state)
    # Of weights 8, 8, 28, 8: half of 1/4 and half of 28/52.
    assert says(said[CHECKED], "Block 20", "nobody knew", "segment 2, counted from 0, of 4", "39.42 %", "1 step")
    assert headline == "Audited and passed: segment 2 of 4 (counted from 0) was trained again with the same result."
    assert says(said[ONLY_CLAIMED], "The other 3 segments", "3 steps", "only claimed")


@pytest.mark.parametrize(
    ("passed", "rate", "why"),
    [
        (0, "100 %", "until it has passed 20"),
        (19, "100 %", "until"),
        (20, "40 %", "the fewer"),
        (200, "20 %", "the fewer"),
    ],
)
def test_the_rate_and_why_it_applies_are_told(node: LoneNode, state: State, passed: int, rate: str, why: str) -> None:
    record = state.need(NodeRecord, node_key(IDENTITY.node))
    state.put(node_key(IDENTITY.node), replace(record, audited_rounds=passed))
    assert says(told(node, state)[1][CHECKED], rate, why, f"passed {passed} audit")


def test_the_rate_changes_at_the_numbers_of_the_genesis(node: LoneNode) -> None:
    params: Params = node.network.params
    warmup, floor = params.audit_warmup_rounds, params.audit_floor_rounds
    steady, least = params.audit_steady_basis_points, params.audit_floor_basis_points
    record = node.state.need(NodeRecord, node_key(IDENTITY.node))
    for number, share in ((0, 10_000), (warmup - 1, 10_000), (warmup, steady), (floor - 1, steady), (floor, least)):
        assert audit_share(replace(record, audited_rounds=number), params) == share


def test_each_auditor_is_named_by_place_key_wallet_and_finding(node: LoneNode, state: State) -> None:
    from chain.address import to_text

    auditors = an_auditor(0, finding=UNSERVED), an_auditor(1, 2, PASS), an_auditor(3, 2, committed=False)
    put_audit(state, ROUND, an_audit(PASSED, *auditors))
    _, said = told(node, state)
    assert says(said[CHECKED], "Attempt 1, validator 0", to_text(auditor_wallet(0)), "could not get the states")
    key = state.validators(9_999).members[1].public_key.hex()[:16]
    assert says(
        said[CHECKED], "Attempt 2, validator 1", key, "trained the segment again", "bound itself to this before"
    )
    assert says(said[ONLY_CLAIMED], "validator 3", "it never answered")


def test_while_auditors_are_bound_and_silent_that_is_all_that_is_told(node: LoneNode, state: State) -> None:
    put_audit(state, ROUND, an_audit(SHOWING, an_auditor(0), an_auditor(1, committed=False)))
    headline, said = told(node, state)
    assert "is being shown" in headline
    assert says(said[ONLY_CLAIMED], "validator 0", "bound itself to a finding and not shown it yet")
    assert says(said[ONLY_CLAIMED], "validator 1", "nothing yet")
    assert says(said[ONLY_CLAIMED], "still open", "block 140 at the latest")


@pytest.mark.parametrize(("finding", "words"), [(MISMATCH, "says nothing against the node"), (PASS, "had not looked")])
def test_a_planted_fault_is_explained_with_what_it_says_of_the_auditor(
    node: LoneNode, state: State, finding: int, words: str
) -> None:
    secret = a_secret(state, ROUND, node.network, True)
    put_audit(state, ROUND, an_audit(PASSED, an_auditor(0, 1, finding), an_auditor(1, 2, PASS), secret=secret))
    _, said = told(node, state)
    assert says(said[CHECKED], "was a planted fault", words)
    assert says(said[CHECKED], "Attempt 1", "as it had to: the segment was planted") == (finding == MISMATCH)


def test_a_shown_secret_that_plants_nothing_here_is_told_so_and_an_unshown_one_not_at_all(
    node: LoneNode, state: State
) -> None:
    put_audit(state, ROUND, an_audit(PASSED, an_auditor(0, finding=PASS)))
    assert not says(told(node, state)[1][CHECKED], "planted")
    secret = a_secret(state, ROUND, node.network, False)
    put_audit(state, ROUND, an_audit(PASSED, an_auditor(0, finding=PASS), secret=secret))
    assert says(told(node, state)[1][CHECKED], "was no planted fault")


def test_votes_are_told_in_shares_of_the_power(node: LoneNode, state: State) -> None:
    put_audit(state, ROUND, an_audit(DISPUTED, an_auditor(0, 1, MISMATCH), votes=((FRAUD, 3), (CLEAN, 1))))
    headline, said = told(node, state)
    assert "In dispute" in headline
    assert says(said[CHECKED], "75 % of the power said that the segment is forged", "25 %", "honest", "two thirds")
    put_audit(state, ROUND, an_audit(CHALLENGED, an_auditor(0, 1, UNSERVED), votes=((MISSING, 1),)))
    headline, said = told(node, state)
    assert "can be had" in headline and says(said[CHECKED], "25 % of the power said that the states cannot be had")


@pytest.mark.parametrize(
    ("phase", "kind", "words"),
    [
        (PASSED, CHECKED, "no objection"),
        (PROVEN, CHECKED, "part of its wallet's stake is burned, and it has no seat up to round"),
        (WITHHELD, CHECKED, "What cannot be checked is not paid"),
        (ACQUITTED, ONLY_CLAIMED, "Nobody pays, the reward stays"),
        (UNCHECKED, ONLY_CLAIMED, "It is paid on its word"),
    ],
)
def test_each_outcome_tells_what_follows_from_it(
    node: LoneNode, state: State, phase: int, kind: str, words: str
) -> None:
    put_audit(state, ROUND, an_audit(phase, an_auditor(0, finding=PASS)))
    assert says(told(node, state)[1][kind], "Result:", words)


def test_a_dispute_that_clears_the_node_says_who_pays(node: LoneNode, state: State) -> None:
    put_audit(state, ROUND, an_audit(PASSED, an_auditor(0, 1, MISMATCH), votes=((CLEAN, 4),)))
    assert says(told(node, state)[1][CHECKED], "decided for the node", "found otherwise pay")


def test_a_network_of_one_says_that_it_verifies_itself(node: LoneNode, state: State) -> None:
    # By the ledger's own rules, nothing put there by hand.
    headline, said = told(node, node.state)
    assert headline.startswith("Not checked") and says(said[ONLY_CLAIMED], "every validator belongs to the wallet")
    assert says(said[NOT_CHECKABLE], "self-verified")
    put_audit(state, ROUND, an_audit(UNCHECKED, an_auditor(0, committed=False)))
    _, said = told(node, state)
    assert says(said[ONLY_CLAIMED], "in all attempts") and not says(said[NOT_CHECKABLE], "self-verified")


def test_what_no_replay_can_show_is_said_of_every_proof(node: LoneNode, state: State) -> None:
    for phase in range(OPENING, UNCHECKED + 1):
        put_audit(state, ROUND, an_audit(phase))
        assert says(told(node, state)[1][NOT_CHECKABLE], "not who did it")


def test_a_reward_is_told_by_amount_and_by_when_it_is_released_or_burned(node: LoneNode, state: State) -> None:
    _, said = told(node, state)
    assert says(said[CHECKED], "Reward of 0.001994724 NEURO: vesting", "when round 23 has ended", "burned if fraud")
    newest = node.state.ledger.ended_round
    assert says(told(node, state, newest)[1][CHECKED], "Reward: not minted yet", f"until round {newest + 20}")
    forfeit(state, ROUND)
    assert says(told(node, state)[1][CHECKED], "Reward: forfeited")
    assert neuro(1_500_000_000) == "1.5 NEURO" and neuro(0) == "0.0 NEURO" and neuro(1) == "0.000000001 NEURO"


def test_a_claim_without_a_payload_is_told_as_one(node: LoneNode, state: State) -> None:
    key = claim_key(ROUND, IDENTITY.node)
    state.put(key, replace(state.need(Claim, key), payload_root=ZERO))
    assert says(told(node, state)[1][CLAIMED], "no payload")


# ---- As the API answers it


class Drafted(Store):
    """A ledger with this state in place of its own."""

    def __init__(self, node: LoneNode, state: State) -> None:
        super().__init__(node.database, node.network)
        self._drafted = state

    def state(self) -> State:
        return self._drafted


def answered(node: LoneNode, state: State, prefix: str = OWN, number: int = ROUND) -> Any:
    """Of a ledger with this state, in the documented form."""
    answer = proof_of(Drafted(node, state), number, prefix)
    assert ExplainedProof().validate(answer) == {}
    page = audit_page(Drafted(node, state), 100, None, number)
    assert Audits().validate(page) == {}
    return answer


@pytest.mark.parametrize("phase", range(OPENING, UNCHECKED + 1))
def test_every_phase_has_the_documented_form(node: LoneNode, state: State, phase: int) -> None:
    secret = a_secret(state, ROUND, node.network, True)
    auditors = an_auditor(0, 1, MISMATCH), an_auditor(1, 2, PASS), an_auditor(2, 2)
    put_audit(state, ROUND, an_audit(phase, *auditors, votes=((FRAUD, 2),), secret=secret))
    audit = answered(node, state)["audit"]
    assert audit["phase"] == AUDIT_PHASES[phase] and audit["planted"] is True
    assert [each["finding"] for each in audit["auditors"]] == ["mismatch", "pass", "none"]
    assert [each["misled"] for each in audit["auditors"]] == [True, False, False]
    assert (audit["deadline_height"] is None) == (phase >= PASSED)
    assert audit["votes"] == [{"answer": "fraud", "share_basis_points": 5_000}]


def test_a_node_is_found_by_the_beginning_of_its_id_if_it_is_the_only_one() -> None:
    one, two, three = bytes.fromhex("ab" * 32), bytes.fromhex("ab" * 31 + "cd"), named("three")
    assert the_one([one, two, three], three.hex()[:4], 1) == three
    assert the_one([one, two], two.hex(), 1) == two
    with pytest.raises(Refusal, match="2 nodes begin with abab: write more of the id") as refusal:
        the_one([one, two, three], "abab", 1)
    assert (refusal.value.status, refusal.value.code) == (409, "ambiguous")
    with pytest.raises(Refusal, match="no node whose id begins with 0123 has proven work in round 1") as refusal:
        the_one([one, two], "0123", 1)
    assert refusal.value.status == 404


@pytest.mark.parametrize(("number", "words"), [(7, "round 7 is not over"), (8, "round 8 has not opened")])
def test_a_round_that_is_not_over_or_not_there_is_refused(
    node: LoneNode, state: State, number: int, words: str
) -> None:
    with pytest.raises(Refusal, match=words) as refusal:
        answered(node, state, number=number)
    assert refusal.value.status == 404


def test_open_audits_come_in_the_order_of_their_draw_and_a_rounds_audits_by_node(node: LoneNode, state: State) -> None:
    for number in (4, 2, 3):
        put_audit(state, number, an_audit(AUDITING, an_auditor(number % 4, committed=False)))
    put_audit(state, 1, an_audit(PASSED))
    store = Drafted(node, state)
    page = audit_page(store, 2, None, None)
    assert [each["round"] for each in page["audits"]] == [4, 2] and page["next_cursor"] == "2"
    rest = audit_page(store, 2, 2, None)
    assert [each["round"] for each in rest["audits"]] == [3] and rest["next_cursor"] is None
    assert audit_page(store, 2, 99, None) == {"audits": [], "next_cursor": None}
    [line] = audit_page(store, 2, None, 1)["audits"]
    assert (line["phase"], line["node"], line["deadline_height"]) == ("passed", OWN, None)
    assert audit_page(store, 2, None, 5) == {"audits": [], "next_cursor": None}
    with pytest.raises(Refusal, match="round 99 has not opened"):
        audit_page(store, 2, None, 99)


def test_of_a_released_round_that_is_kept_for_an_open_audit_only_held_claims_are_told(
    node: LoneNode, state: State
) -> None:
    put_audit(state, ROUND, an_audit(AUDITING, an_auditor(0)))
    state.update_ledger(released_round=ROUND)
    current = state.round(ROUND)
    assert current is not None and claimants(state, current) == [IDENTITY.node]
    assert answered(node, state)["source"] == "state"
    state.delete(claim_key(ROUND, IDENTITY.node))
    assert claimants(state, current) == []
    assert proof_of(Drafted(node, state), ROUND, OWN)["source"] == "blocks"


@pytest.mark.parametrize("phase", [PASSED, AUDITING])
def test_an_audit_whose_auditors_are_all_silent_is_never_called_checked(
    node: LoneNode, state: State, phase: int
) -> None:
    put_audit(state, ROUND, an_audit(phase, an_auditor(0, committed=False)))
    _, said = told(node, state)
    assert not says(said[CHECKED], "trained the segment again")
