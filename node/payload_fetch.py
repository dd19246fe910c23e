"""Payloads of past rounds for a stopped node, from others: what `archive verify` makes the weights again from."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from network.pages import Wanted
from node.archive_stored import Progress
from node.past_rounds import payloads_of
from node.payload_store import PayloadStore
from node.remote_blobs import NobodyHasIt, RemoteBlobs
from node.store import Store

AT_ONCE = 4


@dataclass(slots=True)
class Missing:
    """A payload that the ledger counts and that is not here."""

    round: int
    root: bytes


@dataclass(slots=True)
class Fetched:
    """What a run came to. `left`: what nobody had, with the reasons of the first."""

    payloads: int = 0
    left: list[Missing] = field(default_factory=list)
    why: str = ""


def missing_payloads(store: Store, payloads: PayloadStore) -> Iterator[Missing]:
    """In the order of the rounds, each once; a damaged one is missing. Raises StoreError where blocks are not kept."""
    state, seen = store.state(), set[bytes]()
    for number in range(1, state.ledger.ended_round + 1):
        for counted in payloads_of(store, state, number):
            if counted.payload_root not in seen and not payloads.has(counted.payload_root):
                seen.add(counted.payload_root)
                yield Missing(number, counted.payload_root)


async def fetch_payloads(
    missing: Sequence[Missing], size: int, payloads: PayloadStore, remote: RemoteBlobs, progress: Progress
) -> Fetched:
    """Fetch payloads of `size` bytes each, a few at once, each from all nodes. What nobody has is no error.

    Raises NodeError.
    """
    found, turn, done = Fetched(), asyncio.Semaphore(AT_ONCE), 0

    async def bring(each: Missing) -> None:
        nonlocal done
        async with turn:
            try:
                await remote.fetch(Wanted(each.root, size, size), payloads.path(each.root))
                found.payloads += 1
            except NobodyHasIt as error:
                found.left.append(each)
                found.why = found.why or str(error)
        done += 1
        progress(done, len(missing))

    tasks = [asyncio.create_task(bring(each)) for each in missing]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found.left.sort(key=lambda each: each.round)
    return found
