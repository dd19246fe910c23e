"""A node's second moments go on from round to round, on a chain of its own: proven, revealed, or begun anew."""

from dataclasses import replace

import pytest

from chain.block import state_hash
from chain.crypto.hashing import ZERO
from chain.errors import InvalidProof, InvalidRoundInput
from chain.money import NEURO
from chain.state import HOLDING, TRAINING, VOID, Claim, NodeRecord, claim_key, node_key
from tests.builders import (
    ALICE,
    NODE,
    OTHER_NODE,
    Chain,
    Key,
    a_commit,
    a_full_round,
    a_proof,
    a_retirement,
    a_reveal,
    a_training_chain,
    commit,
    named,
    reveal,
    state_parts,
    train,
)

STEPS = 8  # of a round of the builders' network


def averages(chain: Chain, node: Key = NODE) -> tuple[bytes, int]:
    record = chain.state.need(NodeRecord, node_key(node.node))
    return record.averages_root, record.averages_steps


def began_with(chain: Chain, node: Key = NODE) -> int:
    """The age that the claim of the newest round notes."""
    return chain.state.need(Claim, claim_key(chain.round.number, node.node)).averages_steps


def until_training(chain: Chain) -> None:
    number = chain.round.number
    while chain.round.number == number or chain.round.phase != TRAINING:
        chain.block()


@pytest.fixture
def chain() -> Chain:
    """One round is closed; the next trains."""
    chain = a_training_chain()
    a_full_round(chain)
    assert chain.network.params.inner_steps == STEPS and chain.round.number == 2
    return chain


def test_the_first_round_of_a_node_begins_fresh():
    chain = a_training_chain()
    assert averages(chain) == (ZERO, 0)
    assert a_proof(chain).state_before == chain.round.base.start_state
    train(chain, segments=1)
    assert began_with(chain) == 0


def test_the_averages_advance_when_the_reveal_is_accepted_and_not_before():
    chain = a_training_chain()
    train(chain, segments=2)
    commit(chain)
    assert averages(chain) == (ZERO, 0)
    reveal(chain)
    assert chain.round.phase == HOLDING
    assert averages(chain) == (state_parts(NODE, 1, 1)[2], 4)


def test_the_next_round_begins_with_the_averages_that_were_revealed(chain):
    v_root, age = averages(chain)
    assert (v_root, age) == (state_parts(NODE, 1, 3)[2], STEPS)
    carried = state_hash(chain.round.base.weights_root, ZERO, v_root)
    assert a_proof(chain).state_before == chain.round.base.carried_state(v_root) == carried
    assert carried != chain.round.base.start_state
    a_full_round(chain)
    assert averages(chain) == (state_parts(NODE, 2, 3)[2], 2 * STEPS)


def test_the_claim_notes_the_age_of_the_averages_that_its_round_began_with(chain):
    train(chain, segments=1)
    assert began_with(chain) == STEPS
    train(chain, segments=1)
    assert began_with(chain) == STEPS


def test_a_node_that_lost_its_averages_begins_fresh_and_its_chain_goes_on_from_there(chain):
    chain.block(proofs=[a_proof(chain, state_before=chain.round.base.start_state)])
    assert began_with(chain) == 0 and averages(chain)[1] == STEPS
    train(chain, segments=2)
    commit(chain)
    reveal(chain)
    assert averages(chain) == (state_parts(NODE, 2, 2)[2], 6)


def test_no_other_start_is_accepted(chain):
    base, (v_root, _) = chain.round.base, averages(chain)
    _, m_root, _ = state_parts(NODE, 1, 3)
    for wrong in (
        chain.network.start.carried_state(v_root),  # the model of the round before
        base.carried_state(state_parts(NODE, 1, 2)[2]),  # averages of an earlier segment
        state_hash(base.weights_root, m_root, v_root),  # first moments as well
        state_hash(base.model_root, ZERO, v_root),
        state_hash(*state_parts(NODE, 1, 3)),
        ZERO,
    ):
        with pytest.raises(InvalidProof, match="state_before"):
            chain.block(proofs=[a_proof(chain, state_before=wrong)])


