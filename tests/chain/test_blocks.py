"""A block is its parent, its body, and a header that follows from both; nothing in it can be made up."""

from dataclasses import fields, replace

import pytest

from chain.block import AvailabilityVote, Block, Body, Header, PayloadCommit, encode_round_input
from chain.crypto import bls
from chain.errors import InvalidBlock, NeuroError
from chain.genesis import SETS_KEPT, bootstrap_members, genesis_state
from chain.money import NEURO
from chain.state import SUPPLY_KEY, State, Supply, ValidatorSet, set_key
from chain.transition import apply_block, build_block, check_supply, choose_validators, genesis_parent
from tests.builders import (
    ALICE,
    NODE,
    OTHER_NODE,
    Chain,
    a_certificate,
    a_commit,
    a_network,
    a_proof,
    a_registration,
    a_result_vote,
    a_training_chain,
    a_transfer,
    commit,
    everybody_holds,
    named,
    reveal,
    train,
    validator_secrets,
)


@pytest.fixture(scope="module")
def full() -> tuple[Chain, Block]:
    """A chain and a last block of an epoch with a transaction, a proof and a round input in it."""
    chain = a_training_chain(NODE, OTHER_NODE)
    chain.fund(ALICE, NEURO)
    chain.empty_blocks(2)
    train(chain, NODE, OTHER_NODE, segments=2)
    commit(chain)
    assert chain.height == 7
    return chain, Chain.build(
        chain,
        [a_transfer(chain, 5, tip=3, max_fee=100)],
        [a_proof(chain, OTHER_NODE)],
        [],
        certificate=a_certificate(chain, [0]),
    )


@pytest.fixture(scope="module")
def with_input() -> tuple[Chain, Block]:
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, NODE, OTHER_NODE, segments=2)
    return chain, chain.build(proofs=[a_proof(chain, OTHER_NODE)], rounds=[a_commit(chain)])


def neighbours(value: int | bytes) -> list[int | bytes]:
    if isinstance(value, int):
        return [value + 1] if value == 0 else [value - 1, value + 1]
    return [value[:-1] + bytes((value[-1] ^ 1,)), bytes((value[0] ^ 1,)) + value[1:]]


def test_a_built_block_is_accepted(full, with_input):
    for chain, block in (full, with_input):
        assert chain.judge(block).block == block


# These four decide what the rules give; the others must be what the rules give.
CHOSEN = {"epoch", "view", "time_ms", "proposer", "beacon_reveal"}


@pytest.mark.parametrize("name", [field.name for field in fields(Header) if field.name not in CHOSEN])
def test_a_header_field_other_than_the_rules_give_is_refused_by_its_name(full, name):
    chain, block = full
    for value in neighbours(getattr(block.header, name)):
        with pytest.raises(InvalidBlock, match=rf"^block \d+: {name} is "):
            chain.judge(replace(block, header=replace(block.header, **{name: value})))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", "belongs to epoch 0"),
        ("view", "beacon reveal|not after its parent's"),
        ("proposer", "proposer 1 of a set of 1"),
        ("beacon_reveal", "beacon reveal"),
    ],
)
def test_what_a_proposer_chooses_is_bound_to_its_place(full, name, message):
    chain, block = full
    for value in neighbours(getattr(block.header, name)):
        with pytest.raises(InvalidBlock, match=message):
            chain.judge(replace(block, header=replace(block.header, **{name: value})))


def test_another_time_is_another_block():
    chain = Chain()
    block = chain.build()  # not its epoch's last one: that one's time is what the next epoch's uptime counts from
    later = replace(block.header, time_ms=block.header.time_ms + 1)
    assert later.hash() != block.header.hash()
    chain.judge(replace(block, header=later))


def test_the_hash_of_a_block_covers_every_field_of_its_header(full):
    header = full[1].header
    hashes = {header.hash()}
    for field in fields(Header):
        hashes.add(replace(header, **{field.name: neighbours(getattr(header, field.name))[0]}).hash())
    assert len(hashes) == 1 + len(fields(Header))


@pytest.mark.parametrize(
    ("part", "root"),
    [("transactions", "transactions_root"), ("proofs", "proofs_root"), ("parent_certificate", "certificate_root")],
)
def test_a_body_without_one_of_its_parts_does_not_fit_its_header(full, part, root):
    chain, block = full
    empty = type(getattr(block.body, part))()
    with pytest.raises(InvalidBlock, match=f"{root}|certificate_root"):
        chain.judge(replace(block, body=replace(block.body, **{part: empty})))


