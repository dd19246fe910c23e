"""Whole networks by seed. To replay a failure: pytest tests/consensus/test_network.py -k 'NAME and SEED'."""

import pytest

from consensus.committee import Committee, Member
from consensus.events import Received
from consensus.messages import NOTARIZE, NULLIFY
from tests.consensus.builders import a_certificate
from tests.consensus.network import World


def test_a_lone_validator_finalizes_every_block_without_timers():
    world = World(seed=1, keys=1, epoch_length=3)
    world.timers = False
    world.boot()

    assert world.run(10_000, until_height=20)
    views = [certificate.view for _, certificate in world.machines[0].disk.final]
    assert views[:6] == [1, 2, 3, 1, 2, 3]  # No view was lost, and views restart in each epoch.


@pytest.mark.parametrize("keys", [4, 7])
def test_a_healthy_network_finalizes_a_block_in_each_view(keys):
    world = World(seed=keys, keys=keys)
    world.paranoid = True
    world.boot()

    assert world.run(20_000, until_height=15)
    assert not world.reported
    for machine in world.machines:
        views = [certificate.view for _, certificate in machine.disk.final[5:15]]
        assert max(views) <= 7  # Five blocks; one more view may propose the last one again.


def storm(world: World, duration_ms: int) -> None:
    """Loss, doubling, reordering and crashes for so long; then all is well."""
    world.loss, world.doubling, world.crashes, world.slowest_ms = 0.15, 0.1, 0.01, 700
    world.boot()
    world.run(duration_ms)
    world.loss = world.doubling = world.crashes = 0.0
    world.slowest_ms = 40
    world.run(3_000)  # Until the last crashed machine is back.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("keys", [1, 4, 7])
def test_after_a_storm_the_network_goes_on_and_was_never_split(keys, seed):
    world = World(seed=seed, keys=keys)
    storm(world, 15_000)
    reached = world.highest()

    assert world.run(120_000, until_height=reached + 10)
    assert all(machine.up for machine in world.machines)
    assert not world.reported  # Honest machines never give evidence against themselves, crashes or not.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("keys", "twins"), [(4, 1), (7, 2)])
def test_twins_of_less_than_a_third_split_nobody_and_stop_nobody(keys, twins, seed):
    world = World(seed=seed, keys=keys, twins=twins)
    side = {machine.name: world.random.random() < 0.5 for machine in world.machines}
    for place in range(twins):
        side[f"twin {place}"] = not side[f"machine {place}"]
    world.cut = lambda sender, receiver: (
        side[sender.name] != side[receiver.name] and world.random.random() < 0.7 and world.now_ms < 15_000
    )
    storm(world, 15_000)
    reached = world.highest()

    assert world.run(180_000, until_height=reached + 10)
    assert world.reported <= set(world.keys[:twins])


@pytest.mark.parametrize(("keys", "liars"), [(4, 1), (7, 2)])
def test_liars_that_forge_every_vote_before_it_comes_stop_nobody_and_nobody_else_is_blamed(keys, liars):
    world = World(seed=keys, keys=keys)
    world.liars = {f"machine {place}" for place in range(liars)}
    world.boot()

    assert world.run(20_000, until_height=15)
    assert {blamer for blamer, _ in world.blamed} >= {machine.name for machine in world.machines[liars:]}
    assert not world.reported


def test_twins_that_speak_at_once_are_reported():
    world = World(seed=5, keys=4, twins=1)
    world.boot()

    assert world.run(20_000, until_height=12)
    assert world.reported == {world.keys[0]}


@pytest.mark.parametrize("seed", range(4))
def test_a_third_gone_stops_the_network_and_its_return_moves_it_again(seed):
    world = World(seed=seed, keys=3)
    world.boot(*world.machines[:2])
    world.run(20_000)
    assert world.highest() == 0  # Two of three equal members are not more than two thirds.

    world.boot(world.machines[2])
    assert world.run(60_000, until_height=10)


