"""The hand-over in the simulated world: real protocols and rules, made-up training; and who counts as present there.

`python -m tests.handover` does it with real processes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from chain.block import BOOTSTRAP, HANDOVER, STAKED
from chain.crypto.votes import Certificate
from chain.stakes import stake_of, staking
from chain.state import State
from tests.simulator import genesis
from tests.simulator.genesis import MINIMUM
from tests.simulator.machine import Machine
from tests.simulator.scenario import generate, with_settings
from tests.simulator.world import World, surroundings

CALM = "adversary= crash_ms=0 power_cut_ms=0 partition_ms=0 disconnect_ms=0 blackout_ms=0 skew_ms=0 resend=0 lose=0"
CALM += " double=0 reorder=0 bytes_per_ms=0 latency_ms=5 jitter_ms=5 stakers=0 transaction_ms=0 epoch_blocks=20"
# Eight batches a round: four rounds earn the minimum, and the fee of naming a key.
EARNING = {
    "rate_batch_nanos": 35 * MINIMUM // 1_000,
    "base_work_batches": 1_000,
    "stake_target_nanos": 3 * MINIMUM,
    "target_epochs": 2,
    "downtime_basis_points": 5_000,
}
PATIENCE_MS = 120_000


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Makes a world whose machines have started."""
    with surroundings(generate(1)):

        def make(words: str, **params: int) -> World:
            for name, value in params.items():
                monkeypatch.setitem(genesis.PARAMS, name, value)
            world = World(with_settings(generate(1), [*CALM.split(), *words.split()]))
            for machine in world.machines:
                machine.boot()
            return world

        yield make


def state_of(machine: Machine) -> State:
    assert machine.node is not None
    return machine.node.store.state()


def height_of(machine: Machine) -> int:
    assert machine.node is not None
    return machine.node.view.tip.height


def let_it_run(world: World, until: Callable[[], bool], words: str) -> None:
    world.clock.run(world.clock.now_ms + PATIENCE_MS, until)
    assert until(), words


def shares(world: World, machine: Machine) -> dict[int, dict[str, float]]:
    """Of each epoch: who signed what part of the notarizations that its blocks carry."""
    assert machine.node is not None
    store, names = machine.node.store, {each.voter: each.name for each in world.machines}
    counted: Counter[int] = Counter()
    signed: dict[int, Counter[str]] = {}
    for height in range(2, store.height + 1):
        stored = store.block(height)
        assert stored is not None
        certificate, epoch = Certificate.decode(stored.block.body.parent_certificate), stored.block.header.epoch
        if certificate.epoch != epoch:
            continue
        counted[epoch] += 1
        bits = int.from_bytes(certificate.bitmap, "little")
        members = store.state().validators(epoch).members
        present = [names[member.public_key] for place, member in enumerate(members) if bits >> place & 1]
        signed.setdefault(epoch, Counter({names[member.public_key]: 0 for member in members})).update(present)
    return {epoch: {name: count / counted[epoch] for name, count in each.items()} for epoch, each in signed.items()}


def test_a_network_of_one_founder_ends_without_it_carried_by_what_others_earned(made: Callable[..., World]) -> None:
    world = made("founders=1 observers=3 trainers=3", **EARNING)
    founder, *others = world.machines
    phases: list[int] = []
    phantoms: list[int] = []

    def is_staked() -> bool:
        if founder.node is not None and height_of(founder) > len(phases):
            phases.append(founder.node.view.tip.phase)
            phantoms.append(staking(state_of(founder)).phantom)
        return bool(phases) and phases[-1] == STAKED

    let_it_run(world, is_staked, "the phase of stake alone was not reached")
    assert list(dict.fromkeys(phases)) == [BOOTSTRAP, HANDOVER, STAKED]
    assert all(later <= earlier for earlier, later in pairwise(phantoms)) and phantoms[-1] == 0
    stakes = [stake_of(state_of(founder), each.identity.address) for each in others]
    assert [stake.power for stake in stakes] == [MINIMUM] * 3 and not any(stake.jailed_until for stake in stakes)
    epoch = state_of(founder).validators(founder.node.view.tip.epoch + 1)  # type: ignore[union-attr]
    assert {member.public_key for member in epoch.members} == {each.voter for each in others}

    founder.crash()
    height, rounds = world.watch.highest, state_of(others[0]).ledger.closed_rounds
    let_it_run(
        world,
        lambda: (
            min(map(height_of, others)) >= height + 2 * world.scenario.epoch_blocks
            and all(state_of(each).ledger.closed_rounds >= rounds + 2 for each in others)
        ),
        "without the founder blocks or rounds do not go on",
    )
    assert all(share >= 0.9 for epoch in shares(world, others[0]).values() for share in epoch.values())

    # Two of three equal stakes have two thirds of the power: a quorum is more.
    others[2].crash()
    world.clock.run(world.clock.now_ms + 5_000, lambda: False)
    stands = height_of(others[0])
    world.clock.run(world.clock.now_ms + 20_000, lambda: False)
    assert height_of(others[0]) == stands
    others[2].boot()
    let_it_run(world, lambda: min(map(height_of, others)) >= stands + 3, "it does not go on with all three")


def slowed(world: World, machine: Machine, delay_ms: int) -> None:
    """All that it says comes later by this."""
    carry = machine.carry
    machine.carry = lambda *what: world.clock.at(delay_ms, lambda: carry(*what)) and None  # type: ignore[method-assign]


def test_a_validator_that_votes_late_is_counted_as_present(made: Callable[..., World]) -> None:
    """The quorum is there without it each time: a leader in a hurry waits for its vote all the same, for a while."""
    world = made("founders=4 observers=2 trainers=2", **EARNING)
    slow = world.machines[0]
    slowed(world, slow, 40)
    let_it_run(world, lambda: height_of(world.machines[1]) > 60, "blocks do not go on")
    shown = shares(world, world.machines[1])
    assert len(shown) >= 3 and all(share >= 0.9 for epoch in shown.values() for share in epoch.values())
