"""A network starts without a single nano: phantom power carries it until real stake does, and then it is gone."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import BOOTSTRAP, HANDOVER, STAKED
from chain.bootstrap import INDEPENDENT, cap_at_sunset, phase_of
from chain.errors import InvalidTransaction
from chain.genesis import genesis_state, phantom_power
from chain.money import NEURO
from chain.stakes import STAKING_KEY, staking
from chain.staking import unbond, withdraw
from consensus.committee import is_quorum
from node.certificates import committee_of
from tests.builders import FOUNDER, secret_of
from tests.chain.stake_builders import EPOCH, WALLETS, Sets, StakedChain, a_bond_under, founded, sets

MINIMUM = 100 * NEURO
TARGET = 400 * NEURO
FAR = 2**48 - 1  # a target that is never reached
ROOT = Path(__file__).parents[2]


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
    assert chosen.state.ledger.active_maximum == 525 * NEURO


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


def test_the_latch_would_outlive_even_another_target():
    chosen = seated(4, target_epochs=1)
    chosen.end_epoch()
    chosen.network = founded(1, stake_target_nanos=FAR)
    chosen.end_epoch()
    assert (chosen.staking.epochs_at_target, chosen.staking.latched, chosen.phantom) == (0, True, 0)


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
    chain.block([a_bond_under(chain, secret_of(key), WALLETS[0])])
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
