"""The life of a round: when each phase begins and ends, and what each phase accepts."""

from dataclasses import replace

import pytest

from chain.block import SEATS_MAXIMUM, PayloadReveal
from chain.crypto.hashing import merkle_root, tagged_hash
from chain.errors import BadSignature, InvalidRoundInput
from chain.receipts import Minted, RoundClosed, RoundDrawn, RoundOpened, RoundVoid
from chain.round_inputs import PAYLOAD_BYTES_MAXIMUM, read_bitmap, write_bitmap
from chain.rounds import counted
from chain.state import CLOSED, HOLDING, OPENED, RESULT, REVEALING, TRAINING, VOID, Revealed
from tests.builders import (
    ALICE,
    NODE,
    OTHER_NODE,
    Chain,
    a_commit,
    a_key,
    a_network,
    a_proof,
    a_result_vote,
    a_reveal,
    a_training_chain,
    an_availability_vote,
    an_outcome,
    commit,
    everybody_agrees,
    everybody_holds,
    named,
    reveal,
    train,
)

FOUR = a_network(validators=4)


def at_revealing(*nodes, network=None) -> Chain:
    chain = a_training_chain(*nodes, network=network)
    train(chain, *nodes, segments=2)
    commit(chain, *nodes)
    return chain


def at_holding(*nodes, network=None) -> Chain:
    chain = at_revealing(*nodes, network=network)
    reveal(chain, *nodes)
    return chain


def at_result(*nodes, network=None) -> Chain:
    chain = at_holding(*nodes, network=network)
    everybody_holds(chain)
    return chain


def phase_of(chain: Chain, number: int) -> int:
    current = chain.state.round(number)
    assert current is not None
    return current.phase


# ---- Opening and draw


def test_no_round_opens_without_a_node():
    chain = Chain()
    chain.empty_blocks(3)
    assert chain.state.ledger.round == 0
    assert chain.state.round(0) is None


def test_a_round_opens_in_the_block_of_the_first_registration_on_the_model_of_the_genesis():
    chain = Chain()
    chain.register(NODE)
    assert chain.round.phase == OPENED
    assert chain.round.base == chain.network.start
    assert chain.receipts[-1] == RoundOpened(1, chain.network.start)


def test_data_and_seats_are_drawn_with_the_mix_of_the_next_block():
    chain = Chain()
    chain.register(NODE)
    before = chain.state.ledger.mix
    applied = chain.block()
    assert chain.round.phase == TRAINING
    assert chain.round.mix == chain.state.ledger.mix
    assert chain.round.mix == tagged_hash("mix", before, applied.block.header.beacon_reveal)
    assert chain.receipts == (RoundDrawn(1, chain.round.mix),)
    assert chain.round.deadline_height == 2 + 6


def test_nobody_draws_again():
    chain = a_training_chain()
    drawn = chain.round.mix
    chain.empty_blocks(3)
    assert chain.round.mix == drawn != chain.state.ledger.mix


# ---- Commit


def test_half_of_the_segments_earn_a_seat_and_one_less_does_not():
    chain = a_training_chain()
    train(chain, segments=1)
    with pytest.raises(InvalidRoundInput, match="1 of 4 segments"):
        commit(chain)
    train(chain, segments=1)
    commit(chain)
    assert chain.round.committed == (NODE.node,)


def test_half_of_an_odd_number_of_segments_is_rounded_up():
    chain = a_training_chain(network=a_network(inner_steps=6))
    train(chain, segments=1)
    with pytest.raises(InvalidRoundInput, match="1 of 3 segments"):
        commit(chain)
    train(chain, segments=1)
    commit(chain)


def test_a_node_commits_once():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, segments=2)
    with pytest.raises(InvalidRoundInput, match="commits once"):
        chain.block(rounds=[a_commit(chain)] * 2)
    commit(chain)
    with pytest.raises(InvalidRoundInput, match="commits once"):
        commit(chain)