@pytest.mark.parametrize("seed", range(3))
def test_one_dead_of_four_costs_no_waiting_once_it_is_known_to_be_silent(seed):
    world = World(seed=seed, keys=4, epoch_length=200)
    world.boot(*world.machines[:3])
    assert world.run(60_000, until_height=20)
    began_ms = world.now_ms
    assert world.run(60_000, until_height=50)
    # A lost view costs at least 600 ms; thirty blocks meet ten turns of the dead leader.
    assert world.now_ms - began_ms < 10 * 600


def test_a_leader_that_was_skipped_leads_again_once_it_is_back():
    world = World(seed=2, keys=4, epoch_length=200)
    world.boot(*world.machines[:3])
    assert world.run(60_000, until_height=30)
    world.boot(world.machines[3])
    world.run(5_000)
    reached = world.highest()
    assert world.run(60_000, until_height=reached + 12)
    last = [world.machines[0].disk.blocks[block].maker for block, _ in world.machines[0].disk.final[reached:]]
    assert b"machine 3/1" in last


@pytest.mark.parametrize("seed", range(3))
def test_half_that_saw_a_view_notarized_and_half_that_saw_it_given_up_go_on_together(seed):
    world = World(seed=seed, keys=4)
    world.cut = lambda sender, receiver: True
    world.boot()
    world.run(100)
    epoch, everyone = world.machines[0].epoch, range(4)
    block = next(block for machine in world.machines for block in machine.disk.blocks)
    for machine in world.machines[:2]:
        machine.happen(Received(b"machine 3", a_certificate(epoch, NOTARIZE, 1, everyone, block)))
    for machine in world.machines[2:]:
        machine.happen(Received(b"machine 0", a_certificate(epoch, NULLIFY, 1, everyone)))
    world.run(200)
    assert {machine.state.view for machine in world.machines} == {2} and world.highest() == 0

    world.cut = lambda sender, receiver: False
    assert world.run(30_000, until_height=10)


@pytest.mark.parametrize("seed", range(2))
def test_the_committee_may_change_completely_between_epochs(seed):
    world = World(seed=seed, keys=8, epoch_length=3)
    halves = [sorted(world.keys)[:4], sorted(world.keys)[4:]]
    world.committee = lambda epoch: Committee(tuple(Member(key, 5 + epoch % 3) for key in halves[epoch % 2]))
    storm(world, 20_000)
    reached = world.highest()

    assert world.run(120_000, until_height=reached + 9)
    for machine in world.machines:
        for number in range(0, len(machine.disk.final) // 3 * 3):
            assert machine.disk.final[number][1].epoch == number // 3


@pytest.mark.parametrize("seed", range(4))
def test_if_all_crash_at_once_they_find_together_again(seed):
    world = World(seed=seed, keys=4)
    world.boot()
    for _ in range(6):
        world.run(world.random.randint(300, 900))
        for machine in world.machines:
            machine.crash()
        world.boot()
    reached = world.highest()

    assert world.run(60_000, until_height=reached + 10)


def test_invalid_blocks_are_given_up_and_never_final():
    world = World(seed=3, keys=4)
    world.bad_makers = {b"machine 1/1"}
    world.boot()

    assert world.run(60_000, until_height=12)
    makers = {machine.disk.blocks[block].maker for machine in world.machines for block, _ in machine.disk.final[:12]}
    assert b"machine 1/1" not in makers and len(makers) == 3


def test_a_partition_stops_the_smaller_side_and_heals():
    world = World(seed=1, keys=7)
    minority = {"machine 0", "machine 1"}
    world.boot()
    world.run(3_000)
    world.cut = lambda sender, receiver: (sender.name in minority) != (receiver.name in minority)
    world.run(1_000)
    reached = world.highest()
    world.run(4_000)
    assert max(machine.height for machine in world.machines[:2]) <= reached
    assert min(machine.height for machine in world.machines[2:]) > reached + 3

    world.cut = lambda sender, receiver: False
    assert world.run(60_000, until_height=world.highest() + 10)


def test_the_same_seed_gives_the_same_run():
    def run(seed: int) -> dict[int, bytes]:
        world = World(seed=seed, keys=4)
        storm(world, 4_000)
        return world.chain

    assert run(9) == run(9)
    assert run(9) != run(10)
