"""The lone validator: it goes on after a crash at any write, and whatever the wall clock says."""

import asyncio
import threading
from collections.abc import Mapping
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from chain.block import BOOTSTRAP, HANDOVER, STAKED, Body
from chain.money import NEURO
from chain.stakes import stake_of, staking
from chain.state import State
from chain.transition import Applied, Parent, Proposal
from consensus.messages import FINALIZE, NOTARIZE
from node import loop_runtime
from node.archive import Replay
from node.loop_runtime import LoopRuntime
from node.pacing import Pacing
from node.sign_state import SignState
from tests.node.alone import PATIENCE_SECONDS, CutKeyValue, PowerCut, Wires, alone, run_until
from tests.node.lone_node import CREATED_MS, IDENTITY, LoneNode, MemoryKeyValue, tiny_network

HOUR_MS = 3_600_000


# A block takes five writes: itself, NOTARIZE, its certificate, FINALIZE, and the batch that makes it final. The fourth
# block ends the epoch.
@pytest.mark.parametrize("last_write", [*range(1, 6), *range(16, 22)])
async def test_a_crash_after_any_write_leaves_a_chain_that_goes_on(tmp_path: Path, last_write: int) -> None:
    wires = Wires(last_write)
    first = LoneNode(tmp_path)
    first.view.store.database = CutKeyValue(first.database.records, wires)  # type: ignore[attr-defined]
    with pytest.raises(PowerCut):
        await run_until_cut(first, wires)
    second = LoneNode(tmp_path, first.network, MemoryKeyValue(first.store.database.records))  # type: ignore[attr-defined]
    before = second.store.height
    await run_until(second, before + 2)
    assert Replay(second.database, second.network, second.payloads).run().blocks >= before + 2


async def test_a_block_that_was_voted_for_and_lost_by_the_disk_is_given_up_and_the_chain_goes_on(
    tmp_path: Path,
) -> None:
    wires = Wires(2)  # The block is stored, NOTARIZE is recorded.
    first = LoneNode(tmp_path)
    first.view.store.database = CutKeyValue(first.database.records, wires)  # type: ignore[attr-defined]
    with pytest.raises(PowerCut):
        await run_until_cut(first, wires)
    [lost] = first.store.held()
    records = {key: value for key, value in first.store.database.records.items() if key[:1] != b"p"}  # type: ignore[attr-defined]
    second = LoneNode(tmp_path, first.network, MemoryKeyValue(records))
    blocks = await run_until(second, 2)
    assert blocks[0].block.header.view > lost.header.view
    assert Replay(second.database, second.network, second.payloads).run().blocks >= 2


