"""Who validates next: churn, order of asking, jail, bans, and a set that consensus can always work with.

A set is chosen at the end of each epoch. Here epochs follow each other without blocks; what blocks add is at the end.
"""

from dataclasses import replace

import pytest

from chain.block import VALIDATORS_MAXIMUM, Validator
from chain.crypto.votes import FINALIZE, NULLIFY
from chain.errors import DecodeError, InvalidBlock
from chain.money import NEURO, BondedStake, UnbondingStake, holdings, mint
from chain.receipts import Jailed, StakeLeft
from chain.stakes import PARTICIPATION_KEY, STAKING_KEY, Participation, Stake, ValidatorKey, stake_key, validator_key
from chain.validators import FEWEST, proposer_payout
from consensus.committee import is_quorum
from node.certificates import committee_of
from tests.builders import FOUNDER, a_bond, a_certificate, a_report, secret_of
from tests.chain.stake_builders import (
    EPOCH,
    WALLETS,
    Sets,
    StakedChain,
    founded,
    key_of,
    sets,
    wallet_of,
)

MINIMUM = 100 * NEURO
FOUNDER_KEY = founded(1).validators[0].public_key


def still(founders: int = 1, **params: int) -> Sets:
    """No jail, and a target out of reach: the churn limit can be looked at alone."""
    return sets(founders, **({"stake_target_nanos": 2**48 - 1, "downtime_basis_points": 0} | params))


def quietly(chosen: Sets, epochs: int = 1) -> None:
    """Epochs of which no certificate was counted: nobody is active, nobody absent."""
    for _ in range(epochs):
        chosen.end_epoch(counted=0)


# ---- Churn: into the set


def test_a_lone_bootstrap_validator_admits_the_first_stake_whole():
    """A quarter of its power is less than the minimum: without the other limit nobody could ever enter."""
    chosen = still()
    chosen.bond("a")
    quietly(chosen)
    assert chosen.powers("a") == [100]
    assert [member.power for member in chosen.members] == [MINIMUM, MINIMUM]


@pytest.mark.parametrize(("bonded", "entered"), [(MINIMUM, MINIMUM), (MINIMUM + 1, MINIMUM), (5 * MINIMUM, MINIMUM)])
def test_no_more_than_the_minimum_stake_enters_while_a_quarter_of_the_power_is_less(bonded, entered):
    chosen = still()
    chosen.bond("a", bonded)
    quietly(chosen)
    assert chosen.power("a") == entered
    assert chosen.stake("a").bonded == bonded


