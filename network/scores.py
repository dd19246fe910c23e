"""What peers have done wrong lately, and who is banned for how long. Pure: the time is handed in.

A score is an integer. Blame subtracts, praise adds a little, and both fade: half is gone after ten minutes. At -100 the
peer is banned, by its key and, if it dialled us, by its IP address, for an hour, then two, up to a day. Times are
milliseconds of a clock that never goes back; what is saved is how long a ban still lasts, so that a wrong date can
neither end it nor prolong it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

BAN_AT, RETURN_AT, CREDIT_MAXIMUM = -100, -50, 20
SLOW_POINTS, SLOW_AT = 10, -50  # blame of so few points takes nobody below this
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
BAN_MS, BAN_MAXIMUM_MS = HOUR_MS, DAY_MS
SEED_BAN_MS, SEED_BAN_MAXIMUM_MS = MINUTE_MS, 10 * MINUTE_MS
RECORDS_MAXIMUM, REASONS_MAXIMUM, REASON_CHARACTERS = 4_096, 8, 160
ADDRESS_CHARACTERS = 272
_KEPT_PER_MINUTE = 933  # of 1,000: 0.933 ^ 10 is one half
_DOUBLINGS_MAXIMUM = 16


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban in force, for people."""

    key: bytes
    address: str
    host: str  # IP address, or /64 of it, that is banned too; empty if only the key is
    remaining_ms: int
    count: int  # how many bans in a row, this one included
    reasons: tuple[str, ...]  # the latest last