async def run_until_cut(node: LoneNode, wires: Wires) -> None:
    """Until the power is cut, also if it is cut in a task beside the engine."""
    cut = asyncio.Event()
    written = wires.written

    def notice() -> None:
        try:
            written()
        except PowerCut:
            loop.call_soon_threadsafe(cut.set)
            raise

    loop = asyncio.get_running_loop()
    wires.written = notice  # type: ignore[method-assign]
    work = asyncio.create_task(run_until(node, 10**9, wires))
    waiting = asyncio.create_task(cut.wait())
    await asyncio.wait([work, waiting], return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert cut.is_set()
    raise PowerCut


# Each round pays three quarters of the minimum: the second release reaches it and pays the fee of naming the key.
EARNING = {"rate_batch_nanos": 75 * NEURO // 4, "target_epochs": 2}


@pytest.mark.parametrize(
    ("target", "powers", "phase"),
    [(200 * NEURO, [100, 200, 150], HANDOVER), (100 * NEURO, [100, 200, 100], STAKED)],
    ids=["half of the target", "the whole target"],
)
async def test_a_network_of_one_goes_from_phantom_power_to_stake_under_the_same_key(
    tmp_path: Path, target: int, powers: list[int], phase: int
) -> None:
    """Its rewards are bonded, its key is named, and the set changes from epoch to epoch while blocks come."""
    node = LoneNode(tmp_path, tiny_network(stake_target_nanos=target, **EARNING), validator=True)
    node.register()
    assert node.view.tip.phase == BOOTSTRAP and node.state.supply.minted == 0
    await asyncio.to_thread(_earn_the_minimum, node)
    # Time for the bond, for the epoch in which it votes first, and for the epochs that the maximum must stand.
    blocks = await run_until(node, node.store.height + 6 * node.network.params.epoch_blocks)
    sets = [node.state.validators(epoch).members for epoch in range(node.view.tip.epoch + 1)]
    assert {member.public_key for [member] in sets} == {IDENTITY.validator_public_key}
    assert [power for power, _ in groupby(member.power // NEURO for [member] in sets)] == powers
    stake = stake_of(node.state, IDENTITY.address)
    assert (stake.power, stake.public_key) == (100 * NEURO, IDENTITY.validator_public_key)
    assert sets[-1][0].power == stake.power + staking(node.state).phantom
    phases = [applied.block.header.phase for applied in blocks]
    assert phases == sorted(phases) and phases[-1] == phase == node.view.tip.phase
    assert Replay(node.database, node.network, node.payloads).run().blocks == node.store.height


def _earn_the_minimum(node: LoneNode) -> None:
    while node.state.supply.bonded < node.network.params.stake_minimum_nanos:
        node.close_round()


class SlowKeyValue(MemoryKeyValue):
    """Writes take until they are let go."""

    def __init__(self, records: Mapping[bytes, bytes]) -> None:
        super().__init__(records)
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.done = False

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        self.begun.set()
        self.let_go.wait(PATIENCE_SECONDS)
        super().write(changes)
        self.done = True


async def test_stopping_waits_for_a_write_that_has_begun(tmp_path: Path) -> None:
    """The files are closed next, and a database that is closed under a write takes the process down."""
    node = LoneNode(tmp_path)
    slow = node.view.store.database = SlowKeyValue(node.database.records)  # type: ignore[attr-defined]
    sign_state = SignState.open(tmp_path / "sign-state", bytes(32))
    runtime = LoopRuntime()
    protocols = alone(runtime, node, sign_state)
    assert await asyncio.to_thread(slow.begun.wait, PATIENCE_SECONDS)
    protocols.stop()
    stopping = asyncio.create_task(runtime.stop())
    await asyncio.wait([stopping], timeout=0.05)
    assert not stopping.done() and not slow.done
    slow.let_go.set()
    await stopping
    sign_state.close()
    assert slow.done


@pytest.mark.parametrize("wall_ms", [0, CREATED_MS - HOUR_MS, CREATED_MS + 10_000 * HOUR_MS])
async def test_a_wrong_wall_clock_neither_stalls_the_chain_nor_breaks_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_ms: int
) -> None:
    monkeypatch.setattr(loop_runtime, "wall_ms", lambda: wall_ms)
    node = LoneNode(tmp_path)
    blocks = await run_until(node, 6)
    times = [node.network.created_ms] + [applied.block.header.time_ms for applied in blocks]
    shortest = node.network.params.block_interval_min_ms
    assert all(later - earlier >= shortest for earlier, later in pairwise(times))
    assert Replay(node.database, node.network, node.payloads).run().blocks >= 6


async def test_a_wall_clock_that_jumps_back_and_forth_keeps_block_times_rising(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = [CREATED_MS + HOUR_MS, CREATED_MS, CREATED_MS + 2 * HOUR_MS, 1]
    monkeypatch.setattr(loop_runtime, "wall_ms", lambda: readings.insert(0, readings.pop()) or readings[0])  # type: ignore[func-returns-value]
    node = LoneNode(tmp_path)
    times = [applied.block.header.time_ms for applied in await run_until(node, 9)]
    assert times == sorted(set(times))
    assert Replay(node.database, node.network, node.payloads).run().blocks >= 9


async def test_blocks_are_never_closer_than_the_shortest_interval_on_the_monotonic_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = LoneNode(tmp_path, tiny_network(block_interval_min_ms=25, block_interval_ms=25, block_interval_max_ms=25))
    began: list[int] = []
    came = Pacing.block_came

    def block_came(self: Pacing) -> None:
        came(self)
        began.append(self.runtime.now_ms())

    monkeypatch.setattr(Pacing, "block_came", block_came)
    await run_until(node, 5)
    assert len(began) >= 5 and all(later - earlier >= 25 for earlier, later in pairwise(began))


def test_reading_the_state_costs_the_same_however_many_blocks_were_built_ahead_of_finality(tmp_path: Path) -> None:
    """States over states over states would at last exceed the stack."""
    node = LoneNode(tmp_path, tiny_network(epoch_blocks=100))
    depths: list[int] = []
    earlier = node.build()
    for _ in range(6):
        node.view.keep(node.certify(NOTARIZE, earlier))
        later = _build_on(node, earlier.parent)
        node.view.finalize(earlier.parent.hash, node.certify(FINALIZE, earlier))
        depths.append(_depth(later.state))
        earlier = later
    assert len(set(depths)) == 1


def _build_on(node: LoneNode, parent: Parent) -> Applied:
    reveal = IDENTITY.beacon_reveal(node.network.chain_id, 0, parent.view + 1)
    chosen = Proposal(0, parent.view + 1, parent.time_ms + 10, 0, reveal)
    return node.view.build(parent.hash, chosen, Body((), (), (), node.notarization(parent.hash)))


def _depth(state: State) -> int:
    """How many states a read may pass through."""
    read, depth = state._read, 1
    while isinstance(below := getattr(read, "__self__", None), State):
        read, depth = below._read, depth + 1
    return depth