def test_a_body_without_its_round_inputs_does_not_fit_its_header(with_input):
    chain, block = with_input
    with pytest.raises(InvalidBlock, match="rounds_root"):
        chain.judge(replace(block, body=replace(block.body, rounds=())))


def test_round_inputs_of_two_types_with_the_same_fields_are_not_the_same_leaf():
    vote = AvailabilityVote(1, 7, bytes(26), bytes(96))
    commitment = PayloadCommit.decode(vote.encode())
    assert encode_round_input(commitment) != encode_round_input(vote)
    assert encode_round_input(vote) == b"\x04\x01" + vote.encode()


def test_the_order_of_a_body_is_bound():
    chain = Chain()
    block = chain.build([a_registration(chain), a_registration(chain, node=OTHER_NODE, nonce=1)])
    swapped = replace(block.body, transactions=block.body.transactions[::-1])
    with pytest.raises(NeuroError):
        chain.judge(replace(block, body=swapped))


# ---- Place: epoch, view, time, beacon


def test_an_epoch_has_its_number_of_blocks():
    chain = Chain(a_network(epoch_blocks=3))
    chain.empty_blocks(7)
    assert [applied.block.header.epoch for applied in chain.blocks] == [0, 0, 0, 1, 1, 1, 2]
    with pytest.raises(InvalidBlock, match="block 8 belongs to epoch 2, not 3"):
        chain.build(epoch=3)


def test_views_rise_within_an_epoch_and_start_at_one_in_each():
    chain = Chain(a_network(epoch_blocks=3))
    with pytest.raises(InvalidBlock, match="view 0"):
        chain.build(view=0)
    chain.block(view=4)
    for stale in (3, 4):
        with pytest.raises(InvalidBlock, match="not after its parent's"):
            chain.build(view=stale)
    chain.block(view=5)
    chain.block(view=9)
    with pytest.raises(InvalidBlock, match="view 0 of epoch 1"):
        chain.build(view=0)
    chain.block(view=1)


@pytest.mark.parametrize(("interval_ms", "accepted"), [(0, False), (999, False), (1_000, True), (10**9, True)])
def test_a_block_comes_at_least_the_minimum_interval_after_its_parent(interval_ms, accepted):
    chain = Chain()
    chain.block()
    time_ms = chain.parent.time_ms + interval_ms
    if accepted:
        chain.block(time_ms=time_ms)
    else:
        with pytest.raises(InvalidBlock, match=f"{interval_ms} ms after its parent, at least 1000"):
            chain.block(time_ms=time_ms)


def test_the_first_block_comes_after_the_birth_of_the_network():
    chain = Chain()
    with pytest.raises(InvalidBlock, match="999 ms after its parent"):
        chain.build(time_ms=chain.network.created_ms + 999)
    assert chain.build().header.parent_hash == chain.network.chain_id


def test_the_beacon_reveal_is_the_proposers_own_for_this_chain_epoch_and_view():
    chain = Chain(a_network(validators=3))
    good = chain.proposal()
    other_view = chain.proposal(view=2).beacon_reveal
    other_proposer = chain.proposal(proposer=1).beacon_reveal
    elsewhere = Chain(a_network(validators=3, name=b"other")).proposal().beacon_reveal
    for wrong in (other_view, other_proposer, elsewhere, bytes(96), b"\xc0" + bytes(95)):
        with pytest.raises(InvalidBlock, match="beacon reveal"):
            chain.judge(chain.build(beacon_reveal=wrong))
    assert chain.judge(chain.build(beacon_reveal=good.beacon_reveal))
    with pytest.raises(InvalidBlock, match="proposer 3 of a set of 3"):
        chain.build(proposer=3)


def test_every_block_stirs_the_beacon():
    chain = Chain()
    mixes = {chain.state.ledger.mix}
    for _ in range(5):
        chain.block()
        mixes.add(chain.state.ledger.mix)
    assert len(mixes) == 6


# ---- Pure at the door


def test_a_judged_block_leaves_the_state_of_its_parent_untouched(full):
    chain, block = full
    records, nodes = dict(chain.records), dict(chain.nodes)
    state = chain.state
    applied = apply_block(state, chain.parent, block, chain.network, chain.nodes.get)
    assert applied.state.changes
    assert state.changes == {}
    assert (chain.records, chain.nodes) == (records, nodes)


def test_a_refused_block_leaves_the_state_of_its_parent_untouched(full):
    chain, block = full
    state = chain.state
    spoiled = replace(block, header=replace(block.header, state_root=named("another")))
    with pytest.raises(InvalidBlock):
        apply_block(state, chain.parent, spoiled, chain.network, chain.nodes.get)
    assert state.changes == {}


