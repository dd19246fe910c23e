"""The world itself keeps its word: what a disk loses and keeps, what a connection carries, when things happen."""

import random

import pytest

from node.errors import NodeError
from node.sign_state import SignState
from tests.simulator.disk import Disk, PowerCut, SimKeyValue, SimPath, simulated_files
from tests.simulator.events import Clock
from tests.simulator.scenario import generate, with_settings
from tests.simulator.world import World, simulate, surroundings

OWNER = bytes(32)
WORDS = "founders=1 stakers=0 observers=0 trainers=0 adversary= crash_ms=0 power_cut_ms=0 partition_ms=0 chaos_ms=3000"


def a_disk(seed: int = 1) -> Disk:
    return Disk(random.Random(seed))


def test_a_synced_batch_outlives_a_crash_and_one_that_is_not_may_vanish_but_never_in_part() -> None:
    seen = set()
    for seed in range(20):
        disk = a_disk(seed)
        SimKeyValue(disk).write({b"sa": b"1", b"sb": b"1"})
        disk.syncs_records = False
        SimKeyValue(disk).write({b"sa": b"2", b"sb": None})
        disk.crash()
        seen.add((disk.records.get(b"sa"), disk.records.get(b"sb")))
    assert seen == {(b"1", b"1"), (b"2", None)}


def test_power_may_go_before_or_after_a_write_and_nothing_follows_it() -> None:
    seen = set()
    for seed in range(20):
        disk = a_disk(seed)
        disk.arm(2)
        store = SimKeyValue(disk)
        store.write({b"a": b"1"})
        with pytest.raises(PowerCut):
            store.write({b"b": b"1"})
        seen.add(tuple(sorted(disk.records)))
    assert seen == {(b"a",), (b"a", b"b")}


def test_a_recorded_vote_outlives_every_crash_and_the_record_opens_again() -> None:
    """The node's own code of recording runs on the simulated disk."""
    with simulated_files():
        for seed in range(40):
            disk = a_disk(seed)
            state = SignState.open(SimPath(disk, "sign-state"), OWNER)  # type: ignore[arg-type]
            state.record(1, 0, 1, b"a" * 32)
            disk.arm(1 + seed % 2)
            with pytest.raises(PowerCut):
                state.record(1, 0, 2, b"b" * 32)
            disk.crash()
            again = SignState.open(SimPath(disk, "sign-state"), OWNER)  # type: ignore[arg-type]
            assert again.own_votes(0)[1].notarized == b"a" * 32
            with pytest.raises(NodeError):
                again.record(1, 0, 1, b"c" * 32)


def test_events_happen_in_order_of_time_then_of_asking_and_cancelled_ones_never() -> None:
    clock, seen = Clock(1), []
    for name, delay in (("late", 5), ("first", 3), ("second", 3)):
        clock.at(delay, lambda name=name: seen.append(name))  # type: ignore[misc]
    clock.at(4, lambda: seen.append("never")).cancel()
    clock.run(4, lambda: False)
    assert (seen, clock.now_ms) == (["first", "second"], 4)
    clock.run(9, lambda: False)
    assert seen == ["first", "second", "late"]


def test_machines_of_different_groups_hear_nothing_of_each_other_until_healed() -> None:
    scenario = with_settings(generate(1), [*WORDS.split(), "founders=3", "jitter_ms=0", "chaos_ms=60000"])
    with surroundings(scenario):
        world = World(scenario)
        for machine in world.machines:
            machine.boot()
        world.clock.run(3_000, lambda: False)
        assert all(len(machine.runtime.connected) == 2 for machine in world.machines if machine.runtime)
        world.links.divide([[0], [1, 2]])
        world.clock.run(9_000, lambda: False)
        lives = [machine.runtime for machine in world.machines if machine.runtime]
        assert [sorted(world.by_key[key].place for key in life.connected) for life in lives] == [[], [2], [1]]
        world.links.heal()
        world.clock.run(12_000, lambda: False)
        assert all(len(machine.runtime.connected) == 2 for machine in world.machines if machine.runtime)


def test_a_lone_validator_makes_blocks_and_a_client_is_told_of_its_transaction() -> None:
    result = simulate(with_settings(generate(1), WORDS.split()))
    assert not result.failure
    assert result.blocks > 5 and result.transactions > 0


def test_real_signatures_give_the_same_chain_of_events_rules() -> None:
    words = [*WORDS.split(), "founders=4", "real_crypto=1", "crash_ms=1500", "latency_ms=5"]
    result = simulate(with_settings(generate(2), words))
    assert not result.failure and result.blocks > 2


def test_trainers_are_paid_and_enter_the_set_by_what_they_earned() -> None:
    words = [*WORDS.split(), "founders=4", "observers=1", "trainers=1", "epoch_blocks=4", "latency_ms=5", "jitter_ms=5"]
    words += ["chaos_ms=60000"]
    scenario = with_settings(generate(3), words)
    with surroundings(scenario):
        world = World(scenario)
        world.run()
        node = world.machines[-1].node
        assert node is not None
        state = node.store.state()
        assert state.ledger.closed_rounds > 0 and state.supply.minted > 0
        members = max(len(committee.members) for committee in world.watch.committees.values())
    assert members == 5
