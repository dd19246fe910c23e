"""What the convergence experiment trains: every cell is one run, and the order of the cells is that of importance."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

# 24,000 batches of 4 x 64 tokens: 6,144,000 tokens, six rounds of 500 steps for eight replicas.
BATCHES = 24_000
REPLICAS = (8, 4, 2, 1)
ROUNDS = (250, 500, 50)
SEEDS = (1, 2, 3)
# Learning rates are tuned on a seed that no reported run has.
TUNING_SEED = 1_000
REWARM = 10
BLOCK = 256

# Inner peaks are tried at the outer step (1000, 0), other outer steps at the middle one of these.
SYNC_PEAKS = {8: (2_000, 4_000, 8_000, 16_000, 32_000), 4: (8_000, 16_000, 32_000)}
FEW_PEAKS = (4_000, 8_000, 16_000)
PEAKS = {8: (8_000, 16_000), 4: (8_000, 16_000), 2: (16_000, 8_000), 1: (4_000, 16_000, 8_000)}
PLAIN = (1000, 0)
OUTER = (PLAIN, (700, 0), (1400, 0), (700, 500), (1000, 500), (600, 900))
OUTER_FEW = (PLAIN, (700, 500))


@dataclass(frozen=True)
class Cell:
    """One run. `method`: sync, fp32 (no compression), 4bit (payload 4 bits, aggregate 8), payload (payload only).

    `state`: what of AdamW outlives a round: reset, v, carried. Rates: `peak` in millionths, `rate` and `momentum` of
    the outer step in thousandths. A synchronous run has no rounds: round_steps 0. `rewarm`: over how many steps a round
    warms up; `cold`: before that, how many steps fill AdamW's averages without a move; `epsilon`: AdamW's is
    10^-epsilon; `block`: numbers to a scale; `sequences`: in a batch.
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
    epsilon: int = 8
    cold: int = 0
    sequences: int = 4

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
    """Under which name a cell's rates are kept. v-only runs take those of carried, compressed runs those of fp32."""
    if method == "sync":
        return f"sync/{replicas}"
    return f"{'reset' if state == 'reset' else 'carried'}/{replicas}/{round_steps}"


def sync_cell(replicas: int, peak: int, seed: int) -> Cell:
    """Synchronous data parallel. With one replica: plain AdamW on as many small batches as there are."""
    return Cell("sync", replicas, 0, "carried", peak, 0, 0, seed, rewarm=1)


def tuning_cells(replicas: int) -> list[Cell]:
    """The grid for one number of replicas, all uncompressed."""
    cells = [sync_cell(replicas, peak, TUNING_SEED) for peak in SYNC_PEAKS.get(replicas, FEW_PEAKS)]
    few = OUTER_FEW if replicas == 1 else OUTER
    for round_steps in ROUNDS:
        # A lone replica that carries its averages and takes its own delta is the synchronous one.
        states = (("reset", few),) if replicas == 1 else (("reset", few), ("carried", OUTER_FEW))
        for state, outer in states:
            rewarm = 1 if state == "carried" else REWARM
            peaks = PEAKS[replicas] if state == "reset" else PEAKS[replicas][-1:]
            pairs = [(peak, PLAIN) for peak in peaks] + [(peaks[-1], each) for each in outer if each != PLAIN]
            cells += [
                Cell("fp32", replicas, round_steps, state, peak, *each, TUNING_SEED, rewarm) for peak, each in pairs
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
    sync = tuned.get(f"sync/{shape[0]}")
    if shape[0] == 1 and state != "reset" and sync is not None:
        # A lone replica that carries its averages and takes its own delta does what the synchronous one does.
        rates = Rates(sync.peak, *PLAIN)
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
        wanted = [("4bit", "v"), ("fp32", "v"), ("4bit", "reset"), ("fp32", "reset")]
        wanted += [("fp32", "carried")] if replicas > 1 else []
        cells += [cell for method, state in wanted if (cell := _cell(tuned, method, shape, state, seed)) is not None]
    return cells


def extra_cells(tuned: Tuned, replicas: int, seed: int) -> list[Cell]:
    """One change at a time: the block, the payload without the 8-bit aggregate, and how a round begins."""
    cells: list[Cell] = []
    for round_steps in (250, 500):
        fp32 = _cell(tuned, "fp32", (replicas, round_steps), "reset", seed)
        four = _cell(tuned, "4bit", (replicas, round_steps), "reset", seed)
        if fp32 is None or four is None or (replicas, round_steps) not in ((8, 250), (8, 500), (4, 250), (1, 250)):
            continue
        if replicas > 1:
            cells += [replace(four, block=64), replace(four, block=1024), replace(four, method="payload")]
        if (replicas, round_steps) in ((8, 250), (1, 250)):
            cells += [replace(fp32, rewarm=steps) for steps in (1, 50, 100)]
            cells += [replace(fp32, epsilon=epsilon) for epsilon in (6, 5, 4)]
            cells += [replace(fp32, cold=20), replace(fp32, cold=50)]
            cells += _carried_with_epsilon(tuned, fp32)
    return cells


def _carried_with_epsilon(tuned: Tuned, fp32: Cell) -> list[Cell]:
    """What the larger epsilon alone does to the run that is never reset."""
    sync = tuned.get(f"sync/{fp32.replicas}")
    if fp32.replicas == 1 and sync is not None:
        return [replace(sync_cell(1, sync.peak, fp32.seed), epsilon=5)]
    carried = _cell(tuned, "fp32", (fp32.replicas, fp32.round_steps), "carried", fp32.seed)
    return [] if carried is None else [replace(carried, epsilon=5)]


def larger_batches(tuned: Tuned, seed: int) -> list[Cell]:
    """A lone replica on batches of 16 sequences: does starting afresh cost less where a batch holds more words?"""
    cells = []
    for round_steps, state in ((250, "reset"), (250, "v"), (0, "carried")):
        cell = _cell(tuned, "fp32", (1, 250), "reset", seed)
        if cell is not None and state == "carried":
            cells.append(replace(sync_cell(1, cell.peak, seed), sequences=16))
        elif cell is not None:
            cells.append(replace(cell, round_steps=round_steps, state=state, sequences=16))
    return cells


def reported_cells(tuned: Tuned, replicas: int, seeds: Iterable[int]) -> list[list[Cell]]:
    """All reported cells of one number of replicas, in batches that can train together."""
    seeds = tuple(seeds)
    whole = [cell for seed in seeds for cell in main_cells(tuned, replicas, seed) + extra_cells(tuned, replicas, seed)]
    batches = [whole, [cell for seed in seeds for cell in larger_batches(tuned, seed)] if replicas == 1 else []]
    return [batch for batch in batches if batch]


def informative_order(tuned: Tuned, replicas: Iterable[int], seeds: Iterable[int]) -> list[list[Cell]]:
    """The same cells for those who cannot train them all: the rounds of `dev` first, one change at a time last."""
    replicas, seeds = tuple(replicas), tuple(seeds)
    batches = [
        [cell for seed in seeds for cell in main_cells(tuned, each, seed) if cell.round_steps in (0, round_steps)]
        for round_steps in ROUNDS
        for each in replicas
    ]
    batches += [[cell for seed in seeds for cell in extra_cells(tuned, each, seed)] for each in replicas]
    batches += [[cell for seed in seeds for cell in larger_batches(tuned, seed)] if 1 in replicas else []]
    return [batch for batch in batches if batch]