def test_a_commitment_to_nothing_is_refused():
    chain = a_training_chain()
    train(chain, segments=2)
    with pytest.raises(InvalidRoundInput, match="to something"):
        chain.block(rounds=[a_commit(chain, commitment=bytes(32))])


def test_a_node_without_a_proven_segment_cannot_commit():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, segments=2)
    for node in (OTHER_NODE, a_key("stranger")):
        with pytest.raises(InvalidRoundInput, match="proved no segment"):
            chain.block(rounds=[a_commit(chain, node)])


def test_only_the_node_signs_its_commit_and_for_this_chain_and_round():
    chain = a_training_chain()
    train(chain, segments=2)
    good = a_commit(chain)
    with pytest.raises(BadSignature):
        chain.block(rounds=[a_commit(chain, signer=ALICE)])
    with pytest.raises(BadSignature):
        chain.block(rounds=[replace(good, signature=NODE.sign(good.digest(bytes(32))))])
    with pytest.raises(BadSignature):
        chain.block(rounds=[replace(good, commitment=named("another"))])
    with pytest.raises(InvalidRoundInput, match="round 2 is unknown"):
        chain.block(rounds=[a_commit(chain, round=2)])


def test_when_everybody_has_committed_the_reveal_begins_at_once():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, NODE, OTHER_NODE, segments=2)
    commit(chain, NODE)
    assert chain.round.phase == TRAINING
    commit(chain, OTHER_NODE)
    assert chain.round.phase == REVEALING
    assert chain.round.deadline_height == chain.height + 3


def test_at_the_deadline_the_reveal_begins_with_those_who_committed():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, segments=2)
    commit(chain)
    chain.empty_blocks(2)
    assert chain.round.phase == TRAINING
    chain.block()
    assert chain.height == 8
    assert chain.round.phase == REVEALING
    with pytest.raises(InvalidRoundInput, match="revealing, this needs it to be training"):
        commit(chain, OTHER_NODE)


def test_a_commit_enters_in_the_block_before_the_deadline_and_not_in_the_deadline_block():
    for wait, accepted in ((3, True), (4, False)):
        chain = a_training_chain(NODE, OTHER_NODE)
        train(chain, segments=2)
        chain.empty_blocks(wait - 1)
        assert chain.height + 1 == 4 + wait
        if accepted:
            commit(chain)
        else:
            with pytest.raises(InvalidRoundInput):
                commit(chain)


def test_a_round_without_a_commit_is_void_at_its_deadline_and_the_next_opens_at_once():
    chain = a_training_chain()
    chain.empty_blocks(5)
    assert phase_of(chain, 1) == TRAINING
    chain.block()
    assert phase_of(chain, 1) == VOID
    assert chain.round.number == 2
    assert chain.round.phase == OPENED
    assert chain.receipts == (RoundVoid(1), RoundOpened(2, chain.network.start))
    assert (chain.state.ledger.ended_round, chain.state.ledger.closed_rounds) == (1, 0)


# ---- Reveal


def test_the_committed_payload_can_be_revealed_and_nothing_else():
    chain = at_revealing()
    for change in [
        {"salt": named("another")},
        {"payload_root": named("another")},
        {"payload_bytes": 999},
        {"states_root": named("another")},
        {"steps": 5},
        {"distances": (1, 3)},
    ]:
        with pytest.raises(InvalidRoundInput, match="committed to something else"):
            chain.block(rounds=[a_reveal(chain, **change)])
    reveal(chain)
    [revealed] = chain.round.revealed
    shown = a_reveal(chain, round=1)
    assert revealed == Revealed(NODE.node, shown.payload_root, 1_000, steps=4, path=1 + 2)


@pytest.mark.parametrize(
    "change",
    [
        {"states_root": named("another")},
        {"states_root": merkle_root([])},
        {"steps": 3},
        {"steps": 5},
        {"distances": (1,)},
        {"distances": (1, 2, 3)},
        {"payload_bytes": 0},
        {"payload_bytes": PAYLOAD_BYTES_MAXIMUM + 1},
    ],
)
def test_a_committed_lie_about_the_proven_segments_is_refused(change):
    chain = a_training_chain()
    train(chain, segments=2)
    lie = a_reveal(chain, **change)
    chain.block(rounds=[a_commit(chain, reveal=lie)])
    with pytest.raises(InvalidRoundInput):
        chain.block(rounds=[lie])


