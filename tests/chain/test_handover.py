"""The hand-over block by block: what colluding founders cannot do, and a whole life from genesis to stake alone."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from chain.block import BOOTSTRAP, HANDOVER, STAKED, Block, Body, Header, Validator
from chain.bootstrap import phase_of
from chain.crypto import bls
from chain.crypto.votes import FINALIZE, vote_message
from chain.errors import InvalidBlock
from chain.money import NEURO, Balance, BondedStake, mint, move
from chain.receipts import AutoBonded, Minted, Receipt
from chain.stakes import NO_KEY, PARTICIPATION_KEY, STAKING_KEY, Participation, stake_key, stake_of, staking
from chain.state import State, ValidatorSet, set_key
from chain.transition import Executed, Proposal, build_block, derive_header
from chain.tree import Update
from consensus.certificate import certify
from consensus.messages import Vote
from node.certificates import check_finalization, committee_of
from tests.builders import (
    FOUNDER,
    NO_BLS_SIGNATURE,
    Key,
    a_bond,
    a_commit,
    a_key,
    a_proof,
    a_registration,
    a_result_vote,
    a_reveal,
    an_availability_vote,
    an_outcome,
    secret_of,
    voting_key,
)
from tests.chain.stake_builders import EPOCH, WALLETS, StakedChain, founded, key_of

MINIMUM = 100 * NEURO
TARGET = 400 * NEURO
FAR = 2**48 - 1  # a target that is never reached
NODE = a_key("a node")


# ---- A round on a chain whose validators change


def agreed(chain: StakedChain, make: Callable[..., Any]) -> list[Any]:
    """The votes of just enough members of the round's set."""
    members, votes, power = chain.state.validators(chain.round.set_epoch).members, [], 0
    for place, member in enumerate(members):
        if 3 * power <= 2 * sum(each.power for each in members):
            votes.append(chain.sign(make(chain, place, signature=NO_BLS_SIGNATURE)))
            power += member.power
    return votes


def train_and_agree(chain: StakedChain, *nodes: Key) -> None:
    """From the training phase to the closed round."""
    for _ in range(chain.network.params.segments):
        chain.block(proofs=[a_proof(chain, node) for node in nodes])
    chain.block(rounds=[a_commit(chain, node) for node in nodes])
    chain.block(rounds=[a_reveal(chain, node) for node in nodes])
    chain.block(rounds=agreed(chain, an_availability_vote))
    chain.block(rounds=agreed(chain, a_result_vote))


# ---- k − 1 colluding founders


@pytest.fixture(scope="module")
def handover() -> StakedChain:
    """The next block ends the sunset's epoch: pay is due, active stake has grown, a fifth validator is to enter."""
    params = {"stake_target_nanos": 1_600 * NEURO, "sunset_height": 6 * EPOCH, "rate_batch_nanos": NEURO}
    chain = StakedChain(founded(4, train_blocks=100, **params))
    for wallet in WALLETS[:5]:
        chain.fund(wallet, 200 * NEURO)
    for wallet in WALLETS[:3]:
        chain.block([a_bond(chain, wallet=wallet)])
    chain.register(NODE)
    chain.live(4 * EPOCH - chain.height)
    chain.block([a_bond(chain, wallet=WALLETS[3])])
    chain.live(5 * EPOCH - 2 - chain.height)
    train_and_agree(chain, NODE)
    chain.block([a_bond(chain, wallet=WALLETS[4])])
    assert chain.height == 6 * EPOCH - 1
    return chain


def forged(chain: StakedChain, tamper: Callable[[State], list[Receipt] | None]) -> Block:
    """What colluders would make of the next block: its consequences tampered with, and a header that fits them."""
    chosen, body = chain.proposal(), Body((), (), (), chain.certificate())
    honest = build_block(chain.state, chain.parent, chosen, body, chain.network, chain.nodes.get)
    draft = honest.state
    receipts = (*honest.receipts, *(tamper(draft) or ()))
    root = Update(chain.nodes.get).apply(chain.parent.state_root, draft.changes)
    return Block(derive_header(Executed(draft, receipts, root), chain.parent, chosen, body, chain.network), body)


def mint_to_a_founder(draft: State) -> list[Receipt]:
    mint(draft, Balance(FOUNDER.address), 1)
    return [Minted(1, NODE.node, FOUNDER.address, 1)]


def mint_in_silence(draft: State) -> None:
    mint(draft, Balance(FOUNDER.address), 1)


def stake_out_of_nothing(draft: State) -> None:
    mint(draft, BondedStake(FOUNDER.address), MINIMUM)