@pytest.mark.parametrize(
    ("total", "limit"),
    [(399, 100 * NEURO), (400, 100 * NEURO), (404, 101 * NEURO), (405, 101 * NEURO + NEURO // 4)],
)
def test_the_churn_limit_is_a_quarter_of_the_power_once_that_is_more_than_the_minimum(total, limit):
    chosen = still()
    chosen.seat("member", nanos=(total - 100) * NEURO)
    chosen.bond("a", 1_000 * NEURO)
    quietly(chosen)
    assert chosen.power("a") == limit


def test_what_did_not_enter_goes_on_entering_in_the_epochs_that_follow():
    chosen = still()
    chosen.bond("a", 250 * NEURO)
    found = []
    for _ in range(4):
        quietly(chosen)
        found += chosen.powers("a")
    assert found == [100, 200, 250, 250]


def test_stake_enters_in_order_of_asking():
    chosen = still()
    chosen.bond("late", at=3)
    chosen.bond("early", at=2)
    chosen.bond("first", at=1)
    seen = []
    for _ in range(3):
        quietly(chosen)
        seen.append(chosen.powers("first", "early", "late"))
    assert seen == [[100, 0, 0], [100, 100, 0], [100, 100, 100]]


def test_who_asked_in_the_same_block_enters_in_order_of_address():
    chosen = still()
    names = ["a", "b", "c"]
    for name in names:
        chosen.bond(name, at=5)
    quietly(chosen)
    lowest = min(names, key=wallet_of)
    assert {name for name in names if chosen.power(name)} == {lowest}


def test_what_is_left_of_the_limit_goes_to_the_next_in_the_queue():
    chosen = still()
    chosen.seat("member", nanos=500 * NEURO)
    chosen.bond("first", 100 * NEURO, at=1)
    chosen.bond("second", 100 * NEURO, at=2)
    quietly(chosen)
    assert chosen.powers("first", "second") == [100, 50]


@pytest.mark.parametrize(("bonded", "enters"), [(MINIMUM - 1, False), (MINIMUM, True)])
def test_stake_below_the_minimum_stays_outside(bonded, enters):
    chosen = still()
    chosen.bond("a", bonded)
    quietly(chosen)
    assert bool(chosen.power("a")) is enters


def test_stake_that_names_no_key_stays_outside():
    """Auto-bond collects it; the first Bond names the key."""
    chosen = still()
    chosen.earn("a", 150 * NEURO)
    assert chosen.stake("a").bonded == MINIMUM
    quietly(chosen)
    assert len(chosen.members) == 1
    chosen.bond("a", 0)
    quietly(chosen)
    assert chosen.powers("a") == [100]


# ---- Churn: out of the set


def crowd(count: int, nanos: int = MINIMUM, **params: int) -> Sets:
    """So many members with stake, and no phantom power beside them."""
    chosen = still(**params)
    chosen.ban_founder(0)
    chosen.seat(*(f"v{i}" for i in range(count)), nanos=nanos)
    quietly(chosen)
    assert len(chosen.members) == count
    return chosen


def test_the_fifth_validator_may_leave_and_the_fourth_waits():
    chosen = crowd(FEWEST + 1)
    chosen.unbond("v0", at=9)
    chosen.unbond("v1", at=10)
    quietly(chosen)
    assert chosen.powers("v0", "v1") == [0, 100]
    quietly(chosen, 5)
    assert chosen.powers("v1") == [100]


def test_who_waits_keeps_all_its_power_and_answers_for_it():
    """A limit smaller than its stake must not let it out in slices, until four validators of a nano each are left."""
    chosen = crowd(FEWEST, nanos=300 * NEURO)
    for i in range(FEWEST):
        chosen.unbond(f"v{i}")
    quietly(chosen, 6)
    assert chosen.powers("v0", "v1", "v2", "v3") == [300] * 4
    assert chosen.state.supply.unbonding == 0


def test_as_many_leave_together_as_leave_four_behind():
    """Two that go in slices are not counted as if they stayed."""
    chosen = crowd(FEWEST + 1, nanos=300 * NEURO)
    chosen.unbond("v0", at=9)
    chosen.unbond("v1", at=10)
    seen = []
    for _ in range(3):
        quietly(chosen)
        seen.append(chosen.powers("v0", "v1"))
    assert seen[0] == [0, 300]
    assert seen[-1] == [0, 300]


def test_who_waits_may_leave_an_epoch_after_another_has_come():
    chosen = crowd(FEWEST)
    chosen.unbond("v0")
    chosen.bond("new")
    quietly(chosen)
    assert chosen.powers("v0", "new") == [100, 100]
    quietly(chosen)
    assert chosen.powers("v0", "new") == [0, 100]
    assert len(chosen.members) == FEWEST


def test_bootstrap_validators_count_among_the_four_while_they_have_power():
    chosen = still(founders=FEWEST)
    chosen.seat("a")
    chosen.unbond("a")
    quietly(chosen)
    assert chosen.power("a") == 0
    fewer = still(founders=FEWEST - 1)
    fewer.seat("a")
    fewer.unbond("a")
    quietly(fewer)
    assert fewer.power("a") == MINIMUM


def test_one_of_the_last_four_may_leave_in_part():
    chosen = crowd(FEWEST, nanos=300 * NEURO)
    chosen.unbond("v0", 200 * NEURO)
    quietly(chosen)
    assert chosen.powers("v0") == [100]


def test_a_rest_below_the_minimum_is_no_validator():
    """Otherwise a nano that stays would make an exit a partial one and end with a nano's power."""
    chosen = crowd(FEWEST)
    chosen.unbond("v0")
    chosen.keep("v0", 1)
    quietly(chosen, 2)
    assert chosen.powers("v0") == [100]
    bigger = crowd(FEWEST + 1)
    bigger.unbond("v0")
    bigger.keep("v0", 1)
    quietly(bigger, 2)
    assert bigger.power("v0") == 0
    assert bigger.stake("v0").staying == 1


def test_stake_leaves_in_order_of_asking_within_the_limit():
    chosen = crowd(8)
    chosen.unbond("v5", at=30)
    chosen.unbond("v6", at=10)
    chosen.unbond("v7", at=20)
    seen = []
    for _ in range(3):
        quietly(chosen)
        seen.append(chosen.powers("v6", "v7", "v5"))
    # 200 of 800, then 150 of 600 may leave.
    assert seen == [[0, 0, 100], [0, 0, 0], [0, 0, 0]]


def test_leaving_and_entering_share_one_limit_and_leaving_comes_first():
    chosen = crowd(6)
    chosen.unbond("v0")
    chosen.bond("new", 200 * NEURO)
    quietly(chosen)
    # 150 of 600 may change.
    assert chosen.powers("v0", "new") == [0, 50]


def test_stake_that_left_is_ready_an_unbonding_time_after_the_epoch_that_begins():
    chosen = crowd(FEWEST + 1)
    chosen.unbond("v0")
    left = chosen.epoch
    receipts = chosen.end_epoch()
    ready = left + 1 + chosen.network.params.unbonding_epochs
    assert StakeLeft(wallet_of("v0"), MINIMUM, ready) in receipts
    assert holdings(chosen.state, UnbondingStake(wallet_of("v0"), ready)) == MINIMUM
    assert chosen.stake("v0").exits == (ready,)


def test_a_wallet_without_stake_is_forgotten_and_its_key_is_free():
    chosen = crowd(FEWEST + 1)
    chosen.unbond("v0")
    quietly(chosen, 1 + chosen.network.params.unbonding_epochs)
    assert wallet_of("v0") in chosen.staking.validators
    chosen.withdraw("v0")
    assert wallet_of("v0") not in chosen.staking.validators
    assert chosen.state.get(validator_key(key_of("v0"))) is None
    assert chosen.state.account(wallet_of("v0")).balance == MINIMUM


def test_stake_beyond_64_exits_waits_in_the_bond():
    chosen = crowd(FEWEST + 1, unbonding_epochs=100)
    chosen.bond("v0", 70 * NEURO)
    quietly(chosen)
    for _ in range(66):
        chosen.unbond("v0", NEURO)
        quietly(chosen)
    stake = chosen.stake("v0")
    assert len(stake.exits) == 64
    assert (stake.bonded, stake.power, stake.leaving) == (106 * NEURO, 104 * NEURO, 2 * NEURO)


# ---- Jail


@pytest.mark.parametrize(("signed", "jailed"), [(4, True), (5, False), (10, False)])
def test_who_signed_less_than_half_goes_to_jail(signed, jailed):
    chosen = sets(FEWEST, stake_target_nanos=2**48 - 1)
    chosen.seat("a", nanos=MINIMUM)
    receipts = chosen.end_epoch(signed={"a": signed})
    until = 1 + chosen.network.params.jail_epochs
    assert (Jailed(wallet_of("a"), until) in receipts) is jailed
    assert (chosen.power("a") == 0) is jailed
    assert chosen.stake("a").bonded == MINIMUM


def test_nobody_goes_to_jail_when_nothing_was_counted():
    chosen = sets(FEWEST)
    chosen.seat("a")
    assert chosen.end_epoch(absent=["a"], counted=0) == []


def test_who_is_in_jail_enters_only_after_unjail_and_then_at_the_end_of_the_queue():
    chosen = sets(FEWEST, stake_target_nanos=2**48 - 1)
    chosen.seat("a")
    chosen.end_epoch(absent=["a"])
    quietly(chosen, chosen.network.params.jail_epochs)
    assert chosen.power("a") == 0
    chosen.bond("new", at=chosen.epoch * EPOCH + 1)
    chosen.unjail("a", at=chosen.epoch * EPOCH + 2)
    quietly(chosen)
    assert chosen.powers("new", "a") == [100, 0]
    quietly(chosen)
    assert chosen.powers("new", "a") == [100, 100]


def jailers(*nanos: int) -> Sets:
    """Members v0, v1, … with so much stake, beside one founder without power; downtime is punished."""
    chosen = sets(stake_target_nanos=2**48 - 1)
    chosen.ban_founder(0)
    for i, amount in enumerate(nanos):
        chosen.seat(f"v{i}", nanos=amount)
    quietly(chosen)
    return chosen


@pytest.mark.parametrize(("heaviest", "jailed"), [(200, True), (201, False)])
def test_jail_takes_at_most_a_quarter_of_the_power(heaviest, jailed):
    rest = (800 - heaviest) * NEURO
    chosen = jailers(heaviest * NEURO, MINIMUM, MINIMUM, MINIMUM, rest - 3 * MINIMUM)
    assert chosen.total == 800 * NEURO
    chosen.end_epoch(absent=["v0"])
    assert (chosen.power("v0") == 0) is jailed


def test_several_are_jailed_in_order_of_their_keys_up_to_a_quarter_of_the_power():
    chosen = jailers(*[MINIMUM] * 11)
    absent = [f"v{i}" for i in range(4)]
    chosen.end_epoch(absent=absent)
    first_two = sorted(absent, key=key_of)[:2]
    assert [name for name in sorted(absent, key=key_of) if not chosen.power(name)] == first_two
    chosen.end_epoch(absent=absent)
    assert sum(not chosen.power(name) for name in absent) == 4


def test_the_last_four_are_never_jailed():
    chosen = jailers(*[MINIMUM] * (FEWEST + 1))
    everybody = [f"v{i}" for i in range(FEWEST + 1)]
    for _ in range(5):
        chosen.end_epoch(absent=everybody)
        assert len(chosen.members) == FEWEST


def test_several_are_not_jailed_at_once_so_that_fewer_than_four_stay():
    chosen = jailers(MINIMUM, MINIMUM, 10 * MINIMUM, 10 * MINIMUM, 10 * MINIMUM)
    chosen.end_epoch(absent=["v0", "v1"])
    assert len(chosen.members) == FEWEST


def test_a_bootstrap_key_that_is_absent_loses_its_stake_but_not_its_phantom_power():
    """Phantom power fades; it is not punished. Its owner has no stake to answer with."""
    chosen = sets(2, stake_target_nanos=2**48 - 1)
    founder = chosen.founder(0)
    chosen.bond("a", key=founder)
    chosen.end_epoch(signed={"founder 0": 10})
    assert chosen.power_of(founder) == 2 * MINIMUM
    chosen.seat("b", "c")
    chosen.end_epoch(signed={"founder 0": 0, "founder 1": 0})
    assert [chosen.power_of(chosen.founder(i)) for i in (0, 1)] == [chosen.phantom] * 2 != [0, 0]
    assert chosen.stake("a").jailed_until


# ---- Bans


def test_a_banned_key_loses_all_power_at_the_epochs_end_whatever_the_churn_limit_says():
    chosen = crowd(5)
    chosen.bond("whale", 1_000 * NEURO)
    quietly(chosen, 20)
    assert chosen.powers("whale") == [1_000]
    chosen.ban("whale", lost=50 * NEURO)
    quietly(chosen)
    assert chosen.power("whale") == 0
    assert len(chosen.members) == 5


def test_a_banned_stake_never_enters_again_whatever_stays_bonded():
    chosen = crowd(5)
    chosen.ban("v0", lost=0)
    chosen.state.put(stake_key(wallet_of("v0")), replace(chosen.stake("v0"), leaving=0))
    for _ in range(3):
        quietly(chosen)
        assert chosen.power("v0") == 0
    assert chosen.stake("v0").bonded == MINIMUM


def test_a_banned_wallet_that_has_lost_all_makes_room_on_the_list():
    chosen = crowd(5)
    chosen.ban("v0", lost=MINIMUM)
    chosen.ban("v1", lost=MINIMUM - 1)
    quietly(chosen)
    assert wallet_of("v0") not in chosen.staking.validators
    assert chosen.stake("v0").tombstoned


def test_bans_go_below_four_validators():
    chosen = crowd(FEWEST)
    chosen.ban("v0")
    chosen.ban("v1")
    quietly(chosen)
    assert len(chosen.members) == FEWEST - 2


def test_a_ban_leaves_the_churn_limit_to_others():
    chosen = crowd(6)
    chosen.ban("v0")
    chosen.bond("new", 200 * NEURO)
    quietly(chosen)
    assert chosen.powers("v0", "new") == [0, 150]


def test_a_banned_bootstrap_validator_loses_its_phantom_power_and_never_has_any_again():
    chosen = sets(2)
    chosen.ban_founder(0)
    for _ in range(3):
        quietly(chosen)
        assert [member.public_key for member in chosen.members] == [chosen.founder(1)]


def test_a_banned_key_with_phantom_power_and_stake_loses_both():
    chosen = still(2)
    founder = chosen.founder(0)
    chosen.bond("a", key=founder)
    quietly(chosen)
    assert chosen.power_of(founder) == 2 * MINIMUM
    chosen.ban("a")
    chosen.state.put(validator_key(founder), ValidatorKey(wallet_of("a"), True))
    quietly(chosen)
    assert [member.public_key for member in chosen.members] == [chosen.founder(1)]


def test_a_banned_lone_bootstrap_validator_goes_on_until_the_first_other_has_entered():
    chosen = still()
    chosen.ban_founder(0)
    quietly(chosen, 3)
    assert chosen.members == (Validator(chosen.founder(0), MINIMUM),)
    chosen.bond("new")
    quietly(chosen)
    assert chosen.members == (Validator(key_of("new"), MINIMUM),)


def test_a_chain_whose_validators_are_all_banned_goes_on_with_the_old_set():
    """They have lost stake, so they have more power than bond: the set must not be written from their bonds."""
    chosen = crowd(FEWEST)
    before = chosen.members
    for i in range(FEWEST):
        chosen.ban(f"v{i}", lost=30 * NEURO)
    for _ in range(3):
        quietly(chosen)
        assert chosen.members == before
    chosen.bond("new", 50 * MINIMUM)
    quietly(chosen)
    assert chosen.members == (Validator(key_of("new"), MINIMUM),)


# ---- One place for a key, and 1024 places


def test_a_bootstrap_key_that_bonds_has_one_place_with_both_powers():
    chosen = still(3)
    founder = chosen.founder(1)
    chosen.bond("a", 150 * NEURO, key=founder)
    quietly(chosen, 2)
    assert len(chosen.members) == 3
    assert chosen.power_of(founder) == 250 * NEURO
    assert [chosen.power_of(chosen.founder(i)) for i in (0, 2)] == [MINIMUM, MINIMUM]


def test_its_stake_may_leave_alone_since_its_place_stays():
    chosen = still(1)
    founder = chosen.founder(0)
    chosen.bond("a", key=founder)
    quietly(chosen)
    chosen.unbond("a")
    quietly(chosen)
    assert chosen.members == (Validator(founder, MINIMUM),)


def full_of_stake(founders: int, stakes: int) -> Sets:
    """A set with so many members with stake. Written by hand: 1024 bonds would take minutes."""
    chosen = still(founders)
    names = [f"v{i}" for i in range(stakes)]
    wallets = tuple(sorted(wallet_of(name) for name in names))
    for name in names:
        mint(chosen.state, BondedStake(wallet_of(name)), MINIMUM)
        stake = Stake(public_key=key_of(name), bonded=MINIMUM, power=MINIMUM)
        chosen.state.put(stake_key(wallet_of(name)), stake)
        chosen.state.put(validator_key(key_of(name)), ValidatorKey(wallet_of(name), False))
    chosen.state.put(STAKING_KEY, replace(chosen.staking, validators=wallets))
    quietly(chosen)
    return chosen


def test_a_full_set_admits_the_next_when_one_has_left():
    chosen = full_of_stake(7, VALIDATORS_MAXIMUM - 8)
    assert len(chosen.members) == VALIDATORS_MAXIMUM - 1
    chosen.bond("first", at=1)
    chosen.bond("second", at=2)
    quietly(chosen)
    assert len(chosen.members) == VALIDATORS_MAXIMUM
    assert chosen.powers("first", "second") == [100, 0]
    quietly(chosen)
    assert chosen.powers("second") == [0]
    chosen.bond("v0", MINIMUM, at=1)
    chosen.unbond("v1")
    quietly(chosen)
    # More power for a member needs no place.
    assert chosen.powers("v0", "v1", "second") == [200, 0, 100]
    assert len(chosen.members) == VALIDATORS_MAXIMUM
    assert len(committee_of(chosen.state, chosen.epoch).members) == VALIDATORS_MAXIMUM


def test_a_bootstrap_key_enters_a_full_set_with_its_stake_since_it_has_a_place():
    chosen = full_of_stake(1, VALIDATORS_MAXIMUM - 1)
    assert len(chosen.members) == VALIDATORS_MAXIMUM
    chosen.bond("a", key=chosen.founder(0))
    quietly(chosen)
    assert chosen.power_of(chosen.founder(0)) == 2 * MINIMUM
    assert len(chosen.members) == VALIDATORS_MAXIMUM


def test_consensus_can_work_with_every_set_that_is_chosen():
    """Keys strictly ascending, at least one member, power for each, and a quorum of all."""
    chosen = sets(7)
    for i in range(12):
        chosen.bond(f"v{i}", (100 + 13 * i) * NEURO + i)
    for _ in range(30):
        chosen.end_epoch(absent=["v3"])
        committee = committee_of(chosen.state, chosen.epoch)
        assert is_quorum(committee, range(len(committee.members)))
        assert committee.total_power == chosen.total
    assert chosen.phantom == 0 and len(chosen.members) == 11


# ---- What blocks add: who signed


@pytest.fixture(scope="module")
def chain() -> StakedChain:
    made = StakedChain(founded(3))
    made.live(2)
    return made


def participation(chain: StakedChain) -> Participation:
    return chain.state.need(Participation, PARTICIPATION_KEY)


def test_signers_of_the_parents_notarization_are_counted():
    chain = StakedChain(founded(3))
    chain.block(certificate=b"")
    assert participation(chain) == Participation(0, ())
    chain.block(certificate=a_certificate(chain, [0, 2]))
    chain.block(certificate=a_certificate(chain, [2, 1]))
    assert participation(chain) == Participation(2, (1, 1, 2))


def test_a_block_without_a_certificate_counts_nobody():
    chain = StakedChain(founded(3))
    chain.live(3)
    before = participation(chain)
    chain.block(certificate=b"")
    assert participation(chain) == before


def test_the_notarization_of_an_epochs_last_block_is_too_late_to_count():
    chain = StakedChain(founded(3))
    chain.live(EPOCH)
    assert participation(chain) == Participation(0, ())
    chain.block()
    assert participation(chain) == Participation(0, ())
    chain.block()
    assert participation(chain) == Participation(1, (1, 1, 1))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": NULLIFY}, "not the parent's notarization"),
        ({"epoch": 1}, "not the parent's notarization"),
        ({"block_hash": bytes(32)}, "not the parent's notarization"),
        ({"bitmap": b""}, "does not fit a set of 3"),
        ({"bitmap": b"\x07\x00"}, "does not fit a set of 3"),
        ({"bitmap": b"\x0f"}, "does not fit a set of 3"),
    ],
)
def test_the_certificate_in_a_body_is_one_of_the_parent_and_fits_its_set(chain, change, fault):
    chain.build(certificate=a_certificate(chain, [0, 1, 2]))
    chain.build(certificate=a_certificate(chain, [0, 1, 2], kind=FINALIZE))
    with pytest.raises(InvalidBlock, match=fault):
        chain.build(certificate=a_certificate(chain, [0, 1, 2], **change))


