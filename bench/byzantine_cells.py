"""Which runs `bench byzantine` makes: cells of rule, attack, number of liars and seed, the most telling ones first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.adversaries.suite import SUITE, Adversary

NODES = 8
RULES = ("clip_trust", "mean", "coordinate_median", "trimmed_mean", "krum")
NOBODY = Adversary(lambda scene: scene.honest[:0])


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run. Without an attack there are `NODES - absent` honest nodes and no liars."""

    rule: str
    attack: str
    liars: int
    seed: int
    absent: int = 0

    @property
    def honest(self) -> int:
        return NODES - self.liars - self.absent

    @property
    def adversary(self) -> Adversary:
        return SUITE[self.attack] if self.liars else NOBODY

    @property
    def trained(self) -> int:
        """How many rows of the fleet it takes: the honest nodes, and the liars if they train."""
        return self.honest + (self.liars if self.adversary.training != "none" else 0)

    @property
    def name(self) -> str:
        return f"{self.rule}/{self.attack}/{self.liars}/{self.absent}/{self.seed}"


def cells(rules: Sequence[str], attacks: Sequence[str], liars: Sequence[int], seeds: tuple[int, int]) -> Iterator[Cell]:
    """Seed by seed, so that an early end leaves whole comparisons: what all is compared to first, then rule by rule.

    `seeds`: with liars, and without.
    """
    for seed in range(seeds[0]):
        yield from (Cell("mean", "none", 0, seed, absent) for absent in sorted(liars, reverse=True))
        yield from _without_liars(rules, seed)
        for rule in rules:
            for count in sorted(liars, reverse=True):
                yield from (Cell(rule, attack, count, seed) for attack in attacks)
    for seed in range(seeds[0], seeds[1]):
        yield from _without_liars(rules, seed)


def _without_liars(rules: Sequence[str], seed: int) -> Iterator[Cell]:
    return (Cell(rule, "none", 0, seed) for rule in dict.fromkeys(("mean", *rules)))


def finished(path: Path) -> list[dict[str, Any]]:
    """The complete results in a file of lines; a line that was cut short is no result."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if result.get("complete"):
            found.append(result)
    return found


def waves(todo: Sequence[Cell], rows: int) -> Iterator[list[Cell]]:
    """The cells in order, as many at a time as fit `rows` rows of a fleet; at least one."""
    wave: list[Cell] = []
    for cell in todo:
        if wave and sum(each.trained for each in wave) + cell.trained > rows:
            yield wave
            wave = []
        wave.append(cell)
    if wave:
        yield wave
