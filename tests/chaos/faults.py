"""The faults: each strikes one or a few nodes, lasts for a while, and heals what it did. A seed draws them."""

import asyncio
import errno
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.fleet import Broken, Fleet
from tests.chaos.promises import Chain

FULL_DISK_SECONDS = 30.0
KEPT_WHEN_WIPED = ("keystore.json", "keystore.password", "network", "node-key", "schema")


@dataclass
class Striker:
    """What has been done to the nodes so far."""

    fleet: Fleet
    chain: Chain
    chance: random.Random
    strikes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what was seen, of disks and spoilt files

    async def strike(self, kind: str) -> None:
        """One fault of this kind, from its beginning to its healing."""
        self.strikes[kind] = self.strikes.get(kind, 0) + 1
        await FAULTS[kind](self)

    @asynccontextmanager
    async def held(self, most: int, among: list[int] | None = None) -> AsyncIterator[list[int]]:
        """Up to so many nodes, which no other fault will touch; nobody if none is free."""
        free = [number for number in self.fleet.free() if among is None or number in among]
        chosen = self.chance.sample(free, min(most, len(free)))
        self.fleet.held |= set(chosen)
        try:
            yield chosen
        finally:
            self.fleet.held -= set(chosen)

    async def pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most))

    async def rise(self, number: int) -> None:
        self.fleet.start(number)
        await self.fleet.up(number)


async def kill(striker: Striker) -> None:
    """One node, once or several times, also while it starts."""
    async with striker.held(1) as chosen:
        for number in chosen:
            for _ in range(striker.chance.randint(1, 3)):
                striker.fleet.kill(number)
                await striker.pause(0.0, 0.8)
                striker.fleet.start(number)
                await striker.pause(0.0, 1.5)
            await striker.fleet.up(number)


async def kill_some(striker: Striker) -> None:
    """Two to all nodes at the same moment: more than the chain can bear, so it has to wait for them."""
    count = len(striker.fleet.numbers)
    async with striker.held(striker.chance.randint(min(2, count), count)) as chosen:
        for number in chosen:
            striker.fleet.kill(number)
        await striker.pause(0.0, 1.0)
        await asyncio.gather(*(striker.rise(number) for number in chosen))


async def pause(striker: Striker) -> None:
    """A process stands still, as on a machine that sleeps, and goes on as if nothing had been."""
    async with striker.held(striker.chance.randint(1, 2)) as chosen:
        for number in chosen:
            os.kill(striker.fleet.members[number].process.pid, signal.SIGSTOP)
        await striker.pause(0.3, 6.0)
        for number in chosen:
            with suppress(ProcessLookupError):
                os.kill(striker.fleet.members[number].process.pid, signal.SIGCONT)


async def partition(striker: Striker) -> None:
    """The nodes fall into two groups that do not hear each other, or a few pairs do not."""
    numbers = striker.fleet.numbers
    pairs = [(a, b) for a in numbers for b in numbers if a < b]
    if not pairs:
        return
    if striker.chance.random() < 0.7:
        side = set(striker.chance.sample(numbers, striker.chance.randint(1, len(numbers) - 1)))
        pairs = [(a, b) for a, b in pairs if (a in side) != (b in side)]
    else:
        pairs = striker.chance.sample(pairs, striker.chance.randint(1, len(pairs)))
    await striker.fleet.links.cut(pairs)
    await striker.pause(0.5, 8.0)
    await striker.fleet.links.heal()


async def restart(striker: Striker) -> None:
    """Ended as Ctrl-C does, and started again."""
    async with striker.held(1) as chosen:
        for number in chosen:
            member = striker.fleet.members[number]
            member.process.send_signal(signal.SIGINT)
            status = await striker.fleet.ended(number, 60)
            if status != 0:
                raise Broken(f"node {number} was asked to end: {status}, {member.end}")
            await striker.pause(0.0, 1.0)
            await striker.rise(number)


