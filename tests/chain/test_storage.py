"""Uptime: a seat is drawn, one leaf is shown for it, and a disk earns no more for having a thousand names."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import BadSignature, InvalidRoundInput, NeuroError
from chain.receipts import AutoBonded, ServicePaid
from chain.round_inputs import apply_round_input
from chain.services import fragment_leaves
from chain.state import NodeRecord, node_key
from chain.storage import apply_storage_proof, epoch_ms, has_proven, holders_of, storage_seat
from node.template import read_template, template_path
from tests.builders import ALICE, NODE, Chain, a_full_round, a_key, a_registration
from tests.chain.stored_model import (
    a_model_network,
    a_storage_proof,
    fragments,
    leaves_of,
    next_epoch,
    opened,
    with_nodes,
)
from training.layout import ModelConfig, parameter_layout
from training.pages import leaves

NETWORK = a_model_network(holders=2)
PARAMS, CHAIN_ID = NETWORK.params, NETWORK.chain_id
SEATS = 2 * len(fragments())
MANY = [a_key(f"name {i}") for i in range(300)]


def offer(state, key, params=PARAMS, **changes) -> None:
    apply_storage_proof(state, a_storage_proof(state, CHAIN_ID, key, params, **changes), CHAIN_ID, params)


def prove_all(state, keys, params=PARAMS) -> int:
    """All that have a seat try; how many were taken."""
    taken = 0
    for key in keys:
        if storage_seat(state, key.node, params) is not None:
            try:
                offer(state, key, params)
                taken += 1
            except InvalidRoundInput as error:
                assert "are taken" in str(error)
    return taken


@pytest.mark.parametrize("profile", ["dev", "main", "lab"])
def test_the_ledger_knows_the_fragments_as_training_cuts_them(profile):
    numbers = read_template(template_path(), profile)["parameters"]
    model = {name.removeprefix("model."): value for name, value in numbers.items() if name.startswith("model.")}
    cut = [len(leaves(bytes(4 * each.count))) for each in parameter_layout(ModelConfig(**model))]
    assert list(fragment_leaves(model)) == cut


def test_few_nodes_have_a_seat_each():
    state = with_nodes(NETWORK, MANY[:1], MANY[1:SEATS])
    assert all(storage_seat(state, key.node, PARAMS) for key in MANY[:SEATS])


def test_a_thousand_idle_names_get_a_quarter_of_the_seats_at_most():
    idle = MANY[1:] + [a_key(f"more {i}") for i in range(701)]
    state = with_nodes(NETWORK, MANY[:1], idle)
    assert prove_all(state, idle) <= SEATS // 4
    assert prove_all(state, MANY[:1]) == 1  # who is known for work has its own seats


def test_no_fragment_has_more_holders_than_its_seats():
    state = with_nodes(NETWORK, MANY, [])
    for epoch in range(2, 6):
        prove_all(state, MANY)
        taken = opened(state).taken
        assert max(taken) <= PARAMS.holders and sum(taken) == len(list(holders_of(state)))
        next_epoch(state, epoch)


def test_about_as_many_are_drawn_as_there_are_seats():
    state, drawn = with_nodes(NETWORK, MANY, []), 0
    for epoch in range(2, 22):
        next_epoch(state, epoch)
        drawn += sum(storage_seat(state, key.node, PARAMS) is not None for key in MANY)
    assert 20 * SEATS * 6 // 10 < drawn < 20 * SEATS * 14 // 10


def test_who_lost_an_audit_draws_with_the_newcomers():
    state = with_nodes(NETWORK, MANY, [])
    record = state.need(NodeRecord, node_key(MANY[0].node))
    for epoch in range(2, 30):
        next_epoch(state, epoch)
        state.put(node_key(MANY[0].node), replace(record, audited_rounds=0))
        assert storage_seat(state, MANY[0].node, PARAMS) is None  # all others are known: newcomers have no seats now


def test_a_seat_is_for_who_was_registered_before_the_mix_was_known():
    state = with_nodes(NETWORK, MANY[:2], [])
    record = state.need(NodeRecord, node_key(MANY[0].node))
    at = opened(state).opened_height
    for height, has_seat in [(at - 1, True), (at, False), (at + 1, False)]:  # its proposer knows the mix
        state.put(node_key(MANY[0].node), replace(record, registered_height=height))
        assert (storage_seat(state, MANY[0].node, PARAMS) is not None) == has_seat


def test_who_has_retired_has_no_seat():
    state = with_nodes(NETWORK, MANY[:2], [])
    record = state.need(NodeRecord, node_key(MANY[0].node))
    state.put(node_key(MANY[0].node), replace(record, retired_height=2))
    with pytest.raises(InvalidRoundInput, match="has drawn no storage seat"):
        offer(state, MANY[0])


def test_a_proof_is_taken_once_in_an_epoch():
    state = with_nodes(NETWORK, MANY[:2], [])
    offer(state, MANY[0])
    assert has_proven(state, MANY[0].node) and not has_proven(state, MANY[1].node)
    with pytest.raises(InvalidRoundInput, match="already proven"):
        offer(state, MANY[0])


@pytest.mark.parametrize("epoch", [0, 2, 2**64 - 1])
def test_a_proof_is_for_the_running_epoch(epoch):
    state = with_nodes(NETWORK, MANY[:2], [])
    with pytest.raises(InvalidRoundInput, match=f"a storage proof of epoch {epoch} "):
        offer(state, MANY[0], epoch=epoch)


def test_a_proof_of_the_future_is_refused():
    state = with_nodes(NETWORK, MANY[:2], [])
    with pytest.raises(InvalidRoundInput, match="and round 1 in epoch 1"):
        offer(state, MANY[0], round=1)


def test_last_epochs_leaf_is_refused():
    state = with_nodes(NETWORK, MANY[:2], [])
    old = a_storage_proof(state, CHAIN_ID, MANY[0], PARAMS)
    seat = storage_seat(state, MANY[0].node, PARAMS)
    next_epoch(state, 2)
    assert storage_seat(state, MANY[0].node, PARAMS) != seat
    with pytest.raises(InvalidRoundInput, match="does not show leaf"):
        offer(state, MANY[0], leaf=old.leaf, leaf_path=old.leaf_path, fragment_path=old.fragment_path)


@pytest.mark.parametrize("field", ["leaf", "leaf_path", "fragment_path"])
def test_every_byte_of_a_proof_counts(field):
    state = with_nodes(NETWORK, MANY[:2], [])
    proof = a_storage_proof(state, CHAIN_ID, MANY[0], PARAMS)
    value = getattr(proof, field)
    wrong = [value[:-1], b"" if field == "leaf" else (*value, bytes(32)), leaves_of(fragments()[0])[-1]]
    for each in wrong if field == "leaf" else wrong[:2]:
        if each != value:
            with pytest.raises(InvalidRoundInput, match="does not show leaf"):
                offer(state, MANY[0], **{field: each})
    assert not list(holders_of(state))


def test_only_the_node_itself_proves():
    state = with_nodes(NETWORK, MANY[:2], [])
    proof = a_storage_proof(state, CHAIN_ID, MANY[0], PARAMS)
    with pytest.raises(BadSignature):
        offer(state, MANY[0], signature=MANY[1].sign(proof.digest(CHAIN_ID)))


def test_where_a_genesis_has_no_model_nobody_has_a_seat():
    state = with_nodes(Chain().network, MANY[:2], [])
    assert storage_seat(state, MANY[0].node, PARAMS) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.lists(st.binary(min_size=32, max_size=32), max_size=64).map(tuple), st.data())
def test_whatever_a_stranger_sends_is_refused_by_name(leaf, path, data):
    state = with_nodes(NETWORK, MANY[:2], [])
    kept = data.draw(st.sets(st.sampled_from(["leaf_path", "fragment_path"])))
    paths = {name: path for name in ("leaf_path", "fragment_path") if name not in kept}
    with pytest.raises(NeuroError):
        offer(state, MANY[0], leaf=leaf, **paths)
    assert not list(holders_of(state))


# ---- Pay


def a_paid_epoch(intent: bool = False, prove: bool = True) -> tuple[Chain, int]:
    """Two epochs: in the second one a node trains a whole round, and proves its storage or does not."""
    chain = Chain(a_model_network(epoch_blocks=40, rate_batch_nanos=10**7, train_blocks=99))
    chain.block([a_registration(chain, intent=intent)])
    chain.end_epoch()
    began = chain.parent.time_ms
    if prove:
        proof = a_storage_proof(chain.state, chain.network.chain_id, NODE, chain.network.params)
        chain.block(rounds=[proof])
    a_full_round(chain)
    chain.end_epoch()
    return chain, chain.parent.time_ms - began


def test_a_seat_earns_the_minutes_of_its_epoch_at_once():
    chain, lasted = a_paid_epoch()
    paid = [each for each in chain.receipts if isinstance(each, ServicePaid)]
    rate = chain.network.params.rate_minute_nanos
    assert [(each.service, each.epoch, each.node) for each in paid] == [(1, 1, NODE.node)]
    assert paid[0].amount == lasted * rate // 60_000 > 0
    assert chain.balance(ALICE) == paid[0].amount
    assert not list(holders_of(chain.state)) and opened(chain.state).epoch == 2


def test_a_seat_whose_node_does_not_prove_earns_nothing():
    chain, _ = a_paid_epoch(prove=False)
    assert not any(isinstance(each, ServicePaid) for each in chain.receipts) and chain.balance(ALICE) == 0


def test_a_node_with_validator_intent_bonds_what_its_disk_earns():
    chain, _ = a_paid_epoch(intent=True)
    assert any(isinstance(each, AutoBonded) for each in chain.receipts)
    assert chain.balance(ALICE) == 0 < chain.stake(ALICE).bonded


def test_a_ledger_that_stood_still_pays_for_its_longest_epoch():
    chain = Chain(a_model_network(epoch_blocks=2, rate_batch_nanos=10**12, uptime_basis_points=10_000))
    params = chain.network.params
    most, began = 2 * params.block_interval_max_ms, opened(chain.state).opened_ms
    assert epoch_ms(chain.state, began + most, params) == most == epoch_ms(chain.state, began + 10 * most, params)
    assert epoch_ms(chain.state, began + most - 1, params) == most - 1


def test_a_storage_proof_is_a_round_input():
    state = with_nodes(NETWORK, MANY[:2], [])
    apply_round_input(state, a_storage_proof(state, CHAIN_ID, MANY[0], PARAMS), CHAIN_ID, PARAMS)
    assert has_proven(state, MANY[0].node)