def test_a_certificate_is_decoded_strictly(chain):
    with pytest.raises(DecodeError):
        chain.build(certificate=a_certificate(chain, [0, 1, 2]) + b"\0")


def test_the_views_of_certificate_and_block_may_differ_for_a_block_that_was_proposed_again(chain):
    later = a_certificate(chain, [0, 1, 2], view=chain.parent.view + 3)
    assert chain.block(certificate=later).block.body.parent_certificate == later


# ---- What blocks add: bonds, evidence, proposers


def test_a_bond_gives_power_from_the_next_epoch_on_and_the_header_names_the_set_before():
    chain = StakedChain(founded(1))
    wallet = WALLETS[0]
    chain.fund(wallet, 200 * NEURO)
    chain.live(3)
    chain.block([a_bond(chain, wallet=wallet)])
    chain.live_out_epoch()
    last = chain.blocks[-1].block.header
    assert chain.power(wallet) == MINIMUM
    chain.block()
    first = chain.blocks[-1].block.header
    assert last.next_validators_root == first.validators_root != last.validators_root


def test_evidence_in_an_epochs_last_block_takes_the_power_of_the_next():
    chain = StakedChain(founded(4))
    reporter = WALLETS[0]
    chain.fund(reporter, NEURO * 10)
    chain.live(EPOCH - 1)
    chain.block([a_report(chain, secret_of(chain.members[2].public_key), reporter)])
    assert chain.height == EPOCH
    assert len(chain.members) == 3


def test_a_tombstoned_validator_still_proposes_in_its_last_epoch_and_tips_reach_its_wallet():
    chain = StakedChain(founded(1))
    wallet = WALLETS[0]
    chain.fund(wallet, 200 * NEURO)
    chain.fund(WALLETS[1], 10 * NEURO)
    chain.block([a_bond(chain, wallet=wallet)])
    chain.live_out_epoch()
    chain.block([a_report(chain, wallet, WALLETS[1])])
    place = next(i for i, member in enumerate(chain.members) if member.public_key != FOUNDER_KEY)
    assert proposer_payout(chain.state, chain.epoch, place, chain.network) == wallet.address
    chain.block(proposer=place)
    chain.live_out_epoch()
    assert [member.public_key for member in chain.members] == [FOUNDER_KEY]


def test_tips_of_a_bootstrap_validators_blocks_reach_its_payout_address():
    chain = StakedChain(founded(2))
    for place in (0, 1):
        assert proposer_payout(chain.state, 0, place, chain.network) == FOUNDER.address