async def clock(striker: Striker) -> None:
    """A node starts anew with a clock that is wrong by up to a second or an hour; later it is right."""
    async with striker.held(1) as chosen:
        for number in chosen:
            wide = 1_000 if striker.chance.random() < 0.6 else 3_600_000
            striker.fleet.clocks[number] = striker.chance.randint(-wide, wide)
            striker.fleet.kill(number)
            await striker.rise(number)
            await striker.pause(1.0, 5.0)
            del striker.fleet.clocks[number]
            striker.fleet.kill(number)
            await striker.rise(number)


async def full_disk(striker: Striker) -> None:
    """The disk of a node fills up: it may live on, or end with a sentence; with room again it comes up."""
    async with striker.held(1, list(striker.fleet.small_disks)) as chosen:
        for number in chosen:
            filler = striker.fleet.plan.home(number) / "filler"
            fill(filler)
            status = await striker.fleet.ended(number, FULL_DISK_SECONDS)
            said = striker.fleet.said(number)
            filler.unlink()
            striker.notes.append(f"full disk: {said or 'it went on'}")
            if status is not None:
                if status != 1 or "disk" not in said:
                    raise Broken(f"full disk of node {number}: {said}")
                await striker.rise(number)


def fill(path: Path) -> None:
    """Leave no room on the disk of this file."""
    with path.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                size //= 2


async def flip(striker: Striker) -> None:
    """Bytes of a killed node's file change: it recovers, or refuses in words until the file is as it was."""
    async with striker.held(1) as chosen:
        for number in chosen:
            fleet, home = striker.fleet, striker.fleet.plan.home(number)
            fleet.kill(number)
            path = striker.chance.choice(spoilable(home))
            honest, name = path.read_bytes(), path.relative_to(home)
            path.write_bytes(spoilt(honest, striker.chance))
            fleet.start(number)
            with suppress(Broken):
                await fleet.up(number)
            # A table of the database is read only when it is needed: it may come up, and refuse later.
            status = await fleet.ended(number, striker.chance.uniform(0.5, 3.0))
            said = fleet.said(number)
            striker.notes.append(f"spoilt {name}: {said or 'it came up and went on'}")
            if status is None:
                fleet.kill(number)
            elif status != 1 or ": neuroshard: " not in said:
                raise Broken(f"spoilt {name}: {said}")
            if path.exists() and (status is not None or path.suffix == ".ldb"):
                path.write_bytes(honest)
            await striker.rise(number)


def spoilable(home: Path) -> list[Path]:
    """Files that hold what a node knows of the chain, its votes and its peers."""
    found = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size]
    return sorted(path for path in found if path.name not in ("lock", "LOCK", "filler") and "logs" not in path.parts)


def spoilt(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] ^= chance.randint(1, 255)
    return bytes(changed)


async def anew(striker: Striker) -> None:
    """An observer loses all but its wallet, and joins again."""
    observers = [number for number in striker.fleet.numbers if number >= striker.fleet.plan.founders]
    async with striker.held(1, observers) as chosen:
        for number in chosen:
            striker.fleet.kill(number)
            for path in striker.fleet.plan.home(number).iterdir():
                if path.name not in KEPT_WHEN_WIPED:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            striker.chain.forget(number)
            await striker.rise(number)


FAULTS: dict[str, Callable[[Striker], Awaitable[None]]] = {
    "kill": kill,
    "kill some": kill_some,
    "pause": pause,
    "partition": partition,
    "restart": restart,
    "clock": clock,
    "full disk": full_disk,
    "spoilt file": flip,
    "begin anew": anew,
}
WEIGHTS = {
    "kill": 50,
    "kill some": 12,
    "pause": 12,
    "partition": 14,
    "restart": 4,
    "clock": 4,
    "full disk": 3,
    "spoilt file": 5,
    "begin anew": 3,
}