def test_blocks_that_are_not_final_yet_build_on_each_other_and_beside_each_other():
    chain = Chain()
    chain.fund(ALICE, NEURO)
    state, parent, nodes = chain.state, chain.parent, dict(chain.nodes)
    empty = Body((), (), (), b"")
    one = build_block(state, parent, chain.proposal(), empty, chain.network, nodes.get)
    two = Body((), (a_transfer(chain, 5),), (), b"")
    other = build_block(state, parent, chain.proposal(), two, chain.network, nodes.get)
    assert one.block.header.state_root != other.block.header.state_root
    fork = Chain(chain.network)
    fork.fund(ALICE, NEURO)
    fork.block([a_transfer(fork, 5)])
    assert fork.parent == other.parent

    def read(digest: bytes) -> bytes | None:
        return other.tree.fresh.get(digest) or nodes.get(digest)

    child = build_block(other.state, other.parent, fork.proposal(), empty, chain.network, read)
    assert child.block == fork.build()


def test_the_same_block_gives_the_same_consequences_each_time(full):
    chain, block = full
    first, second = chain.judge(block), chain.judge(block)
    assert (first.state.changes, first.receipts, first.tree) == (second.state.changes, second.receipts, second.tree)


# ---- Sets and supply


def test_the_last_block_of_an_epoch_names_the_next_set_and_no_other_does():
    chain = Chain(a_network(epoch_blocks=3))
    chain.empty_blocks(6)
    headers = [applied.block.header for applied in chain.blocks]
    assert [header.next_validators_root != bytes(32) for header in headers] == [False, False, True] * 2
    assert headers[2].next_validators_root == headers[3].validators_root


def test_a_set_is_forgotten_when_nothing_can_refer_to_it_any_more():
    network = a_network()
    state = genesis_state(network)
    for epoch in range(SETS_KEPT + 2):
        state.put(set_key(epoch), ValidatorSet(()))
    choose_validators(state, SETS_KEPT - 1, 1, network)
    assert state.get(set_key(0)) is not None
    choose_validators(state, SETS_KEPT, 1, network)
    assert state.get(set_key(0)) is None
    assert state.get(set_key(1)) is not None
    assert state.find(ValidatorSet, set_key(SETS_KEPT + 1)) == ValidatorSet(bootstrap_members(network, 0))


def test_phantom_power_fades_as_real_stake_grows_and_is_gone_at_the_target():
    network = a_network(validators=2)
    powers = [[m.power for m in bootstrap_members(network, stake * NEURO)] for stake in (0, 100, 399, 400, 500)]
    assert powers == [[100 * NEURO] * 2, [75 * NEURO] * 2, [NEURO // 4] * 2, [0, 0], [0, 0]]


def test_validators_stand_in_order_of_their_keys():
    members = bootstrap_members(a_network(validators=4), 0)
    keys = [member.public_key for member in members]
    assert keys == sorted(keys) == [bls.public_key(secret) for secret in validator_secrets(4)]


def test_genesis_mints_nothing():
    chain = Chain()
    assert chain.state.supply == Supply()
    assert not any(key.startswith(b"a") for key in chain.records)
    assert genesis_parent(chain.network, chain.parent.state_root).hash == chain.network.chain_id


@pytest.mark.parametrize("pot", ["balances", "bonded", "unbonding", "vesting", "escrow", "deposits"])
def test_a_nano_too_many_in_any_pot_stops_the_program(pot):
    state = State(lambda _: None)
    state.put(SUPPLY_KEY, Supply(minted=5, burned=2, balances=3))
    check_supply(state)
    for wrong in (-1, 1):
        held = {pot: getattr(state.supply, pot) + wrong}
        if min(held.values()) < 0:
            continue
        forged = state.fork()
        forged.put(SUPPLY_KEY, replace(state.supply, **held))
        with pytest.raises(AssertionError):
            check_supply(forged)


def test_a_proposer_cannot_choose_a_receipt_or_an_amount():
    """The header's supply is recomputed: a proposer that mints one nano for itself is refused."""
    chain = a_training_chain()
    train(chain)
    block = chain.build()
    with pytest.raises(InvalidBlock, match="minted is 1, the rules give 0"):
        chain.judge(replace(block, header=replace(block.header, minted=1)))


def test_a_block_with_a_full_round_in_it_is_judged_from_its_bytes():
    chain = a_training_chain()
    train(chain, segments=2)
    commit(chain)
    reveal(chain)
    everybody_holds(chain)
    block = chain.build(rounds=[a_result_vote(chain)])
    assert Block.decode(block.encode()) == block
    chain.judge(block)