@pytest.mark.parametrize("size", [1, PAYLOAD_BYTES_MAXIMUM])
def test_a_payload_has_one_byte_at_least_and_a_tebibyte_at_most(size):
    chain = a_training_chain()
    train(chain, segments=2)
    honest = a_reveal(chain, payload_bytes=size)
    chain.block(rounds=[a_commit(chain, reveal=honest)])
    chain.block(rounds=[honest])
    assert chain.round.phase == HOLDING


def test_the_commitment_of_another_node_cannot_be_repeated():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, NODE, OTHER_NODE, segments=2)
    original = a_reveal(chain)
    copied = a_commit(chain, OTHER_NODE, reveal=original)
    chain.block(rounds=[a_commit(chain), copied])
    copy = replace(original, node=OTHER_NODE.node)
    copy = replace(copy, signature=OTHER_NODE.sign(copy.digest(chain.network.chain_id)))
    with pytest.raises(InvalidRoundInput, match="committed to something else"):
        chain.block(rounds=[original, copy])


def test_only_the_node_signs_its_reveal():
    chain = at_revealing()
    with pytest.raises(BadSignature):
        chain.block(rounds=[a_reveal(chain, signer=ALICE)])
    good = a_reveal(chain)
    with pytest.raises(BadSignature):
        chain.block(rounds=[replace(good, signature=NODE.sign(good.digest(bytes(32))))])


def test_a_node_reveals_once():
    chain = at_revealing(NODE, OTHER_NODE)
    reveal(chain)
    with pytest.raises(InvalidRoundInput, match="already revealed"):
        reveal(chain)


def promised(chain: Chain, **hidden) -> list[PayloadReveal]:
    """Two nodes have committed to payloads of which these things are the same."""
    train(chain, NODE, OTHER_NODE, segments=2)
    shown = [a_reveal(chain, node, **hidden) for node in (NODE, OTHER_NODE)]
    chain.block(rounds=[a_commit(chain, node, reveal=one) for node, one in zip((NODE, OTHER_NODE), shown, strict=True)])
    return shown


def test_a_payload_that_another_node_has_revealed_is_refused_and_that_round_goes_on_without_it():
    chain = a_training_chain(NODE, OTHER_NODE)
    first, second = promised(chain, payload_root=named("one and the same"))
    with pytest.raises(InvalidRoundInput, match="another node has revealed the payload"):
        chain.block(rounds=[first, second])
    chain.block(rounds=[second])
    with pytest.raises(InvalidRoundInput, match="another node has revealed the payload"):
        chain.block(rounds=[first])
    chain.empty_blocks(3)
    assert chain.round.phase == HOLDING
    assert [revealed.node for revealed in chain.round.revealed] == [OTHER_NODE.node]


def test_payloads_that_differ_in_the_root_only_are_both_taken():
    chain = a_training_chain(NODE, OTHER_NODE)
    chain.block(rounds=promised(chain, salt=named("one salt")))
    assert len(chain.round.revealed) == 2


def test_a_payload_of_an_earlier_round_is_a_new_one_to_the_ledger():
    chain = a_training_chain()
    echo = named("echo")
    for number in (1, 2):
        train(chain, segments=2)
        shown = a_reveal(chain, payload_root=echo)
        chain.block(rounds=[a_commit(chain, reveal=shown)])
        chain.block(rounds=[shown])
        assert chain.round.phase == HOLDING and chain.round.number == number
        everybody_holds(chain)
        everybody_agrees(chain)
        chain.block()


