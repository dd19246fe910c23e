"""The hand-over as it happens, told in sentences. Start reading at `Story.whole`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chain.money import NEURO
from tests.handover.nodes import Nodes
from tests.handover.record import NAMES

LOOK_SECONDS = 0.5
OTHERS = (1, 2, 3)
ABSENT = 3  # who is ended in the last act
STANDS_SECONDS = 10.0  # for which a chain without a quorum is watched
IN_FLIGHT = 2  # blocks that may become final although nobody votes any more
STAKED_EPOCHS, STAKED_ROUNDS = 2, 2  # that must pass after the founder's end

# Twenty batches a round: four rounds reach the minimum of 100 NEURO, and more than pay the fee of naming a key.
EPOCH_BLOCKS, TRAIN_BLOCKS = 40, 40
TARGET = 300 * NEURO  # of active stake, at which phantom power is gone
NUMBERS = (
    f"chain.rate_batch_nanos={3 * NEURO // 2}",
    f"chain.stake_target_nanos={TARGET}",
    "chain.vest_rounds=1",
    f"chain.epoch_blocks={EPOCH_BLOCKS}",
    "chain.target_epochs=2",
    "chain.unbonding_epochs=3",
    f"chain.train_blocks={TRAIN_BLOCKS}",
    "chain.block_interval_ms=200",
    "chain.block_interval_max_ms=500",
)


class Ended(Exception):
    """An act that did not come to its end."""


@dataclass
class Story:
    """`checks`: what must hold, in words, and whether it did."""

    nodes: Nodes
    seconds: float
    began: float = field(default_factory=time.monotonic)
    checks: dict[str, bool] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    killed: list[int] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        identities = zip(self.nodes.identities, NAMES, strict=True)
        self.names = {each.validator_public_key.hex(): name for each, name in identities}

    def tell(self, sentence: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {sentence}", flush=True)

    def check(self, words: str, holds: bool) -> None:
        self.checks[words] = holds
        self.tell(("It holds: " if holds else "IT DOES NOT HOLD: ") + words)

    def whole(self) -> None:
        """Raises Ended where the story stops short."""
        self.birth()
        self.earning()
        self.stake_alone()
        self.without_the_founder()
        self.all_three_are_needed()

    # ---- Acts

    def birth(self) -> None:
        self.tell("One founder starts, whose vote is phantom power; nobody owns anything.")
        self.nodes.start(0)
        self.until("the founder's first block", lambda seen: self.height(seen) >= 1)
        self.tell("Three others join with --validator. Their wallets are empty.")
        self.nodes.start(*OTHERS)
        self.until("all four to be registered and in the same round", self._all_declared)
        self.times["all_registered"] = self.passed

    def _all_declared(self, seen: Mapping[int, Any]) -> bool:
        return len(seen) == 4 and all(seen[number]["validator"] != "none" for number in OTHERS)

    def earning(self) -> None:
        self.tell("They train. What they earn is minted at the epoch's end, vests for a round, and is bonded.")
        self.until("a first stake in the set", lambda seen: any(s["power_nanos"] != "0" for n, s in seen.items() if n))
        self.times["first_stake_votes"] = self.passed
        self.until("three stakes in the set", lambda seen: all(self._votes(seen, number) for number in OTHERS))
        self.times["three_stakes_vote"] = self.passed

    def _votes(self, seen: Mapping[int, Any], number: int) -> bool:
        return number in seen and int(seen[number]["power_nanos"]) >= 100 * NEURO

    def stake_alone(self) -> None:
        self.until("the phase of stake alone", lambda seen: any(s["phase"] == "staked" for s in seen.values()))
        self.times["stake_alone"] = self.passed
        # The header of an epoch's last block may say so first: the founder leaves the set with the next one.
        self.until("a set without the founder", lambda seen: any(s["validators"] == 3 for s in seen.values()))
        seen = self.look()
        self.check("no phantom power is left", all(s["phantom_nanos"] == "0" for s in seen.values()))
        self.check(
            "three stakes of 100 NEURO are the whole power",
            all(s["total_power_nanos"] == str(300 * NEURO) for s in seen.values()),
        )

    def without_the_founder(self) -> None:
        before = self.look()
        self.nodes.kill(0)
        self.killed.append(0)
        height, rounds = self.height(before), max(int(s["closed_rounds"]) for s in before.values())
        self.told["founder_killed_at_height"] = height
        self.times["founder_killed"] = self.passed
        self.tell(f"The founder is switched off at height {height} (SIGKILL), after {rounds} closed rounds.")
        blocks = STAKED_EPOCHS * EPOCH_BLOCKS
        self.until(f"{blocks} blocks without the founder", lambda seen: self.lowest(seen) >= height + blocks)
        self.until(f"{STAKED_ROUNDS} rounds without it", lambda seen: self._closed(seen) >= rounds + STAKED_ROUNDS)
        self.times["rounds_without_founder"] = self.passed
        seen = self.look()
        self.check("the chain goes on for two epochs without its founder", self.lowest(seen) >= height + blocks)
        self.check("rounds go on closing without the founder", self._closed(seen) >= rounds + STAKED_ROUNDS)

    def _closed(self, seen: Mapping[int, Any]) -> int:
        return min((int(status["closed_rounds"]) for status in seen.values()), default=0)

    def all_three_are_needed(self) -> None:
        """Two of three equal stakes hold two thirds of the power; a quorum holds more."""
        self.nodes.kill(ABSENT)
        self.killed.append(ABSENT)
        self.tell(f"Node {ABSENT} is switched off too: the other two hold two thirds of the power, and not more.")
        time.sleep(1)  # What was on its way has arrived.
        before = self.height(self.look())
        time.sleep(STANDS_SECONDS)
        after = self.height(self.look())
        self.check("with two thirds of the power no block becomes final", after <= before + IN_FLIGHT)
        self.nodes.start(ABSENT)
        self.killed.remove(ABSENT)
        self.until("new blocks with all three", lambda seen: self.lowest(seen) >= after + 5, seconds=90)
        self.check("once it is back the chain goes on", True)

    # ---- Looking

    @property
    def passed(self) -> float:
        return round(time.monotonic() - self.began, 1)

    def look(self) -> dict[int, Any]:
        """What those that run answer, and what is new in it."""
        seen = {}
        for number in self.nodes.running:
            status = self.nodes.status(number)
            if status is not None:
                seen[number] = status
        if fallen := self.nodes.fallen(self.killed):
            raise Ended(f"ended by itself: {'; '.join(fallen)}")
        self._news(seen)
        return seen

    def until(self, words: str, holds: Callable[[dict[int, Any]], bool], seconds: float | None = None) -> None:
        """Look until it holds. Raises Ended after `seconds`, or when the time of the whole story is over."""
        end = (
            self.began + self.seconds if seconds is None else min(time.monotonic(), self.began + self.seconds) + seconds
        )
        while not holds(seen := self.look()):
            if time.monotonic() > end:
                raise Ended(f"waited for {words} in vain: {self._short(seen)}")
            time.sleep(LOOK_SECONDS)

    def _short(self, seen: Mapping[int, Any]) -> str:
        names = ("height", "round", "round_phase", "validator", "power_nanos", "bonded_nanos", "peers")
        return "; ".join(f"node {n}: {', '.join(f'{k} {s[k]}' for k in names)}" for n, s in seen.items()) or "silence"

    def height(self, seen: Mapping[int, Any]) -> int:
        return max((int(status["height"]) for status in seen.values()), default=0)

    def lowest(self, seen: Mapping[int, Any]) -> int:
        return min((int(status["height"]) for status in seen.values()), default=0)

    def _news(self, seen: Mapping[int, Any]) -> None:
        if not seen:
            return
        first = max(seen.values(), key=lambda status: int(status["height"]))
        height = first["height"]
        self._once("phase", first["phase"], f"Height {height}: the phase is {first['phase']}.")
        minted = int(first["minted_nanos"])
        self._once("minted", minted > 0, f"Height {height}: the first {minted / NEURO:.1f} NEURO are minted.")
        closed = int(first["closed_rounds"])
        self._once("closed", closed, f"Height {height}: {closed} rounds have closed, the model has moved on.")
        for number in OTHERS:
            if number in seen:
                bonded = int(seen[number]["bonded_nanos"]) // NEURO
                self._once(f"bond {number}", bonded, f"Height {height}: node {number} has {bonded} NEURO at stake.")
                standing = seen[number]["validator"]
                words = "" if standing == "none" else f"Height {height}: node {number} is now {standing}."
                self._once(f"is {number}", standing, words)
        self._set(next(number for number, status in seen.items() if status is first), first)

    def _once(self, what: str, value: Any, sentence: str) -> None:
        if self.told.get(what) != value:
            self.told[what] = value
            if value and sentence:
                self.tell(sentence)

    def _set(self, number: int, status: Mapping[str, Any]) -> None:
        """Who votes in the epoch that a node is in."""
        page = self.nodes.get(number, "/v1/validators")
        if page is None:
            return
        powers = []
        for member in page["validators"]:
            nanos = int(member["real_power_nanos"]) + int(member["phantom_power_nanos"])
            powers.append(f"{self.names[member['validator_key']]} {nanos / NEURO:.1f}")
        total, active = int(page["total_power_nanos"]) / NEURO, int(status["active_maximum_nanos"]) / NEURO
        self._once(
            "set",
            sorted(powers),
            f"Height {status['height']}, epoch {page['epoch']}: votes have {', '.join(sorted(powers))}, a quorum more "
            f"than {2 * total / 3:.1f}; {active:.0f} of {TARGET / NEURO:.0f} NEURO have been active at most.",
        )
