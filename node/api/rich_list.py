"""Who owns most: one pass over all accounts, with memory for the first places only."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappush, heappushpop, merge
from itertools import groupby

from chain.address import to_text
from chain.stakes import Stake, Unbonding
from chain.state import Account, Vesting
from node.api.block_answers import Json
from node.api.reads import Reads
from node.store import Store

RANKS = 1_000  # places that are told
FRESH_SECONDS = 10.0
SHARE = 20  # a list is used for so many times as long as it took: ranking never takes a core for itself
ADDRESS = slice(2, 23)  # of an address in a state key, which stands behind its two letters
BALANCE, BONDED, UNBONDING, VESTING = range(4)


@dataclass(frozen=True, slots=True)
class Owner:
    """What an address owns: balance, stake, stake that is leaving, and rewards that vest."""

    address: bytes
    parts: tuple[int, int, int, int]

    @property
    def total(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The richest of all accounts that own something, at a height."""

    height: int
    accounts: int
    circulating: int
    richest: tuple[Owner, ...]


def ranked(store: Store, ranks: int = RANKS) -> Ranking:
    """Every account is looked at; equal ones stand in the order of their addresses."""
    heap: list[tuple[int, bytes, Owner]] = []
    accounts = 0
    for owner in owners(store):
        accounts += 1
        # The lowest is thrown out first: least nanos, then the last address.
        place = owner.total, bytes(255 - byte for byte in owner.address), owner
        if len(heap) < ranks:
            heappush(heap, place)
        else:
            heappushpop(heap, place)
    richest = tuple(owner for *_, owner in sorted(heap, key=lambda place: place[:2], reverse=True))
    return Ranking(store.height, accounts, store.state().supply.circulating, richest)


def owners(store: Store) -> Iterator[Owner]:
    """Everybody who owns anything, by address: the records of the state that name an address lie in this order."""
    streams = [
        _amounts(store, b"sa", BALANCE),
        _amounts(store, b"sb", BONDED),
        _amounts(store, b"su", UNBONDING),
        sorted((wallet, VESTING, amount) for wallet, amount in _vesting(store).items()),
    ]
    for address, found in groupby(merge(*streams), key=lambda each: each[0]):
        parts = [0, 0, 0, 0]
        for _, part, amount in found:
            parts[part] += amount
        if any(parts):
            yield Owner(address, (parts[0], parts[1], parts[2], parts[3]))


def _amounts(store: Store, prefix: bytes, part: int) -> Iterator[tuple[bytes, int, int]]:
    for key, data in store.database.items(prefix):
        yield key[ADDRESS], part, _amount(data, part)


def _amount(data: bytes, part: int) -> int:
    if part == BALANCE:
        return Account.decode(data).balance
    return Stake.decode(data).bonded if part == BONDED else Unbonding.decode(data).amount


def _vesting(store: Store) -> Counter[bytes]:
    """By wallet. There are as many records as seats in the rounds that are not released."""
    found: Counter[bytes] = Counter()
    for _, data in store.database.items(b"sv"):
        record = Vesting.decode(data)
        found[record.wallet] += record.amount
    return found


def rich_page(ranking: Ranking, limit: int, cursor: int | None) -> Json:
    """The accounts behind the cursor's rank."""
    first = cursor or 0
    shown = ranking.richest[first : first + limit]
    last = first + len(shown)
    return {
        "height": ranking.height,
        "accounts_total": ranking.accounts,
        "accounts": [owner_fields(rank, owner, ranking.circulating) for rank, owner in enumerate(shown, first + 1)],
        "next_cursor": str(last) if last < len(ranking.richest) and shown else None,
    }


def owner_fields(rank: int, owner: Owner, circulating: int) -> Json:
    names = ("balance_nanos", "bonded_nanos", "unbonding_nanos", "vesting_nanos")
    amounts: Iterable[tuple[str, int]] = zip(names, owner.parts, strict=True)
    return {
        "rank": rank,
        "address": to_text(owner.address),
        **{name: str(amount) for name, amount in amounts},
        "total_nanos": str(owner.total),
        "share_basis_points": owner.total * 10_000 // circulating,
    }


class RichList:
    """The newest ranking, made when somebody asks and the one before is too old, which others are told meanwhile."""

    def __init__(self) -> None:
        self._ranking: Ranking | None = None
        self._until = float("-inf")
        self._making = asyncio.Lock()

    async def page(self, reads: Reads, height: int, limit: int, cursor: int | None) -> Json:
        """`height`: the newest finalized one."""
        if self._ranking is not None and self._making.locked():
            return rich_page(self._ranking, limit, cursor)
        async with self._making:
            ranking = self._ranking
            if ranking is None or (ranking.height != height and time.monotonic() >= self._until):
                begun = time.monotonic()
                ranking = self._ranking = await reads.run(ranked)
                ended = time.monotonic()
                self._until = ended + max(FRESH_SECONDS, SHARE * (ended - begun))
        return rich_page(ranking, limit, cursor)
