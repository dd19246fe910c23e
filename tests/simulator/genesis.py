"""The network of a scenario: small numbers, founders with phantom power, and stake as if it had been bonded before."""

import random
from dataclasses import replace

from chain.crypto import bls
from chain.genesis import BootstrapValidator, Network, Parameter, parse_network
from chain.money import BondedStake, mint
from chain.stakes import STAKING_KEY, Stake, ValidatorKey, stake_key, stake_of, staking, validator_key
from chain.state import State
from chain.tree import Update
from node.identity import Identity
from node.store import GENESIS_ROOT, Store
from tests.builders import SMALL, an_outcome, named
from tests.simulator.disk import Disk, SimKeyValue
from tests.simulator.scenario import Scenario

CREATED_MS = 1_700_000_000_000
MINIMUM = 10**7  # nanos of a bond, and of a founder's phantom power at the start
UNEQUAL = (10, 40, 17, 25)  # tenths of MINIMUM that stakers have
PARAMS = {
    "block_interval_min_ms": 50,
    "block_interval_ms": 150,
    "block_interval_max_ms": 600,
    "stamp_bits": 0,
    "registrations_per_block": 4,
    "proof_window_ms": 60_000,
    "vest_rounds": 1,
    "base_work_batches": 5,
    "base_fee_initial": 11,
    "block_gas_maximum": 500_000,
    "lane_gas_maximum": 100_000,
    "stake_minimum_nanos": MINIMUM,
    "stake_target_nanos": 40 * MINIMUM,
    "reporter_maximum_nanos": 20_000,
    # Block sync believes old validators for no longer than their stake is bound.
    "unbonding_epochs": 4_000,
    "jail_epochs": 2,
    # Who is down for a while comes back in time: the honest would lose their rewards by chaos alone.
    "opening_blocks": 40,
    "audit_blocks": 20,
    "showing_blocks": 12,
    "challenge_blocks": 8,
    "dispute_blocks": 8,
    "plant_basis_points": 2_000,
    "audit_second_basis_points": 3_000,
    # Who was down for half an epoch is not jailed: the honest would become too few by chaos alone.
    "downtime_basis_points": 0,
}


def made_network(scenario: Scenario, founders: list[Identity]) -> Network:
    """A checked network whose bootstrap validators are these."""
    numbers = SMALL | PARAMS | {"epoch_blocks": scenario.epoch_blocks}
    validators = (
        BootstrapValidator(
            bls.public_key(each.validator_secret), bls.prove_possession(each.validator_secret), each.address
        )
        for each in founders
    )
    network = Network(
        name=b"simulated",
        created_ms=CREATED_MS,
        model_seed=named(f"seed {scenario.seed}"),
        tokenizer_hash=named("tokenizer"),
        corpus_root=named("corpus"),
        start=an_outcome("genesis"),
        parameters=tuple(Parameter(f"chain.{key}".encode(), numbers[key]) for key in sorted(numbers)),
        validators=tuple(sorted(validators, key=lambda each: each.public_key)),
    )
    return parse_network(network.file_bytes())


def stakes_at_the_start(scenario: Scenario, founders: list[Identity], stakers: list[Identity]) -> dict[Identity, int]:
    """Who has how much bonded. The set takes it in at the end of its epochs, within the churn limit."""
    stakes = {each: MINIMUM * UNEQUAL[number % len(UNEQUAL)] // 10 for number, each in enumerate(stakers)}
    if stakers:
        stakes[founders[-1]] = MINIMUM * 12 // 10  # one founder has both kinds of power
    return stakes


def first_records(network: Network, stakes: dict[Identity, int]) -> dict[bytes, bytes]:
    """The records of a ledger at height 0 in which these stakes stand."""
    disk = Disk(random.Random(0))
    store = Store(SimKeyValue(disk), network)
    draft = State(store.state().get)
    for number, (identity, amount) in enumerate(stakes.items()):
        mint(draft, BondedStake(identity.address), amount)
        bonded = stake_of(draft, identity.address).bonded
        key = bls.public_key(identity.validator_secret)
        draft.put(stake_key(identity.address), Stake(public_key=key, bonded=bonded, since_height=number))
        draft.put(validator_key(key), ValidatorKey(identity.address, False))
    wallets = tuple(sorted(identity.address for identity in stakes))
    draft.put(STAKING_KEY, replace(staking(draft), validators=wallets))
    tree = Update(store.node)
    root = tree.apply(disk.records[GENESIS_ROOT], draft.changes)
    disk.write({b"t" + digest: None for digest in tree.stale})
    disk.write({b"t" + digest: record for digest, record in tree.fresh.items()})
    disk.write({b"s" + key: value for key, value in draft.changes.items()} | {GENESIS_ROOT: root})
    return disk.records
