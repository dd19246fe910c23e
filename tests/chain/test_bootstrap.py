"""A network starts without a single nano: phantom power carries it until real stake does, and then it is gone."""

import ast
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import BOOTSTRAP, HANDOVER, STAKED, Block, Body, Header, Validator
from chain.bootstrap import INDEPENDENT, cap_at_sunset, phase_of
from chain.crypto import bls
from chain.crypto.votes import FINALIZE, vote_message
from chain.errors import InvalidBlock, InvalidTransaction
from chain.genesis import genesis_state, phantom_power
from chain.money import NEURO, Balance, BondedStake, mint, move
from chain.receipts import AutoBonded, Minted, Receipt
from chain.stakes import NO_KEY, PARTICIPATION_KEY, STAKING_KEY, Participation, stake_key, stake_of, staking
from chain.staking import unbond, withdraw
from chain.state import State, ValidatorSet, set_key
from chain.transition import Executed, Proposal, build_block, derive_header
from chain.tree import Update
from consensus.certificate import certify
from consensus.committee import is_quorum
from consensus.messages import Vote
from node.certificates import check_finalization, committee_of
from tests.builders import (
    FOUNDER,
    NO_BLS_SIGNATURE,
    Key,
    a_commit,
    a_key,
    a_proof,
    a_registration,
    a_result_vote,
    a_reveal,
    an_availability_vote,
    an_outcome,
)
from tests.chain.stake_builders import (
    EPOCH,
    SECRETS,
    WALLETS,
    Sets,
    StakedChain,
    a_bond,
    founded,
    key_of,
    sets,
    voting_key,
)

MINIMUM = 100 * NEURO
TARGET = 400 * NEURO
FAR = 2**48 - 1  # a target that is never reached
ROOT = Path(__file__).parents[2]
NODE = a_key("a node")


def seated(count: int, founders: int = 1, nanos: int = MINIMUM, **params: int) -> Sets:
    """A running set with so many members with stake beside the founders."""
    chosen = sets(founders, **params)
    chosen.seat(*(f"v{i}" for i in range(count)), nanos=nanos)
    return chosen


# ---- At the start


@pytest.mark.parametrize("founders", [1, 4, 7])
def test_genesis_mints_nothing_and_gives_each_founder_the_power_of_a_minimum_stake(founders):
    state = genesis_state(founded(founders))
    assert state.supply.minted == state.supply.burned == state.supply.owned == 0
    assert [member.power for member in state.validators(0).members] == [MINIMUM] * founders
    assert not any(key[:1] in b"abuv" for key in state.changes)


def test_the_header_says_bootstrap_and_minted_nothing_until_work_is_paid():
    chain = StakedChain(founded(1))
    chain.live(2 * EPOCH)
    assert {(b.block.header.minted, b.block.header.phase) for b in chain.blocks} == {(0, BOOTSTRAP)}


# ---- Fading with active stake


