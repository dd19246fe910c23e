"""Whom to dial and when: the user's seeds for ever, the anchors of the last life, then addresses from the book.

Start reading at `Dialling`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from network.address import machine_of
from network.address_book import AddressBook, Entry
from network.connection import Connection
from network.errors import BadAddress, Busy, NetworkError, Ourselves
from network.links import Links
from network.subnets import Address, group_of, ip_of, is_exempt, read_address

LOG = logging.getLogger("neuroshard.network")

BACKOFF_MS, BACKOFF_MAXIMUM_MS = 500, 30_000
LOST_MS, BACKOFF_LOST_MAXIMUM_MS = 600_000, 5_000  # a seed that was there ten minutes ago is looked for more often
LASTING_MS = 10_000  # a connection that lasted so long was a good one
AT_ONCE_MAXIMUM = 4  # dials under way to addresses of the book
ASKED_MAXIMUM = 16  # the same, with those that the user asked for
LOOK_MS = 1_000  # how often the book is looked through when nothing happens
REFUSED_MS = 60_000  # until an address whose node sent us away is dialled again


class Backoff:
    """Growing pauses with chance in them, so that nodes that lost one peer at a time do not come back at a time."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pause_ms = BACKOFF_MS

    def reset(self) -> None:
        self._pause_ms = BACKOFF_MS

    def next_ms(self, maximum_ms: int = BACKOFF_MAXIMUM_MS) -> int:
        """Between half and all of 0.5 s, 1 s, 2 s, … up to the maximum."""
        pause = min(self._pause_ms, maximum_ms)
        self._pause_ms = min(2 * pause, maximum_ms)
        return pause // 2 + self._random.randrange(pause // 2 + 1)


@dataclass(frozen=True, slots=True)
class Origin:
    """Why we have dialled somebody."""

    seed: str = ""
    from_inbound: bool = False


class Host(Protocol):
    """What dialling needs of the switch."""

    links: Links
    book: AddressBook
    seed_keys: dict[str, bytes]

    def now_ms(self) -> int: ...

    def banned_ms(self, key: bytes) -> int: ...

    def banned_host_ms(self, host: str) -> int: ...

    async def serve(self, connection: Connection, origin: Origin) -> str:
        """Keep the connection until it ends; why it did."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user wants."""

    seeds: tuple[str, ...]
    outbound: int
    trusted: int  # of them not through addresses that only inbound peers told us
    allow_local: bool


