"""What the convergence experiment trains: every cell is one run, and the order of the cells is that of importance."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

# 24,000 batches of 4 x 64 tokens: 6,144,000 tokens, six rounds of 500 steps for eight replicas.
BATCHES = 24_000
REPLICAS = (8, 4, 2, 1)
ROUNDS = (250, 500, 50)
SEEDS = (1, 2, 3, 4, 5, 6)
# Learning rates are tuned on a seed that no reported run has.
TUNING_SEED = 1_000
REWARM = 10
BLOCK = 256

SYNC_PEAKS = (2_000, 4_000, 8_000, 16_000, 32_000)
PEAKS = (8_000, 16_000)
OUTER = ((400, 900), (600, 900), (800, 900), (1000, 900), (1000, 0))


@dataclass(frozen=True)
class Cell:
    """One run. `method`: sync, fp32 (no compression), 4bit (payload 4 bits, aggregate 8), payload (payload only).

    `state`: what of AdamW outlives a round: reset, v, carried. Rates: `peak` in millionths, `rate` and `momentum` of
    the outer step in thousandths. A synchronous run has no rounds: round_steps 0.
    """

    method: str
    replicas: int
    round_steps: int
    state: str
    peak: int
    rate: int
    momentum: int
    seed: int
    rewarm: int = REWARM
    block: int = BLOCK

    @property
    def key(self) -> str:
        """The cell's name in the results."""
        return "/".join(str(value) for value in asdict(self).values())


@dataclass(frozen=True)
class Rates:
    """The rates that tuning chose: inner peak, outer rate and momentum."""

    peak: int
    rate: int
    momentum: int


Tuned = Mapping[str, Rates]


def tuned_name(method: str, replicas: int, round_steps: int, state: str) -> str:
    """Under which name a cell's rates are kept. v-only runs take those of reset, compressed runs those of fp32."""
    if method == "sync":
        return f"sync/{replicas}"
    return f"{'carried' if state == 'carried' else 'reset'}/{replicas}/{round_steps}"


def sync_cell(replicas: int, peak: int, seed: int) -> Cell:
    """Synchronous data parallel. With one replica: plain AdamW on as many small batches as there are."""
    return Cell("sync", replicas, 0, "carried", peak, 0, 0, seed, rewarm=1)


def tuning_cells(replicas: int) -> list[Cell]:
    """The grid for one number of replicas, all uncompressed."""
    cells = [sync_cell(replicas, peak, TUNING_SEED) for peak in SYNC_PEAKS]
    for state, rewarm in (("reset", REWARM), ("carried", 1)):
        for round_steps in ROUNDS:
            for peak in PEAKS:
                cells += [
                    Cell("fp32", replicas, round_steps, state, peak, rate, momentum, TUNING_SEED, rewarm)
                    for rate, momentum in OUTER
                ]
    return cells


def tuned_from(records: Iterable[Mapping[str, Any]]) -> dict[str, Rates]:
    """The best rates of every grid: lowest final loss of the tuning seed; a diverged run has none."""
    best: dict[str, tuple[float, Rates]] = {}
    for record in records:
        cell, loss = Cell(**record["cell"]), record["losses"][-1]
        if cell.seed != TUNING_SEED or loss is None:
            continue
        name = tuned_name(cell.method, cell.replicas, cell.round_steps, cell.state)
        if name not in best or loss < best[name][0]:
            best[name] = (loss, Rates(cell.peak, cell.rate, cell.momentum))
    return {name: rates for name, (_, rates) in sorted(best.items())}


def _cell(tuned: Tuned, method: str, shape: tuple[int, int], state: str, seed: int) -> Cell | None:
    rates = tuned.get(tuned_name(method, *shape, state))
    if rates is None:
        return None
    rewarm = 1 if state == "carried" else REWARM
    return Cell(method, *shape, state, rates.peak, rates.rate, rates.momentum, seed, rewarm)


def main_cells(tuned: Tuned, replicas: int, seed: int) -> list[Cell]:
    """Synchronous, and for every H: the protocol, the same uncompressed, and the other fates of AdamW's averages."""
    sync = tuned.get(f"sync/{replicas}")
    cells = [] if sync is None else [sync_cell(replicas, sync.peak, seed)]
    for round_steps in ROUNDS:
        shape = (replicas, round_steps)
        wanted = (("4bit", "reset"), ("fp32", "reset"), ("fp32", "carried"), ("fp32", "v"), ("4bit", "carried"))
        cells += [cell for method, state in wanted if (cell := _cell(tuned, method, shape, state, seed)) is not None]
        if replicas == 1:
            # The protocol's lone trainer takes its own payload as it is, whatever else would be best.
            cells += [
                replace(cell, rate=1000, momentum=0)
                for method in ("4bit", "fp32")
                if (cell := _cell(tuned, method, shape, "reset", seed)) is not None
            ]
    return list(dict.fromkeys(cells))


def extra_cells(tuned: Tuned, replicas: int, seed: int) -> list[Cell]:
    """One change at a time: block size, the payload without the 8-bit aggregate, the length of the re-warm-up."""
    cells: list[Cell] = []
    for round_steps in ROUNDS:
        fp32 = _cell(tuned, "fp32", (replicas, round_steps), "reset", seed)
        four = _cell(tuned, "4bit", (replicas, round_steps), "reset", seed)
        if fp32 is None or four is None:
            continue
        if round_steps != 50:
            cells += [replace(four, block=block) for block in (64, 1024)]
            cells.append(replace(four, method="payload"))
        cells += [replace(fp32, rewarm=steps) for steps in (1, 25, 50) if steps < round_steps]
    return cells


def default_order(tuned: Tuned, seeds: Iterable[int]) -> list[list[Cell]]:
    """All reported cells in order of importance, in batches of one number of replicas each."""
    seeds = tuple(seeds)
    # The first three seeds whole, then what is changed one at a time, then further seeds.
    first, later = seeds[:3], seeds[3:]
    batches = [[cell for seed in first for cell in main_cells(tuned, m, seed)] for m in REPLICAS]
    batches += [[cell for seed in first for cell in extra_cells(tuned, m, seed)] for m in (8, 4, 1)]
    batches += [[cell for seed in later for cell in main_cells(tuned, m, seed)] for m in REPLICAS]
    return [batch for batch in batches if batch]