def test_a_node_that_commits_and_never_reveals_is_neither_counted_nor_paid():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, NODE, OTHER_NODE)
    commit(chain, NODE, OTHER_NODE)
    reveal(chain, NODE)
    chain.empty_blocks(2)
    everybody_holds(chain)
    everybody_agrees(chain)
    assert [revealed.node for revealed in counted(chain.state, chain.state.round(1))] == [NODE.node]
    chain.end_epoch()
    minted = [each for applied in chain.blocks for each in applied.receipts if isinstance(each, Minted)]
    assert {(each.round, each.node) for each in minted} == {(1, NODE.node)}


def test_a_reveal_after_its_phase_is_refused():
    chain = at_revealing(NODE, OTHER_NODE)
    late = a_reveal(chain, OTHER_NODE)
    reveal(chain)
    chain.empty_blocks(2)
    with pytest.raises(InvalidRoundInput, match="round 1 is holding, this needs it to be revealing"):
        chain.block(rounds=[late])


def test_no_payload_of_zero_steps_can_be_revealed():
    """Half of the segments are one at least, and the steps are those of the proven segments."""
    chain = a_training_chain(network=a_network(inner_steps=2))
    with pytest.raises(InvalidRoundInput, match="proved no segment"):
        commit(chain)
    train(chain, segments=1)
    nothing = a_reveal(chain, steps=0, distances=(), states_root=merkle_root([]))
    chain.block(rounds=[a_commit(chain, reveal=nothing)])
    with pytest.raises(InvalidRoundInput, match="differ from the 1 proven segments"):
        chain.block(rounds=[nothing])


def test_a_node_that_did_not_commit_cannot_reveal():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, NODE, OTHER_NODE, segments=2)
    commit(chain)
    chain.empty_blocks(3)
    assert chain.round.phase == REVEALING
    with pytest.raises(InvalidRoundInput, match="committed to something else"):
        reveal(chain, OTHER_NODE)


def test_a_reveal_before_its_phase_is_refused():
    chain = a_training_chain()
    train(chain, segments=2)
    with pytest.raises(InvalidRoundInput, match="round 1 is training, this needs it to be revealing"):
        reveal(chain)


def test_when_everybody_has_revealed_the_holding_begins_with_the_payloads_in_order_of_node():
    nodes = sorted((a_key(f"revealer {i}") for i in range(4)), key=lambda key: key.node, reverse=True)
    chain = Chain(a_network(train_blocks=12))
    chain.register(*nodes)
    chain.empty_blocks(13)
    assert chain.round.participants == 4
    train(chain, *nodes, segments=2)
    commit(chain, *nodes)
    reveal(chain, *nodes)
    assert chain.round.phase == HOLDING
    assert [revealed.node for revealed in chain.round.revealed] == sorted(key.node for key in nodes)


def test_at_the_deadline_the_holding_begins_with_those_who_revealed():
    chain = at_revealing(NODE, OTHER_NODE)
    reveal(chain)
    chain.block()
    assert chain.round.phase == REVEALING
    chain.block()
    assert chain.round.phase == HOLDING
    assert len(chain.round.revealed) == 1


def test_a_round_without_a_reveal_is_void_at_its_deadline():
    chain = at_revealing()
    chain.empty_blocks(2)
    assert phase_of(chain, 1) == REVEALING
    chain.block()
    assert phase_of(chain, 1) == VOID


# ---- Availability


def test_payloads_held_by_more_than_two_thirds_are_counted_and_with_exactly_two_thirds_are_not():
    for voters, held in ((2, False), (3, True)):
        chain = at_holding(network=a_network(validators=3))
        chain.block(rounds=[an_availability_vote(chain, validator) for validator in range(voters)])
        assert phase_of(chain, 1) == (RESULT if held else HOLDING)
        chain.empty_blocks(2)
        assert phase_of(chain, 1) == (RESULT if held else VOID)


def test_two_of_four_validators_are_no_quorum_and_three_are():
    for voters, phase in ((2, HOLDING), (3, RESULT)):
        chain = at_holding(network=FOUR)
        chain.block(rounds=[an_availability_vote(chain, validator) for validator in range(voters)])
        assert chain.round.phase == phase


