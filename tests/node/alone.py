"""The protocols of a node that has nobody to talk to, on the event loop; and power that is cut right after a write."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from chain.transition import Applied
from node.loop_runtime import LoopRuntime
from node.own import Hooks, Own
from node.protocols import Protocols
from node.sign_state import SignState, owner_of
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue

PATIENCE_SECONDS = 20


class PowerCut(Exception):
    """The machine stops, right after a write has reached the disk."""


class Wires:
    """Counts durable writes, and cuts the power after a given one."""

    def __init__(self, last: int) -> None:
        self.left = last

    def written(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise PowerCut


class CutKeyValue(MemoryKeyValue):
    def __init__(self, records: Mapping[bytes, bytes], wires: Wires) -> None:
        super().__init__(records)
        self.wires = wires

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        super().write(changes)
        self.wires.written()


class CutSignState:
    """Records votes; everything else is the real one's."""

    def __init__(self, real: SignState, wires: Wires) -> None:
        self.real, self.wires = real, wires

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def record(self, kind: int, epoch: int, view: int, block_hash: bytes) -> None:
        self.real.record(kind, epoch, view, block_hash)
        self.wires.written()


def alone(
    runtime: LoopRuntime, node: LoneNode, sign_state: Any, on_final: Callable[[Applied], None] = lambda applied: None
) -> Protocols:
    """The node's protocols, begun, with nobody to talk to."""
    own = Own(IDENTITY, node.view, node.producer, sign_state, has_peers=False)
    protocols = Protocols(runtime, own, Hooks(on_final))
    protocols.start()
    return protocols


async def run_until(node: LoneNode, height: int, wires: Wires | None = None) -> list[Applied]:
    """Run the engine until this height is final, or the power is cut."""
    owner = owner_of(node.network.chain_id, IDENTITY.validator_public_key)
    sign_state: Any = SignState.open(node.folder / "sign-state", owner)
    reached, blocks = asyncio.Event(), []

    def on_final(applied: Applied) -> None:
        blocks.append(applied)
        if applied.block.header.height >= height:
            reached.set()

    record = CutSignState(sign_state, wires) if wires else sign_state
    runtime = LoopRuntime()
    protocols = alone(runtime, node, record, on_final)
    tasks: list[asyncio.Future[Any]] = [runtime.failed, asyncio.create_task(reached.wait())]
    try:
        done, _ = await asyncio.wait(tasks, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert done, f"no block for {PATIENCE_SECONDS} s at height {node.store.height}"
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        protocols.stop()
        await runtime.stop()
        sign_state.close()
    return blocks