def test_a_later_segment_cannot_begin_with_the_averages_again(chain):
    start = a_proof(chain).state_before
    train(chain, segments=1)
    for begun in (start, chain.round.base.start_state):
        with pytest.raises(InvalidProof, match="state_before"):
            chain.block(proofs=[a_proof(chain, state_before=begun)])


def test_the_averages_of_another_node_are_not_ours():
    chain = a_training_chain(NODE, OTHER_NODE)
    a_full_round(chain, NODE, OTHER_NODE)
    theirs = averages(chain, OTHER_NODE)[0]
    assert theirs != averages(chain)[0]
    with pytest.raises(InvalidProof, match="state_before"):
        chain.block(proofs=[a_proof(chain, state_before=chain.round.base.carried_state(theirs))])


@pytest.mark.parametrize("part", ["theta_root", "m_root", "v_root"])
def test_revealed_parts_must_be_those_of_the_last_proven_state(part):
    for wrong in (named("another"), ZERO):
        chain = a_training_chain()
        train(chain, segments=2)
        lie = a_reveal(chain, **{part: wrong})
        chain.block(rounds=[a_commit(chain, reveal=lie)])
        with pytest.raises(InvalidRoundInput, match="not those of the last proven state"):
            chain.block(rounds=[lie])
        assert averages(chain) == (ZERO, 0)


def test_the_parts_of_an_earlier_state_are_refused():
    chain = a_training_chain()
    train(chain, segments=2)
    names = ("theta_root", "m_root", "v_root")
    lie = a_reveal(chain, **dict(zip(names, state_parts(NODE, 1, 0), strict=True)))
    chain.block(rounds=[a_commit(chain, reveal=lie)])
    with pytest.raises(InvalidRoundInput, match="not those of the last proven state"):
        chain.block(rounds=[lie])


def test_the_commitment_covers_the_parts():
    chain = a_training_chain()
    train(chain, segments=2)
    commit(chain)
    for part in ("theta_root", "m_root", "v_root"):
        with pytest.raises(InvalidRoundInput, match="committed to something else"):
            chain.block(rounds=[a_reveal(chain, **{part: named("another")})])


def test_a_round_without_our_reveal_leaves_the_older_averages(chain):
    before = averages(chain)
    train(chain)
    commit(chain)
    until_training(chain)
    assert chain.state.round(2).phase == VOID and averages(chain) == before
    assert a_proof(chain).state_before == chain.round.base.carried_state(before[0])
    train(chain, segments=1)
    assert began_with(chain) == STEPS


def test_a_round_that_is_void_after_our_reveal_advances_the_averages_all_the_same(chain):
    train(chain)
    commit(chain)
    reveal(chain)
    until_training(chain)
    assert chain.state.round(2).phase == VOID
    assert averages(chain) == (state_parts(NODE, 2, 3)[2], 2 * STEPS)
    train(chain, segments=1)
    assert began_with(chain) == 2 * STEPS


def test_averages_that_are_all_zero_are_none(chain):
    """Their root says so; a round that begins with them begins fresh, with a fresh age."""
    train(chain, segments=1)
    theta_root, m_root, _ = state_parts(NODE, 2, 1)
    chain.block(proofs=[a_proof(chain, state_after=state_hash(theta_root, m_root, ZERO))])
    shown = a_reveal(chain, v_root=ZERO)
    chain.block(rounds=[a_commit(chain, reveal=shown)])
    chain.block(rounds=[shown])
    assert averages(chain) == (ZERO, 0)


def test_a_retired_nodes_averages_end_with_it_and_a_new_node_has_none(chain):
    before = averages(chain)
    chain.fund(ALICE, NEURO)
    chain.block([a_retirement(chain, ALICE, NODE)])
    assert averages(chain) == before
    with pytest.raises(InvalidProof, match="not registered"):
        chain.block(proofs=[a_proof(chain)])
    chain.register(OTHER_NODE)
    assert averages(chain, OTHER_NODE) == (ZERO, 0)


def test_an_age_has_room_for_all_rounds_there_will_ever_be(chain):
    record = chain.state.need(NodeRecord, node_key(NODE.node))
    assert NodeRecord.decode(replace(record, averages_steps=2**64 - 1).encode()).averages_steps == 2**64 - 1
