"""The chaos test sees what it is there to see: forks, lost blocks, lost transactions, a chain that stands still."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.client import Client
from tests.chaos.faults import spoilt
from tests.chaos.fleet import Broken
from tests.chaos.promises import PAGE, Chain, recovered


@dataclass
class Answers:
    """Stands for the nodes: each shows a list of blocks, as hashes from height 1 on, and some transactions."""

    chains: dict[int, list[str]]
    transactions: dict[str, int] = field(default_factory=dict)
    grows: tuple[int, ...] = ()

    @property
    def numbers(self) -> list[int]:
        return sorted(self.chains)

    def fell(self) -> list[str]:
        return []

    async def height(self, number: int) -> int:
        if number in self.grows:
            self.chains[number].append("new")
        return len(self.chains[number])

    async def get(self, number: int, path: str) -> dict[str, Any] | None:
        if path.startswith("/v1/transactions/"):
            height = self.transactions.get(path.rpartition("/")[2])
            return None if height is None else {"height": height}
        chain, (_, _, cursor) = self.chains[number], path.partition("cursor=")
        newest = int(cursor) - 1 if cursor else len(chain)
        heights = range(newest, max(newest - PAGE, 0), -1)
        last = heights[-1] if heights else 1
        blocks = [{"height": height, "hash": chain[height - 1]} for height in heights]
        return {"blocks": blocks, "next_cursor": str(last) if last > 1 else None}


def hashes(count: int) -> list[str]:
    return [f"{height:064}" for height in range(1, count + 1)]


def compared(answers: Answers, *, again: bool = False, chain: Chain | None = None) -> Chain:
    found = chain or Chain(answers)  # type: ignore[arg-type]

    async def work() -> None:
        for number in answers.numbers:
            assert await found.compare(number, again)

    asyncio.run(work())
    return found


def test_the_same_chain_on_all_nodes_is_no_fork_wherever_each_has_got_to() -> None:
    chain = compared(Answers({0: hashes(350), 1: hashes(120), 2: []}))
    assert chain.forks == [] and chain.compared == {0: 350, 1: 120, 2: 0} and len(chain.hashes) == 350


@pytest.mark.parametrize("height", [1, 100, 101, 350])
def test_one_block_that_differs_is_a_fork(height: int) -> None:
    other = hashes(350)
    other[height - 1] = "f" * 64
    assert compared(Answers({0: hashes(350), 1: other})).forks[0].startswith(f"height {height}: ")


def test_a_final_block_that_a_node_replaces_or_loses_later_is_seen() -> None:
    answers = Answers({0: hashes(50)})
    chain = compared(answers)
    answers.chains[0] = hashes(49)
    assert "ends at height 49, it was at 50" in compared(answers, again=True, chain=chain).forks[0]
    answers.chains[0] = [*hashes(20), "f" * 64, *hashes(60)[21:]]
    assert compared(answers, again=True, chain=chain).forks[-1].startswith("height 21: ")


def test_an_acknowledged_transaction_that_is_gone_or_elsewhere_is_lost() -> None:
    answers = Answers({0: hashes(9)}, {"01" * 32: 5, "02" * 32: 6})
    acknowledged = {bytes([n]) * 32: 5 for n in (1, 2, 3)}
    client = Client(answers, None, random.Random(1), acknowledged=acknowledged)  # type: ignore[arg-type]
    found = asyncio.run(client.lost(0))
    assert [text.split()[1][:2] for text in found] == ["02", "03"]


def test_a_node_that_stands_still_after_healing_is_a_broken_promise() -> None:
    asyncio.run(recovered(Answers({0: hashes(5), 1: hashes(3)}, grows=(0, 1)), 5))  # type: ignore[arg-type]
    with pytest.raises(Broken) as broken:
        asyncio.run(recovered(Answers({0: hashes(5), 1: hashes(3)}, grows=(0,)), 0.2))  # type: ignore[arg-type]
    assert "no block 8 on nodes (node, height): [(1, 3)]" in broken.value.words


def test_a_spoilt_file_differs() -> None:
    chance = random.Random(1)
    assert all(spoilt(bytes(9), chance) != bytes(9) for _ in range(50))
