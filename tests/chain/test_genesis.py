"""A network file is complete, within its bounds, and its hash names the chain."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InvalidGenesis, NeuroError
from chain.genesis import PARAMETER_MAXIMUM, SETS_KEPT, Network, Parameter, check_network, genesis_state, parse_network
from chain.state import LEDGER_KEY, Ledger
from tests.builders import ALICE, SMALL, Chain, a_network, named


def test_a_network_file_reads_as_it_was_written():
    network = a_network(validators=2)
    assert parse_network(network.file_bytes()) == network
    assert network.params.epoch_blocks == SMALL["epoch_blocks"]
    assert network.section("model") == {}


@pytest.mark.parametrize(
    "change",
    [
        {"name": b"other"},
        {"created_ms": 1},
        {"model_seed": named("other")},
        {"tokenizer_hash": named("other")},
        {"corpus_root": named("other")},
        {"start": None},
        {"validators": None},
        {"parameters": None},
    ],
)
def test_the_chain_id_binds_everything(change):
    network = a_network()
    others = {
        "start": replace(network.start, weights_root=named("other")),
        "validators": a_network(validators=2).validators,
        "parameters": a_network(vest_rounds=3).parameters,
    }
    changed = {name: others[name] if value is None else value for name, value in change.items()}
    assert replace(network, **changed).chain_id != network.chain_id


def test_parameters_of_training_pass_through_and_change_the_chain_id_and_the_params_hash():
    network = a_network()
    extended = replace(network, parameters=(*network.parameters, Parameter(b"model.width", 64)))
    check_network(extended)
    assert extended.section("model") == {"width": 64}
    assert extended.chain_id != network.chain_id
    assert extended.params_hash != network.params_hash


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_parameter_of_the_ledger_is_wanted(name):
    network = a_network()
    fewer = tuple(p for p in network.parameters if p.name != b"chain." + name.encode())
    with pytest.raises(InvalidGenesis, match=f"missing \\['{name}'\\]"):
        check_network(replace(network, parameters=fewer))


def test_a_parameter_that_this_program_does_not_know_is_refused():
    with pytest.raises(InvalidGenesis, match="unknown to this program \\['new_rule'\\]"):
        a_network(new_rule=1)


def test_parameters_stand_once_in_order_of_their_names():
    network = a_network()
    for wrong in (network.parameters[::-1], (network.parameters[0], *network.parameters)):
        with pytest.raises(InvalidGenesis, match="unique and in order"):
            check_network(replace(network, parameters=wrong))
    foreign = (*network.parameters, Parameter("modèle".encode(), 1))
    with pytest.raises(InvalidGenesis, match="ASCII"):
        check_network(replace(network, parameters=foreign))


ACCEPTED = [
    {"seats": 1024},
    {"seats": 4},
    {"grace_blocks_minimum": 1},
    {"burn_basis_points": 10_000},
    {"stamp_bits": 0},
    {"vest_rounds": 0},
    {"rate_batch_nanos": 0},
    {"base_fee_minimum": 0},
    {"block_interval_ms": 10_000},
    {"inner_steps": 1024, "segment_steps": 1},
    {"inner_steps": 256, "segment_steps": 256},
    {"audit_attempts": 7},
    {"fraud_basis_points": 9_999},
    {"audit_fault_basis_points": 9_999},
    {"epoch_blocks": 2, "opening_blocks": 8_190 - 26},  # twice; the other deadlines: 4 · (4 + 3 + 4) + 3 + 5
    {"stake_minimum_nanos": PARAMETER_MAXIMUM},
    {"base_fee_initial": 10},
    {"reveal_blocks": (SETS_KEPT - 2) * 8 - 6},
    {"unbonding_epochs": SETS_KEPT - 2},
    {"lane_gas_maximum": 99_999},
    {"equivocation_basis_points": 10_000},
    {"equivocation_basis_points": 0, "reporter_maximum_nanos": 0},
    {"inner_steps": 2**18, "segment_steps": 256, "sequences": 2**24, "sequence_length": 2**22 - 1},
]
REFUSED = [
    {"seats": 1025},
    {"seats": 0},
    {"seats": 3},
    {"grace_blocks_minimum": 0},
    {"burn_basis_points": 10_001},
    {"epoch_blocks": 0},
    {"train_blocks": 0},
    {"stamp_bits": 65},
    {"block_interval_min_ms": 0},
    {"block_interval_ms": 999},
    {"block_interval_ms": 10_001},
    {"inner_steps": 7},
    {"inner_steps": 257, "segment_steps": 257},
    {"audit_attempts": 8},
    {"fraud_basis_points": 10_000},
    {"audit_fault_basis_points": 10_000},
    {"epoch_blocks": 2, "opening_blocks": 8_190 - 25},
    {"inner_steps": 1025, "segment_steps": 1},
    {"inner_steps": 2**32, "segment_steps": 2**32},
    {"stake_minimum_nanos": PARAMETER_MAXIMUM + 1},
    {"base_fee_initial": 9},
    {"reveal_blocks": (SETS_KEPT - 2) * 8 - 5},
    {"unbonding_epochs": SETS_KEPT - 1},
    {"unbonding_epochs": 0},
    {"lane_gas_maximum": 100_000},
    {"equivocation_basis_points": 10_001},
    {"stake_target_nanos": 0},
    {"inner_steps": 2**18, "segment_steps": 256, "sequences": 2**24, "sequence_length": 2**22},
]


@pytest.mark.parametrize("change", ACCEPTED, ids=str)
def test_a_parameter_at_its_bound_is_accepted(change):
    assert genesis_state(a_network(**change)).supply.minted == 0


@pytest.mark.parametrize("change", REFUSED, ids=str)
def test_a_parameter_beyond_its_bound_is_refused(change):
    with pytest.raises(InvalidGenesis):
        a_network(**change)


def test_one_to_seven_different_bootstrap_validators_found_a_network():
    assert len(a_network(validators=7).validators) == 7
    with pytest.raises(NeuroError):
        a_network(validators=8)
    network = a_network()
    for wrong in ((), network.validators * 2):
        with pytest.raises(InvalidGenesis, match="1 to 7 different"):
            check_network(replace(network, validators=wrong))


def test_a_bootstrap_validator_proves_that_its_key_is_its_own():
    network, two = a_network(), a_network(validators=2).validators
    stolen = replace(two[0], possession=two[1].possession)
    with pytest.raises(InvalidGenesis, match="possession"):
        check_network(replace(network, validators=(stolen,)))
    infinity = replace(two[0], public_key=b"\xc0" + bytes(47), possession=b"\xc0" + bytes(95))
    with pytest.raises(InvalidGenesis, match="possession"):
        check_network(replace(network, validators=(infinity,)))


@pytest.mark.parametrize(
    ("name", "fine"), [(b"", True), ("réseau".encode(), True), (b"\xff", False), (b"a\x1b[31m", False)]
)
def test_a_networks_name_can_be_printed(name, fine):
    if fine:
        a_network(name=name)
    else:
        with pytest.raises(InvalidGenesis, match="printable"):
            a_network(name=name)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x01", b"{}", b"\x01\x01", b"\x01\x01" + bytes(262_143)])
def test_something_else_than_a_network_file_is_refused(data):
    with pytest.raises(InvalidGenesis):
        parse_network(data)


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3))
def test_a_damaged_network_file_is_refused_or_another_network(edits):
    data = original = a_network().file_bytes()
    for at, removed, inserted in edits:
        data = data[:at] + inserted + data[at + removed :]
    try:
        network = parse_network(data)
    except InvalidGenesis:
        return
    assert network.file_bytes() == data
    genesis_state(network)
    assert (network.chain_id == a_network().chain_id) == (data == original)


def test_the_genesis_state_is_empty_but_for_the_bootstrap():
    chain = Chain()
    ledger = chain.state.ledger
    assert ledger == Ledger.decode(chain.records[LEDGER_KEY])
    assert (ledger.round, ledger.nodes, ledger.tokens, ledger.active_maximum) == (0, 0, 0, 0)
    assert ledger.model == chain.network.start
    assert [member.power for member in chain.state.validators(0).members] == [100 * 10**9]
    assert chain.balance(ALICE) == 0


def test_a_network_is_equal_to_itself_however_it_came_about():
    network = a_network()
    assert Network.decode(network.encode()).chain_id == network.chain_id
    assert hash(Network.decode(network.encode())) == hash(network)