def test_only_payloads_held_by_a_quorum_are_counted():
    chain = at_holding(NODE, OTHER_NODE, network=FOUR)
    chain.block(rounds=[an_availability_vote(chain, v, held=(True, v == 0)) for v in range(4)])
    assert chain.round.phase == HOLDING  # one is missing: wait for it
    chain.empty_blocks(3)
    assert chain.round.phase == RESULT
    first = chain.round.revealed[0]
    assert a_result_vote(chain).outcome.counted_root == merkle_root([first.node + first.payload_root])


def test_a_validator_votes_once_in_a_phase():
    chain = at_holding(network=FOUR)
    vote = an_availability_vote(chain, 0)
    with pytest.raises(InvalidRoundInput, match="validator 0 has already voted"):
        chain.block(rounds=[vote, vote])
    chain.block(rounds=[vote])
    with pytest.raises(InvalidRoundInput, match="validator 0 has already voted"):
        chain.block(rounds=[an_availability_vote(chain, 0, held=[False])])
    chain.block(rounds=[an_availability_vote(chain, v) for v in (1, 2)])
    chain.block(rounds=[a_result_vote(chain, 0)])
    with pytest.raises(InvalidRoundInput, match="validator 0 has already voted"):
        other = replace(a_result_vote(chain).outcome, weights_root=named("another"))
        chain.block(rounds=[a_result_vote(chain, 0, outcome=other)])


def test_a_stranger_is_no_validator_and_nobody_votes_for_another():
    chain = at_holding(network=FOUR)
    with pytest.raises(InvalidRoundInput, match="validator 4 of a set of 4"):
        chain.block(rounds=[an_availability_vote(chain, 4)])
    with pytest.raises(BadSignature):
        chain.block(rounds=[an_availability_vote(chain, 0, signer=1)])
    good = an_availability_vote(chain, 0)
    with pytest.raises(BadSignature):
        chain.block(rounds=[replace(good, bitmap=b"\x00")])


@pytest.mark.parametrize("bitmap", [b"", b"\x04", b"\x80", b"\x03\x00"])
def test_a_bitmap_of_another_length_or_with_stray_bits_is_refused(bitmap):
    chain = at_holding(NODE, OTHER_NODE)
    with pytest.raises(InvalidRoundInput, match="bitmap of 2 bits"):
        chain.block(rounds=[an_availability_vote(chain, bitmap=bitmap)])
    chain.block(rounds=[an_availability_vote(chain, bitmap=b"\x03")])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, SEATS_MAXIMUM])
def test_a_bitmap_reads_as_it_was_written(size):
    flags = [i % 3 == 0 for i in range(size)]
    assert read_bitmap(write_bitmap(flags), size) == flags
    with pytest.raises(InvalidRoundInput):
        read_bitmap(write_bitmap(flags) + b"\x00", size)


def test_a_round_whose_payloads_nobody_holds_is_void_at_its_deadline():
    chain = at_holding()
    chain.block(rounds=[an_availability_vote(chain, held=[False])])
    chain.block()
    assert phase_of(chain, 1) == HOLDING
    chain.block()
    assert phase_of(chain, 1) == VOID


# ---- Result


def test_more_than_two_thirds_close_a_round_and_exactly_two_thirds_do_not():
    for voters, phase in ((2, RESULT), (3, CLOSED)):
        chain = at_holding(network=a_network(validators=3))
        chain.block(rounds=[an_availability_vote(chain, validator) for validator in range(3)])
        chain.block(rounds=[a_result_vote(chain, validator) for validator in range(voters)])
        assert phase_of(chain, 1) == phase


def test_a_closed_round_gives_the_next_one_its_base():
    chain = at_result()
    result = a_result_vote(chain).outcome
    everybody_agrees(chain)
    assert phase_of(chain, 1) == CLOSED
    assert chain.state.ledger.model == result
    assert (chain.state.ledger.ended_round, chain.state.ledger.closed_rounds) == (1, 1)
    assert chain.round.base == result
    assert chain.receipts[:2] == (RoundClosed(1, result), RoundOpened(2, result))
    chain.block()
    assert a_proof(chain).base_root == result.outer_root
    train(chain, segments=1)