def take_from_another(draft: State) -> None:
    move(draft, Balance(WALLETS[0].address), Balance(FOUNDER.address), 1)


def with_staking(**changes: Any) -> Callable[[State], None]:
    return lambda draft: draft.put(STAKING_KEY, replace(staking(draft), **changes))


def with_ledger(**changes: Any) -> Callable[[State], None]:
    return lambda draft: draft.update_ledger(**changes)


def with_members(change: Callable[[tuple[Validator, ...]], tuple[Validator, ...]]) -> Callable[[State], None]:
    return lambda draft: draft.put(set_key(6), ValidatorSet(change(draft.validators(6).members)))


def with_stake(**changes: Any) -> Callable[[State], None]:
    wallet = WALLETS[4].address
    return lambda draft: draft.put(stake_key(wallet), replace(stake_of(draft, wallet), **changes))


TAMPERED = {
    "a nano minted with a receipt": mint_to_a_founder,
    "a nano minted in silence": mint_in_silence,
    "stake out of nothing": stake_out_of_nothing,
    "somebody else's nano": take_from_another,
    "phantom power of the start": with_staking(phantom=MINIMUM),
    "phantom power without the sunset": with_staking(phantom=75 * NEURO),
    "a nano more of phantom power": with_staking(phantom=(500 * NEURO - 1) // 8 + 1),
    "a latch": with_staking(latched=True),
    "a longer stand at the target": with_staking(epochs_at_target=1),
    "nobody on the list of validators": with_staking(validators=()),
    "less active stake than was seen": with_ledger(active_maximum=0),
    "more active stake than was seen": with_ledger(active_maximum=TARGET + 1),
    "another beacon": with_ledger(mix=bytes(32)),
    "a lower base fee": with_ledger(base_fee=0),
    "pay settled for another round": with_ledger(settled_round=0),
    "another model": with_ledger(model=an_outcome("forged")),
    "founders with the power of the start": with_members(lambda m: (replace(m[0], power=MINIMUM), *m[1:])),
    "one member less": with_members(lambda members: members[1:]),
    "one member more": with_members(lambda members: (*members, Validator(b"\xff" * 48, 1))),
    "the newcomer kept out": with_stake(power=0),
    "the newcomer in jail": with_stake(jailed_until=99),
    "the newcomer's key another one": with_stake(public_key=key_of("forged")),
    "an account of signers that goes on": lambda draft: draft.put(PARTICIPATION_KEY, Participation(1, (1,) * 8)),
}


def test_the_block_that_the_forgeries_start_from_is_valid(handover):
    block = forged(handover, lambda draft: None)
    applied = handover.judge(block)
    assert applied.state.supply.minted > handover.state.supply.minted
    phantom = staking(applied.state).phantom
    assert phantom == (500 * NEURO - 1) // 2 // 4 < 75 * NEURO < handover.phantom
    assert block.header.phase == HANDOVER


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_a_block_with_other_consequences_than_the_rules_give_is_refused(handover, tamper):
    block = forged(handover, tamper)
    with pytest.raises(InvalidBlock, match="the rules give"):
        handover.judge(block)


CHOSEN = {field.name for field in fields(Proposal)}
DERIVED = [field.name for field in fields(Header) if field.name not in CHOSEN]


@pytest.mark.parametrize("name", DERIVED)
def test_no_derived_field_of_a_header_can_be_chosen(handover, name):
    block = forged(handover, lambda draft: None)
    value = getattr(block.header, name)
    other = bytes([value[0] ^ 1]) + value[1:] if isinstance(value, bytes) else value + 1
    with pytest.raises(InvalidBlock, match=f"{name} is"):
        handover.judge(replace(block, header=replace(block.header, **{name: other})))


OTHER_RULES = {
    "a later sunset": {"sunset_height": 10**6},
    "a higher target": {"stake_target_nanos": FAR, "sunset_height": 10**6},
    "a lower target": {"stake_target_nanos": TARGET, "target_epochs": 1},
    "more pay": {"rate_batch_nanos": 2 * NEURO},
    "jail for all who missed one": {"downtime_basis_points": 10_000},
    "a higher minimum": {"stake_minimum_nanos": 101 * NEURO},
}


@pytest.mark.parametrize("params", OTHER_RULES.values(), ids=OTHER_RULES)
def test_a_block_made_by_other_parameters_is_refused_even_under_this_networks_name(handover, params):
    """The parameters are in the chain id; whoever computes by others and keeps the id gets other consequences."""
    numbers = {parameter.name[6:].decode(): parameter.value for parameter in handover.network.parameters}
    theirs = founded(4, **(numbers | params))
    chosen = handover.proposal()
    signers = [place for place, member in enumerate(handover.members) if member.public_key != voting_key(WALLETS[0])]
    body = Body((), (), (), handover.certificate(signers))
    applied = build_block(handover.state, handover.parent, chosen, body, theirs, handover.nodes.get)
    with pytest.raises(InvalidBlock, match="chain_id is"):
        handover.judge(applied.block)
    names = {"chain_id": handover.network.chain_id, "params_hash": handover.network.params_hash}
    with pytest.raises(InvalidBlock, match="the rules give"):
        handover.judge(replace(applied.block, header=replace(applied.block.header, **names)))


@pytest.mark.parametrize("founders", [4, 5, 6, 7])
def test_all_founders_but_one_can_finalize_a_forged_block_and_still_nobody_applies_it(founders):
    chain = StakedChain(founded(founders))
    chain.live(2)
    block = forged(chain, mint_in_silence)
    header, votes = block.header, {}
    for place in range(1, founders):
        message = vote_message(chain.network.chain_id, FINALIZE, 0, header.view, header.hash())
        signature = bls.sign(secret_of(chain.members[place].public_key), message)
        votes[place] = Vote(FINALIZE, 0, header.view, header.hash(), place, signature)
    check_finalization(header, certify(votes, founders).encode(), committee_of(chain.state, 0), chain.network.chain_id)
    with pytest.raises(InvalidBlock, match="the rules give"):
        chain.judge(block)


# ---- A whole life


@pytest.fixture(scope="module")
def life() -> StakedChain:
    """From the genesis to the staked phase, on rewards alone: five wallets with a node and declared intent each."""
    rates = {"rate_batch_nanos": 8 * NEURO, "base_work_batches": 1_000, "vest_rounds": 1}
    chain = StakedChain(founded(3, train_blocks=12, block_gas_maximum=200_000, registrations_per_block=5, **rates))
    nodes = [a_key(f"node of {i}") for i in range(5)]
    owners = list(zip(nodes, WALLETS, strict=False))
    chain.block([a_registration(chain, wallet=wallet, node=node, intent=True) for node, wallet in owners])
    chain.block()
    while phase_of(chain.state) != STAKED:
        assert chain.height < 40 * EPOCH
        train_and_agree(chain, *nodes)
        chain.block([a_bond(chain, 0, wallet) for wallet in WALLETS[:5] if is_ready(chain, wallet)][:2])
    chain.live(2 * EPOCH)
    return chain


def is_ready(chain: StakedChain, wallet: Key) -> bool:
    """Whether auto-bond has collected the minimum for a wallet that has yet to name its key."""
    stake = chain.stake(wallet)
    return stake.bonded >= MINIMUM and stake.public_key == NO_KEY


def test_a_life_begins_with_nothing_and_ends_with_stake_alone(life):
    assert life.blocks[0].block.header.minted == 0
    founders = {validator.public_key for validator in life.network.validators}
    assert len(life.members) == 5
    assert founders.isdisjoint(member.public_key for member in life.members)
    assert [life.power(wallet) for wallet in WALLETS[:5]] == [MINIMUM] * 5


def test_its_phases_follow_each_other_and_each_lasts_a_while(life):
    phases = [applied.block.header.phase for applied in life.blocks]
    assert phases == sorted(phases)
    assert all(phases.count(phase) >= EPOCH for phase in (BOOTSTRAP, HANDOVER, STAKED))


def test_its_phantom_power_only_falls_and_ends_at_zero(life):
    phantom = [moment.phantom for moment in life.moments]
    assert phantom == sorted(phantom, reverse=True)
    assert (phantom[0], phantom[-1]) == (MINIMUM, 0)
    assert len(set(phantom)) > 3


def test_every_nano_of_its_stake_was_earned(life):
    receipts = [receipt for applied in life.blocks for receipt in applied.receipts]
    bonded = sum(receipt.amount for receipt in receipts if isinstance(receipt, AutoBonded))
    assert bonded == life.state.supply.bonded == 5 * MINIMUM
    assert sum(receipt.amount for receipt in receipts if isinstance(receipt, Minted)) == life.state.supply.minted


def test_its_headers_state_a_supply_that_is_owned(life):
    """What the records hold was added up after each block."""
    for applied, moment in zip(life.blocks, life.moments, strict=True):
        header = applied.block.header
        assert header.minted - header.burned == moment.owned


def test_in_each_of_its_epochs_voting_power_is_stake_and_phantom_power_and_nothing_else(life):
    ends = life.moments[EPOCH - 1 :: EPOCH]
    assert len(ends) > 10
    for moment in ends:
        assert moment.next_power == moment.stake_power + 3 * moment.phantom