@pytest.mark.parametrize(
    ("active", "phantom"),
    [
        (0, MINIMUM),
        (1, MINIMUM - 1),
        (NEURO, MINIMUM - NEURO // 4),
        (TARGET // 2, MINIMUM // 2),
        (TARGET - 4, 1),
        (TARGET - 1, 0),
        (TARGET, 0),
        (TARGET + 1, 0),
    ],
)
def test_phantom_power_is_the_missing_share_of_the_target_rounded_down(active, phantom):
    assert phantom_power(founded(1).params, active) == phantom


@pytest.mark.parametrize(("members", "phantom"), [(0, 100), (1, 75), (2, 50), (3, 25), (4, 0), (5, 0)])
def test_it_fades_with_every_active_minimum_stake(members, phantom):
    chosen = seated(members, founders=3)
    chosen.end_epoch()
    assert chosen.phantom == phantom * NEURO
    assert [chosen.power_of(chosen.founder(i)) for i in range(3)] == [phantom * NEURO] * 3


@pytest.mark.parametrize("nanos", [MINIMUM, MINIMUM + 1, 1_000 * NEURO])
def test_of_each_validator_at_most_the_minimum_stake_counts(nanos):
    chosen = seated(2, nanos=nanos)
    chosen.end_epoch()
    assert chosen.state.ledger.active_maximum == 2 * MINIMUM


def test_power_that_has_entered_in_part_counts_in_part():
    chosen = seated(4, stake_target_nanos=FAR)
    chosen.bond("first", at=1)
    chosen.bond("second", at=2)
    chosen.end_epoch()
    assert chosen.powers("first", "second") == [100, 25]  # a quarter of 500 may enter
    chosen.end_epoch()
    assert chosen.state.ledger.active_maximum == 5 * MINIMUM + chosen.power("second")


@pytest.mark.parametrize(("signed", "active"), [(9, True), (8, False), (10, True), (0, False)])
def test_active_is_who_signed_nine_tenths_of_the_counted_certificates(signed, active):
    chosen = seated(1)
    chosen.end_epoch(signed={"v0": signed})
    assert chosen.state.ledger.active_maximum == (MINIMUM if active else 0)


def test_nobody_is_active_when_nothing_was_counted():
    """Sleeping stake must not take the power of those who carry the chain."""
    chosen = seated(4)
    chosen.end_epoch(counted=0)
    assert (chosen.state.ledger.active_maximum, chosen.phantom) == (0, MINIMUM)


def test_a_founders_own_stake_counts_once_it_signs_and_its_phantom_power_does_not():
    chosen = sets(2)
    chosen.bond("a", key=chosen.founder(0))
    chosen.end_epoch()
    assert chosen.state.ledger.active_maximum == 0
    chosen.end_epoch(signed={"founder 1": 0})
    assert chosen.state.ledger.active_maximum == MINIMUM


def test_banned_stake_is_not_active_stake():
    chosen = seated(2)
    chosen.ban("v0")
    chosen.end_epoch()
    assert chosen.state.ledger.active_maximum == MINIMUM


def test_bonded_stake_outside_the_set_is_not_active_stake():
    chosen = sets()
    for i in range(4):
        chosen.bond(f"v{i}")
    chosen.end_epoch()
    assert chosen.state.ledger.active_maximum == 0


def test_fading_is_not_held_up_by_the_churn_limit():
    chosen = seated(4, founders=7)
    assert chosen.total == 1_100 * NEURO
    chosen.end_epoch()
    assert chosen.total == 400 * NEURO


# ---- It never comes back


def test_the_highest_active_stake_ever_counts_so_absence_brings_nothing_back():
    chosen = seated(2)
    chosen.end_epoch()
    for absent in (["v0"], ["v0", "v1"], []):
        chosen.end_epoch(signed=dict.fromkeys(absent, 5))
        assert (chosen.state.ledger.active_maximum, chosen.phantom) == (2 * MINIMUM, MINIMUM // 2)


def test_draining_the_stake_after_the_hand_over_does_not_arm_phantom_power_again():
    chosen = seated(6, founders=7)
    chosen.end_epoch()
    for i in range(6):
        chosen.unbond(f"v{i}")
    for _ in range(20):
        chosen.end_epoch(absent=["v5"])
        assert chosen.phantom == 0
    assert len(chosen.members) == 4


def test_draining_before_the_hand_over_leaves_it_where_it_was():
    chosen = seated(3, founders=4)
    chosen.end_epoch()
    for i in range(3):
        chosen.unbond(f"v{i}")
    chosen.end_epochs(10)
    assert [member.power for member in chosen.members] == [25 * NEURO] * 4


def test_phantom_power_is_latched_after_the_target_has_been_held_for_the_target_epochs():
    chosen = seated(4, target_epochs=3)
    states = []
    for _ in range(5):
        chosen.end_epoch()
        states.append((chosen.staking.epochs_at_target, chosen.staking.latched))
    assert states == [(1, False), (2, False), (3, True), (4, True), (5, True)]


def test_below_the_target_no_epoch_counts_towards_the_latch():
    chosen = seated(3, target_epochs=1)
    chosen.end_epochs(3)
    assert (chosen.staking.epochs_at_target, chosen.staking.latched) == (0, False)


def test_the_latch_stays_whatever_follows():
    chosen = seated(4, target_epochs=1)
    chosen.end_epoch()
    for i in range(4):
        chosen.ban(f"v{i}")
    chosen.end_epochs(3)
    assert chosen.staking.latched and chosen.phantom == 0


# ---- Sunset


def at_sunset(real: int, founders: int = 7, nanos: int = MINIMUM, **params: int) -> Sets:
    """The running epoch is the last before the sunset; stake never counts as active, so nothing fades."""
    late = {"sunset_height": EPOCH, "active_basis_points": 10_000, "downtime_basis_points": 0}
    return seated(real, founders, nanos, **(late | params))


def idle(chosen: Sets) -> None:
    chosen.end_epoch(counted=0)


def total_phantom(chosen: Sets) -> int:
    return sum(chosen.power_of(chosen.founder(i)) for i in range(len(chosen.network.validators)))


@pytest.mark.parametrize(("sunset", "capped"), [(EPOCH, True), (EPOCH + 1, False)])
def test_the_sunset_holds_from_the_first_set_that_is_chosen_at_its_height_or_above(sunset, capped):
    chosen = at_sunset(4, sunset_height=sunset)
    idle(chosen)
    assert (total_phantom(chosen) < 700 * NEURO) is capped
    idle(chosen)
    assert total_phantom(chosen) == (400 * NEURO - 1) // 2 // 7 * 7


@pytest.mark.parametrize(("real", "capped"), [(INDEPENDENT - 1, False), (INDEPENDENT, True)])
def test_the_sunset_waits_for_four_validators_with_stake(real, capped):
    """Fewer could not carry the chain, and taking power from those who do would halt it."""
    chosen = at_sunset(real)
    idle(chosen)
    assert (total_phantom(chosen) < 700 * NEURO) is capped


def test_a_chain_without_stake_outlives_its_sunset():
    chosen = at_sunset(0, founders=3)
    for _ in range(5):
        idle(chosen)
    assert total_phantom(chosen) == 300 * NEURO
    assert phase_of(chosen.state) == BOOTSTRAP


@pytest.mark.parametrize("founders", [1, 2, 3, 4, 5, 6, 7])
def test_at_the_sunset_phantom_power_can_neither_finalize_nor_block_alone(founders):
    chosen = at_sunset(4, founders)
    idle(chosen)
    phantom, real = total_phantom(chosen), chosen.total - total_phantom(chosen)
    assert 0 < phantom <= (real - 1) // 2
    assert not 3 * phantom > 2 * chosen.total
    assert not 3 * phantom >= chosen.total
    founding = {chosen.founder(i) for i in range(founders)}
    committee = committee_of(chosen.state, chosen.epoch)
    places = range(len(committee.members))
    own = [place for place in places if committee.members[place].public_key in founding]
    others = [place for place in places if place not in own]
    assert not is_quorum(committee, own)
    assert is_quorum(committee, others)


@given(
    real=st.lists(st.integers(1, 2**60), min_size=INDEPENDENT, max_size=9), founders=st.integers(1, 7), data=st.data()
)
@settings(max_examples=60, deadline=None, database=None)
def test_whatever_the_stakes_the_cap_leaves_less_than_a_third_and_never_raises(real, founders, data):
    network = founded(founders, sunset_height=1)
    state = genesis_state(network)
    before = data.draw(st.integers(0, 2**61))
    state.put(STAKING_KEY, replace(staking(state), phantom=before))
    power = cap_at_sunset(state, real, 1, network)
    assert power == staking(state).phantom <= before
    total = sum(real) + founders * power
    assert 2 * founders * power <= max(0, sum(real) - 1)
    assert 3 * founders * power < total
    # No more is taken than that needs: a nano more for each key would be too much, or more than there was.
    assert power == before or 2 * founders * (power + 1) > sum(real) - 1


@pytest.mark.parametrize(("real", "cap"), [([1, 0, 1, 0], 0), ([1] * 3, 0), ([1, 1, 1, 2], 2), ([1, 1, 1, 1], 1)])
def test_the_cap_at_its_smallest(real, cap):
    network = founded(1, sunset_height=1)
    state = genesis_state(network)
    powers = [power for power in real if power]
    found = cap_at_sunset(state, powers, 1, network)
    assert found == (cap if len(powers) >= INDEPENDENT else MINIMUM)


def test_the_sunset_counts_the_stake_of_the_set_that_is_being_chosen():
    """What enters, leaves, or goes to jail in the same block is in it."""
    entering = at_sunset(3, founders=7)
    entering.bond("new")
    idle(entering)
    assert total_phantom(entering) == (400 * NEURO - 1) // 2 // 7 * 7
    leaving = at_sunset(4, founders=7)
    leaving.unbond("v0")
    idle(leaving)
    assert total_phantom(leaving) == 700 * NEURO
    jailed = at_sunset(5, founders=7, downtime_basis_points=5_000, stake_target_nanos=FAR)
    jailed.end_epoch(signed={f"v{i}": 4 if i == 0 else 5 for i in range(5)})
    assert total_phantom(jailed) == (400 * NEURO - 1) // 2 // 7 * 7


def test_the_sunset_needs_nobodys_signature():
    """Founders who leave out the signatures of others hold up the fading, but not the sunset."""
    chosen = seated(4, founders=7, sunset_height=3 * EPOCH)
    for _ in range(2):
        chosen.end_epoch(signed={f"v{i}": 6 for i in range(4)})
        assert total_phantom(chosen) == 700 * NEURO
    chosen.end_epoch(signed={f"v{i}": 6 for i in range(4)})
    assert 3 * total_phantom(chosen) < chosen.total


def test_stake_that_leaves_after_the_sunset_gives_nothing_back():
    chosen = at_sunset(4)
    idle(chosen)
    capped = total_phantom(chosen)
    for i in range(4):
        chosen.unbond(f"v{i}")
    for _ in range(8):
        idle(chosen)
    assert total_phantom(chosen) == chosen.total == capped


# ---- Phases


def test_the_phases_are_bootstrap_handover_staked():
    chosen = sets(target_epochs=2)
    seen = [phase_of(chosen.state)]
    for i in range(4):
        chosen.bond(f"v{i}")
    for _ in range(9):
        chosen.end_epoch()
        seen.append(phase_of(chosen.state))
    assert seen == sorted(seen)
    assert set(seen) == {BOOTSTRAP, HANDOVER, STAKED}
    # Bonds alone, and stake that sleeps, hand nothing over.
    assert seen[:2] == [BOOTSTRAP, BOOTSTRAP]


# ---- Phantom power is voting power and nothing else


def test_phantom_power_can_be_neither_unbonded_nor_withdrawn_nor_sent():
    chain = StakedChain(founded(2))
    founder = chain.network.validators[0].payout
    assert founder == FOUNDER.address
    with pytest.raises(InvalidTransaction, match="of 0 that stay bonded"):
        unbond(chain.state.fork(), 1, founder, 1, chain.network.params)
    with pytest.raises(InvalidTransaction, match="no stake can be withdrawn"):
        withdraw(chain.state.fork(), founder, 10**6)
    assert chain.state.account(founder).balance == 0


def test_bonding_under_a_founders_key_moves_only_what_the_wallet_has():
    chain = StakedChain(founded(2))
    chain.fund(WALLETS[0], 150 * NEURO)
    key = chain.network.validators[0].public_key
    chain.block([a_bond(chain, WALLETS[0], secret=SECRETS[key])])
    chain.live_out_epoch()
    assert next(member.power for member in chain.members if member.public_key == key) == 2 * MINIMUM
    assert chain.stake(WALLETS[0]).bonded == chain.state.supply.bonded == MINIMUM


def test_only_the_choice_of_sets_reads_phantom_power():
    """Voting power of stake is the stake. No other module may ask for phantom power, least of all one of money."""
    readers = set()
    for path in sorted((ROOT / "chain").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [getattr(node, field, None) for field in ("attr", "id", "arg")]
            if any(isinstance(name, str) and "phantom" in name for name in names):
                readers.add(path.stem)
    assert readers == {"bootstrap", "genesis", "validators", "stakes"}


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
        chain.block([a_bond(chain, wallet)])
    chain.register(NODE)
    chain.live(4 * EPOCH - chain.height)
    chain.block([a_bond(chain, WALLETS[3])])
    chain.live(5 * EPOCH - 2 - chain.height)
    train_and_agree(chain, NODE)
    chain.block([a_bond(chain, WALLETS[4])])
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
        signature = bls.sign(SECRETS[chain.members[place].public_key], message)
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
        chain.block([a_bond(chain, wallet, 0) for wallet in WALLETS[:5] if is_ready(chain, wallet)][:2])
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