def test_a_result_over_other_payloads_than_the_counted_ones_is_refused():
    chain = at_result()
    with pytest.raises(InvalidRoundInput, match="other payloads"):
        chain.block(rounds=[a_result_vote(chain, outcome=an_outcome("made up"))])


def test_votes_for_different_results_do_not_add_up():
    chain = at_result(network=FOUR)
    root = a_result_vote(chain).outcome.counted_root
    strange = an_outcome("strange", counted_root=root)
    chain.block(rounds=[a_result_vote(chain, v) for v in (0, 1)] + [a_result_vote(chain, 2, outcome=strange)])
    assert phase_of(chain, 1) == RESULT
    assert [tally.power for tally in chain.round.result.tallies] == [200 * 10**9, 100 * 10**9]
    chain.block(rounds=[a_result_vote(chain, 3)])
    assert phase_of(chain, 1) == CLOSED
    assert chain.state.ledger.model != strange


def test_one_validator_shouting_thrice_is_one_vote():
    chain = at_result(network=FOUR)
    chain.block(rounds=[a_result_vote(chain, 0)])
    for other in (1, 2):
        with pytest.raises(BadSignature):
            chain.block(rounds=[a_result_vote(chain, other, signer=0)])


def test_a_result_vote_signs_the_whole_outcome_and_the_round():
    chain = at_result()
    good = a_result_vote(chain)
    for name in ("model_root", "weights_root", "momentum_root", "aggregate_root", "trust_root"):
        with pytest.raises(BadSignature):
            chain.block(rounds=[replace(good, outcome=replace(good.outcome, **{name: named("another")}))])
    assert replace(good, round=2).digest(bytes(32)) != good.digest(bytes(32))


def test_a_round_without_an_agreed_result_is_void_at_its_deadline_and_leaves_the_model():
    chain = at_result(network=FOUR)
    chain.block(rounds=[a_result_vote(chain, v) for v in (0, 1)])
    chain.block()
    assert phase_of(chain, 1) == RESULT
    chain.block()
    assert phase_of(chain, 1) == VOID
    assert chain.state.ledger.model == chain.network.start
    assert chain.round.base == chain.network.start
    with pytest.raises(InvalidRoundInput, match="round 1 is void"):
        chain.block(rounds=[a_result_vote(chain, 2, outcome=an_outcome(), round=1)])


def test_a_round_whose_result_nobody_signs_is_void_at_its_deadline():
    chain = at_result(network=FOUR)
    chain.empty_blocks(2)
    assert phase_of(chain, 1) == RESULT
    chain.block()
    assert phase_of(chain, 1) == VOID


def test_availability_votes_do_not_count_as_results():
    chain = at_holding()
    everybody_holds(chain)
    assert chain.round.phase == RESULT
    assert chain.round.poll.voted == bytes(128)
    with pytest.raises(InvalidRoundInput, match="is result, this needs it to be holding"):
        chain.block(rounds=[an_availability_vote(chain)])


def test_the_set_of_the_commit_deadline_attests_also_in_the_next_epoch():
    chain = a_training_chain()
    train(chain, segments=2)
    chain.empty_blocks(2)
    commit(chain)  # block 7 of the epoch of 8
    assert chain.round.set_epoch == 0
    reveal(chain)
    everybody_holds(chain)
    assert chain.parent.epoch == 1
    everybody_agrees(chain)
    assert phase_of(chain, 1) == CLOSED


def test_all_of_a_lone_nodes_round_fits_one_block_after_its_training():
    chain = a_training_chain()
    train(chain, segments=2)
    commitment, opened = a_commit(chain), a_reveal(chain)
    chain.block(rounds=[commitment, opened])
    assert phase_of(chain, 1) == HOLDING