@dataclass(slots=True)
class _Record:
    address: str = ""
    host: str = ""
    milli: int = 0  # thousandths of a point
    at_ms: int = 0  # when `milli` was that
    bans: int = 0
    until_ms: int = 0  # 0: not banned, or no longer
    ended_ms: int = 0  # when the last ban ended
    reasons: deque[str] = field(default_factory=lambda: deque(maxlen=REASONS_MAXIMUM))

    def settle(self, now_ms: int) -> None:
        """Let the past fade up to now."""
        if self.until_ms and now_ms >= self.until_ms:
            # Who comes back starts below zero, but not one fault away from the next ban.
            self.milli, self.at_ms = RETURN_AT * 1_000, self.until_ms
            self.ended_ms, self.until_ms, self.host = self.until_ms, 0, ""
        if not self.until_ms and self.bans and now_ms - self.ended_ms > DAY_MS:
            self.bans = 0
        if not self.milli:
            self.at_ms = now_ms
            return
        minutes = max(0, now_ms - self.at_ms) // MINUTE_MS
        self.at_ms += minutes * MINUTE_MS
        for _ in range(min(minutes, 400)):
            sign = 1 if self.milli > 0 else -1
            self.milli = sign * (abs(self.milli) * _KEPT_PER_MINUTE // 1_000)


class Scores:
    """Scores and bans of all peers that have been noticed. Bounded, whatever keys strangers make up."""

    def __init__(self) -> None:
        self._records: dict[bytes, _Record] = {}
        self._hosts: dict[str, int] = {}  # banned host → until when

    def score(self, key: bytes, now_ms: int) -> int:
        """Points, negative for a peer that misbehaves; 0 for a stranger."""
        record = self._settled(key, now_ms)
        return 0 if record is None else abs(record.milli) // 1_000 * (1 if record.milli > 0 else -1)

    def reasons(self, key: bytes) -> tuple[str, ...]:
        record = self._records.get(key)
        return () if record is None else tuple(record.reasons)

    def praise(self, key: bytes, now_ms: int) -> None:
        """One point more, up to 20."""
        record = self._get(key, now_ms)
        record.milli = max(record.milli, min(record.milli + 1_000, CREDIT_MAXIMUM * 1_000))

    def blame(self, key: bytes, address: str, points: int, reason: str, now_ms: int) -> bool:
        """Subtract points; true if the peer is due to be banned. A fault worth a ban is one whatever came before."""
        record = self._get(key, now_ms)
        if points >= -BAN_AT:
            record.milli = min(record.milli, 0)
        # Slowness alone never bans: a machine that was paused, or whose own line is bad, finds all its peers slow, and
        # would shut itself out of its network.
        lowest = SLOW_AT if points <= SLOW_POINTS else 2 * BAN_AT
        record.milli = min(record.milli, max(record.milli - points * 1_000, lowest * 1_000))
        record.address = address[:ADDRESS_CHARACTERS]
        record.reasons.append(cleaned(reason))
        return record.milli <= BAN_AT * 1_000 and not record.until_ms

    def ban(self, key: bytes, host: str, is_seed: bool, now_ms: int) -> Ban:
        """Shut the peer out. `host` is banned as long, unless it is empty."""
        record = self._get(key, now_ms)
        record.bans += 1
        doublings = min(record.bans - 1, _DOUBLINGS_MAXIMUM)
        # The user named the seeds: if all our seeds seem to misbehave, the fault is likely ours (a bug, a version
        # mismatch, a broken disk), and long bans would cut this node off from its network.
        first, maximum = (SEED_BAN_MS, SEED_BAN_MAXIMUM_MS) if is_seed else (BAN_MS, BAN_MAXIMUM_MS)
        record.until_ms = now_ms + min(first << doublings, maximum)
        record.host = host
        if host:
            self._hosts[host] = max(record.until_ms, self._hosts.get(host, 0))
        return self._shown(key, record, now_ms)

    def lift(self, key: bytes, now_ms: int) -> bool:
        """End a ban, and forget what led to it; false if there was none."""
        record = self._settled(key, now_ms)
        if record is None or not record.until_ms:
            return False
        if record.host:
            self._hosts.pop(record.host, None)
        del self._records[key]
        return True

    def banned_ms(self, key: bytes, now_ms: int) -> int:
        """How long the key is still banned; 0 if it is not."""
        record = self._settled(key, now_ms)
        return 0 if record is None else max(0, record.until_ms - now_ms)

    def banned_host_ms(self, host: str, now_ms: int) -> int:
        """How long the host, as `address.machine_of` names it, is still banned; 0 if it is not."""
        until = self._hosts.get(host, 0)
        if until and until <= now_ms:
            del self._hosts[host]
        return max(0, until - now_ms)

    def bans(self, now_ms: int) -> list[Ban]:
        """All bans in force, the one that lasts longest first."""
        shown = [self._shown(key, record, now_ms) for key, record in self._records.items() if record.until_ms > now_ms]
        return sorted(shown, key=lambda ban: (-ban.remaining_ms, ban.key))

    def to_plain(self, now_ms: int) -> list[list[Any]]:
        """All that has to outlive a restart, in terms of JSON."""
        for record in self._records.values():
            record.settle(now_ms)
        return [
            [
                key.hex(),
                record.address,
                record.host,
                record.milli,
                record.bans,
                max(0, record.until_ms - now_ms),
                max(0, now_ms - record.ended_ms),
                list(record.reasons),
            ]
            for key, record in self._records.items()
            if record.milli or record.bans or record.until_ms
        ]

    @classmethod
    def from_plain(cls, rows: Iterable[Any], now_ms: int) -> "Scores":
        """What `to_plain` gave. Raises ValueError or TypeError for anything else."""
        scores = cls()
        for key, address, host, milli, bans, remaining_ms, since_ms, reasons in rows:
            if not all(isinstance(number, int) for number in (milli, bans, remaining_ms, since_ms)):
                raise ValueError("a number is not one")
            record = _Record(str(address)[:ADDRESS_CHARACTERS], str(host)[:64], at_ms=now_ms)
            record.milli = min(max(milli, 2 * BAN_AT * 1_000), CREDIT_MAXIMUM * 1_000)
            record.bans = min(max(bans, 0), 1_000)
            if remaining_ms > 0:
                record.until_ms = now_ms + min(remaining_ms, BAN_MAXIMUM_MS)
                if record.host:
                    scores._hosts[record.host] = record.until_ms
            record.ended_ms = now_ms - max(0, since_ms)
            record.reasons.extend(cleaned(str(reason)) for reason in reasons)
            scores._make_room(now_ms)
            scores._records[bytes.fromhex(key)] = record
        return scores

    def _settled(self, key: bytes, now_ms: int) -> _Record | None:
        record = self._records.get(key)
        if record is not None:
            record.settle(now_ms)
        return record

    def _get(self, key: bytes, now_ms: int) -> _Record:
        record = self._settled(key, now_ms)
        if record is None:
            self._make_room(now_ms)
            record = self._records[key] = _Record(at_ms=now_ms, ended_ms=now_ms)
        return record

    def _shown(self, key: bytes, record: _Record, now_ms: int) -> Ban:
        remaining = record.until_ms - now_ms
        return Ban(key, record.address, record.host, remaining, record.bans, tuple(record.reasons))

    def _make_room(self, now_ms: int) -> None:
        """Forget an eighth when there are too many: first who has done nothing bad, bans that last longest last."""
        if len(self._records) < RECORDS_MAXIMUM:
            return
        for record in self._records.values():
            record.settle(now_ms)
        order = sorted(self._records, key=lambda key: self._weight(self._records[key]))
        for key in order[: RECORDS_MAXIMUM // 8]:
            del self._records[key]
        self._hosts = {record.host: record.until_ms for record in self._records.values() if record.host}

    @staticmethod
    def _weight(record: _Record) -> tuple[int, int, int]:
        return record.until_ms, record.bans, max(0, -record.milli)


def cleaned(reason: str) -> str:
    """A stranger's words, fit for one line of a log or a page."""
    return "".join(sign if sign.isprintable() else "?" for sign in reason[:REASON_CHARACTERS])
