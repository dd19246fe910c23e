"""Where other nodes may be: what has been heard, and where somebody was met. Pure: time and chance are handed in.

Anybody can name any number of addresses, so what one source, one subnet and all together may put in is bounded, and
what we have dialled ourselves with success (`met`) is never displaced by what was only heard. An address also keeps
whether it came from a peer that dialled us: such peers choose us, and could surround us with friends of theirs.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from network.subnets import Address, group_of, is_exempt, is_usable, read_address, subnet_of

HEARD_MAXIMUM, MET_MAXIMUM = 1_500, 500
PER_SOURCE_MAXIMUM = 200  # heard, from one /16 or /32 of those who tell
PER_SUBNET_MAXIMUM = 16  # heard and met, in one /24 or /48
HEARD_FAILURES, MET_FAILURES = 3, 10  # dials in vain until an address is forgotten
RETRY_MS, RETRY_MAXIMUM_MS = 2_000, 600_000
LOST_MS, RETRY_LOST_MAXIMUM_MS = 3_600_000, 15_000  # who was there an hour ago is looked for more often
OWN_MAXIMUM = 64
OURSELVES = ""  # the source of what we found out without a peer


@dataclass(slots=True)
class Entry:
    """One address. It was heard of only while `key` is empty."""

    address: Address
    subnet: str  # /24 or /48 around it; empty if it is outside all limits
    source: str  # /16 or /32 of the peer that told us
    from_inbound: bool  # only peers that dialled us have told us
    claimed_by: bytes = b""  # the key of the one peer that says it listens there; nobody else has told us
    key: bytes = b""  # who answered there last
    met_s: int = 0  # when, Unix time in seconds
    failures: int = 0  # dials in vain since
    next_dial_ms: int = 0  # not to be dialled before
    there_ms: int | None = None  # when it was last connected in this life of ours


class AddressBook:
    """At most 2,000 addresses. Times in milliseconds are of a clock that never goes back."""

    def __init__(self, random: Random, allow_local: bool) -> None:
        self._random = random
        self._allow_local = allow_local
        self._entries: dict[Address, Entry] = {}
        self._own: dict[Address, None] = {}
        self._near: Counter[str] = Counter()  # addresses by subnet
        self._told: Counter[str] = Counter()  # addresses only heard, by source

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, address: Address) -> Entry | None:
        return self._entries.get(address)

    def add(self, address: Address, source_host: str, from_inbound: bool, claimed_by: bytes = b"") -> bool:
        """Note what a peer at `source_host` told us, of itself if its key is `claimed_by`; false if it was left out."""
        known = self._entries.get(address)
        if known is not None:
            known.from_inbound = known.from_inbound and from_inbound
            if known.claimed_by != claimed_by:
                known.claimed_by = b""  # Else a peer could claim the addresses of others, to keep us from them.
            return True
        if address in self._own or not is_usable(address, self._allow_local):
            return False
        source = group_of(source_host)
        if not self._has_room(address, source):
            return False
        self._put(Entry(address, self._subnet(address), source, from_inbound, claimed_by))
        return True

    def met(self, address: Address, key: bytes, now_s: int) -> None:
        """We dialled this address, and the owner of `key` answered."""
        entry = self._entries.get(address)
        if entry is None:
            if not is_usable(address, self._allow_local):
                return
            entry = Entry(address, self._subnet(address), OURSELVES, from_inbound=False)
        else:
            self._drop(address)
        entry.key, entry.met_s, entry.failures, entry.next_dial_ms = key, now_s, 0, 0
        met = [other for other in self._entries.values() if other.key]
        if len(met) >= MET_MAXIMUM:
            self._drop(min(met, key=lambda other: other.met_s).address)
        self._put(entry)

    def parted(self, address: Address, now_ms: int, pause_ms: int) -> None:
        """The connection to this address has ended: do not dial it again before the pause is over."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.there_ms, entry.next_dial_ms = now_ms, now_ms + pause_ms

    def failed(self, address: Address, now_ms: int, is_online: bool) -> None:
        """We dialled in vain. While we reach nobody (not `is_online`) the fault may be ours, and nothing counts."""
        entry = self._entries.get(address)
        if entry is None:
            return
        is_lost = entry.there_ms is not None and now_ms - entry.there_ms < LOST_MS
        maximum = RETRY_LOST_MAXIMUM_MS if is_lost else RETRY_MAXIMUM_MS
        entry.next_dial_ms = now_ms + min(RETRY_MS << min(entry.failures, 10), maximum)
        if not is_online:
            return
        entry.failures += 1
        if not is_lost and entry.failures >= (MET_FAILURES if entry.key else HEARD_FAILURES):
            self._drop(address)

    def forget_own(self, address: Address) -> None:
        """Ourselves answer there: never dial or tell it again."""
        if address in self._entries:
            self._drop(address)
        self._own[address] = None
        if len(self._own) > OWN_MAXIMUM:
            del self._own[next(iter(self._own))]

    def is_own(self, address: Address) -> bool:
        return address in self._own

    def choose(self, now_ms: int, avoid: Callable[[Entry], bool]) -> Entry | None:
        """One to dial: met or heard with equal chance, so that neither old friends nor a flood of news decide alone."""
        due = [entry for entry in self._entries.values() if entry.next_dial_ms <= now_ms and not avoid(entry)]
        met = [entry for entry in due if entry.key]
        heard = [entry for entry in due if not entry.key]
        pool = met if met and (not heard or self._random.random() < 0.5) else heard
        return self._random.choice(pool) if pool else None

    def sample(self, count: int) -> list[Address]:
        """Up to `count` addresses to tell a peer, by chance, without those that failed last."""
        good = [entry.address for entry in self._entries.values() if not entry.failures]
        return self._random.sample(good, min(count, len(good)))

    def to_plain(self) -> list[list[Any]]:
        """All of it in terms of JSON."""
        return [
            [str(entry.address), entry.source, entry.from_inbound, entry.key.hex(), entry.met_s, entry.failures]
            for entry in self._entries.values()
        ]

    def load(self, rows: Iterable[Any]) -> None:
        """Take what `to_plain` gave. Raises ValueError, TypeError or BadAddress for anything else."""
        for text, source, from_inbound, key, met_s, failures in rows:
            address = read_address(text)
            if not (isinstance(met_s, int) and isinstance(failures, int) and isinstance(source, str)):
                raise ValueError("an address is told in another way")
            if is_usable(address, self._allow_local) and address not in self._entries:
                entry = Entry(address, self._subnet(address), source, bool(from_inbound))
                entry.key = bytes.fromhex(key)
                entry.met_s, entry.failures = met_s, max(0, failures)
                self._put(entry)
            if len(self._entries) >= HEARD_MAXIMUM + MET_MAXIMUM:
                return

    def _subnet(self, address: Address) -> str:
        return "" if is_exempt(address.host, self._allow_local) else subnet_of(address.host)

    def _put(self, entry: Entry) -> None:
        self._entries[entry.address] = entry
        self._near[entry.subnet] += 1
        if not entry.key:
            self._told[entry.source] += 1

    def _drop(self, address: Address) -> None:
        entry = self._entries.pop(address)
        _lower(self._near, entry.subnet)
        if not entry.key:
            _lower(self._told, entry.source)

    def _has_room(self, address: Address, source: str) -> bool:
        """Whether one more heard address fits; the source that has told most gives way if it is another one."""
        subnet = self._subnet(address)
        if subnet and self._near[subnet] >= PER_SUBNET_MAXIMUM:
            return False
        if self._told[source] >= PER_SOURCE_MAXIMUM:
            return False
        if self._told.total() < HEARD_MAXIMUM:
            return True
        loudest, most = self._told.most_common(1)[0]
        if self._told[source] + 1 >= most:
            return False
        crowd = [entry for entry in self._entries.values() if not entry.key and entry.source == loudest]
        self._drop(max(crowd, key=lambda entry: (entry.failures, self._random.random())).address)
        return True


def _lower(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