class Dialling:
    """Runs a task for each seed and one for all other addresses."""

    def __init__(self, plan: Plan, host: Host, dial: Callable[[str], Awaitable[Connection]], random: Random) -> None:
        self.plan = plan
        self._host = host
        self._dial = dial
        self._random = random
        self._anchors: list[Address] = []
        self._under_way: dict[Address, bool] = {}  # → whether only inbound peers told us
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, anchors: Iterable[Address], on_error: Callable[[BaseException], None]) -> None:
        self._anchors = list(anchors)
        self._on_error = on_error
        for seed in self.plan.seeds:
            self._run(self._keep(seed))
        self._run(self._fill())

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def changed(self) -> None:
        """A peer has come or gone: look at once whether to dial."""
        self._changed.set()

    def try_once(self, address: Address) -> None:
        """Dial an address because the user says so; nothing happens if that is under way. Raises Busy."""
        if address in self._under_way:
            return
        if len(self._under_way) >= ASKED_MAXIMUM:
            raise Busy(f"{len(self._under_way)} addresses are being dialled already")
        self._under_way[address] = False
        self._run(self._try(address, False))

    # ---- Seeds

    async def _keep(self, seed: str) -> None:
        """Stay connected with one seed for ever. A name is resolved again at each dial."""
        backoff, told, lost_ms = Backoff(self._random), "", -LOST_MS
        while True:
            await self._until_wanted(seed)
            try:
                connection = await self._dial(seed)
            except Ourselves as error:
                if self._forget_own(seed):
                    LOG.info("peer %s is this node itself", seed)
                    return
                told = self._tell(seed, f"is not reached, trying again: {error}", told)
            except BadAddress as error:
                LOG.warning("peer %s is never dialled: %s", seed, error)
                return
            except NetworkError as error:
                told = self._tell(seed, f"is not reached, trying again: {error}", told)
            else:
                began_ms = self._host.now_ms()
                reason = await self._host.serve(connection, Origin(seed))
                if self._host.now_ms() - began_ms >= LASTING_MS:
                    lost_ms, told = self._host.now_ms(), ""
                    backoff.reset()
                if connection.peer.key not in self._host.links:  # else another connection with it stays
                    told = self._tell(seed, f"has left, dialling again: {reason}", told)
            is_lost = self._host.now_ms() - lost_ms < LOST_MS
            await asyncio.sleep(backoff.next_ms(BACKOFF_LOST_MAXIMUM_MS if is_lost else BACKOFF_MAXIMUM_MS) / 1_000)

    def _tell(self, seed: str, news: str, told: str) -> str:
        """The same trouble again is no news."""
        if news != told:
            LOG.info("peer %s %s", seed, news)
        return news

    async def _until_wanted(self, seed: str) -> None:
        """Wait while the seed is connected otherwise (it dialled us) or banned."""
        key = self._host.seed_keys.get(seed)
        while key is not None and (key in self._host.links or self._host.banned_ms(key)):
            await asyncio.sleep(min(BACKOFF_MS, self._host.banned_ms(key) or BACKOFF_MS) / 1_000)

    def _forget_own(self, seed: str) -> bool:
        """Whether the seed can be forgotten: a name may lead to another node the next time."""
        address = read_address(seed)
        if ip_of(address.host) is None:
            return False
        self._host.book.forget_own(address)
        return True

    # ---- The book

    async def _fill(self) -> None:
        """Keep as many outbound peers as are wanted."""
        while True:
            self._changed.clear()
            while (found := self._next()) is not None:
                address, from_inbound = found
                self._under_way[address] = from_inbound
                self._run(self._try(address, from_inbound))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_MS / 1_000):
                    await self._changed.wait()

    def _next(self) -> tuple[Address, bool] | None:
        outbound = [link for link in self._host.links if link.peer.outbound]
        if len(self._under_way) >= AT_ONCE_MAXIMUM or len(outbound) + len(self._under_way) >= self.plan.outbound:
            return None
        derived = sum(link.from_inbound for link in outbound) + sum(self._under_way.values())
        takes_derived = derived < self.plan.outbound - self.plan.trusted
        avoid = self._avoid()
        while self._anchors:
            address = self._anchors.pop(0)
            entry = self._host.book.get(address) or Entry(address, "", "", from_inbound=False)
            if not avoid(entry):
                return address, entry.from_inbound
        chosen = self._host.book.choose(
            self._host.now_ms(), lambda entry: avoid(entry) or (entry.from_inbound and not takes_derived)
        )
        return None if chosen is None else (chosen.address, chosen.from_inbound)

    def _avoid(self) -> Callable[[Entry], bool]:
        """What not to dial now: who is connected or banned, and a second peer of one provider."""
        host, local = self._host, self.plan.allow_local
        near = {link.address for link in host.links if link.peer.outbound} | set(self._under_way)
        groups = {group_of(address.host) for address in near if not is_exempt(address.host, local)}
        seeds = set(self._host.seed_keys.values())

        def avoid(entry: Entry) -> bool:
            if entry.address in near or str(entry.address) in self.plan.seeds or host.book.is_own(entry.address):
                return True
            if entry.key and (entry.key in host.links or entry.key in seeds or host.banned_ms(entry.key)):
                return True
            if entry.claimed_by and entry.claimed_by in host.links:
                return True
            if entry.subnet and host.banned_host_ms(machine_of(entry.address.host)):
                return True
            return bool(entry.subnet) and group_of(entry.address.host) in groups

        return avoid

    async def _try(self, address: Address, from_inbound: bool) -> None:
        book = self._host.book
        try:
            connection = await self._dial(str(address))
        except Ourselves:
            book.forget_own(address)
        except NetworkError:
            book.failed(address, self._host.now_ms(), is_online=len(self._host.links) > 0)
        else:
            began = self._host.now_ms()
            del self._under_way[address]
            await self._host.serve(connection, Origin(from_inbound=from_inbound))
            now_ms = self._host.now_ms()
            book.parted(address, now_ms, BACKOFF_MS if now_ms - began >= LASTING_MS else REFUSED_MS)
        finally:
            self._under_way.pop(address, None)
            self._changed.set()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)
