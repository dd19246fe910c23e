"""What no fault may break: one chain on all nodes, at every height, for ever; and it goes on after healing."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.chaos.fleet import Broken, Fleet

PAGE = 100
NEW_BLOCKS = 2
RECOVERY_SECONDS = 90.0


@dataclass
class Chain:
    """The hash of every final block that any node has ever shown, and up to where each node was compared."""

    fleet: Fleet
    hashes: dict[int, tuple[str, int]] = field(default_factory=dict)  # height → hash, and who showed it first
    compared: dict[int, int] = field(default_factory=dict)
    forks: list[str] = field(default_factory=list)

    async def compare(self, number: int, again: bool = False) -> bool:
        """Compare the blocks of a node that are new since the last time, or all; whether it answered."""
        floor = 0 if again else self.compared.get(number, 0)
        cursor, top = "", 0
        while True:
            page = await self.fleet.get(number, f"/v1/blocks?limit={PAGE}{cursor}")
            if page is None:
                return False
            blocks = [block for block in page["blocks"] if block["height"] > floor]
            for block in blocks:
                self._note(number, int(block["height"]), block["hash"])
                top = max(top, int(block["height"]))
            if len(blocks) < len(page["blocks"]) or page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        if top < self.compared.get(number, 0) and again:
            self.forks.append(f"node {number} ends at height {top}, it was at {self.compared[number]}")
        self.compared[number] = max(top, self.compared.get(number, 0))
        return True

    def forget(self, number: int) -> None:
        """A node that begins anew shows all its blocks once more."""
        self.compared.pop(number, None)

    def _note(self, number: int, height: int, found: str) -> None:
        known, first = self.hashes.setdefault(height, (found, number))
        if known != found:
            self.forks.append(f"height {height}: {known[:16]} on node {first}, {found[:16]} on node {number}")


async def recovered(fleet: Fleet, seconds: float = RECOVERY_SECONDS) -> float:
    """Seconds until every node has a block that is newer than all there were. Raises Broken if that takes too long."""
    began = time.monotonic()
    heights = [await fleet.height(number) for number in fleet.numbers]
    wanted = max(heights) + NEW_BLOCKS
    while True:
        behind = []
        for number in fleet.numbers:
            if (height := await fleet.height(number)) < wanted:
                behind.append((number, height))
        if not behind:
            return time.monotonic() - began
        if fell := fleet.fell():
            raise Broken(f"ended without being struck: {fell}")
        if time.monotonic() - began > seconds:
            raise Broken(f"after {seconds:.0f} s without faults no block {wanted} on nodes (node, height): {behind}")
        await asyncio.sleep(0.1)
