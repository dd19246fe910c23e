"""From the lines of the convergence experiment to tables, a JSON record and plots.

All differences are paired: the same seed means the same birth and the same stream of batches, so a difference within a
seed says more than two means. Costs are in percent of the other's final held-out loss.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bench.lab.cells import BATCHES, BLOCK, REPLICAS, REWARM, TUNING_SEED, Cell, tuned_from
from bench.lab.execute import LOWEST, WARM_UP_PART, lab_profile
from training.layout import parameter_count

USUAL_EPSILON = 8
Records = Sequence[dict[str, Any]]
# Final losses by kind of run (the cell with seed 0) and seed; None for a diverged run.
Finals = dict[Cell, dict[int, float | None]]
Shape = dict[str, Any]


def finals_of(records: Records) -> Finals:
    """Of all reported runs."""
    finals: Finals = defaultdict(dict)
    for record in records:
        cell = Cell(**record["cell"])
        if cell.seed != TUNING_SEED:
            finals[replace(cell, seed=0)][cell.seed] = record["losses"][-1]
    return dict(finals)


def figures(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard error (None for a single value)."""
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else None
    return {
        "mean": float(f"{mean(values):.5g}"),
        "standard_error": None if error is None else float(f"{error:.3g}"),
        "seeds": len(values),
    }


def paired(finals: Finals, cell: Cell, other: Cell) -> dict[str, Any] | None:
    """By how many percent `cell` ends above `other`, over the seeds of both; None if they share none."""
    ours, theirs = finals.get(cell, {}), finals.get(other, {})
    both = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    whole = [100 * (one / two - 1) for one, two in both if one is not None and two is not None]
    if not whole:
        return None
    return {**figures(whole), "diverged": len(both) - len(whole)}


def shape(cell: Cell) -> Shape:
    """The cell without its seed, under names for people."""
    named = asdict(cell)
    del named["seed"]
    return named


def costs(finals: Finals, changed: Callable[[Cell], Cell | None]) -> list[dict[str, Any]]:
    """What each kind of run costs over the one that `changed` names, where both were trained."""
    found = []
    for cell in sorted(finals, key=lambda c: (c.replicas, c.round_steps, c.method, c.state, c.rate, c.block, c.rewarm)):
        other = changed(cell)
        cost = None if other is None else paired(finals, cell, other)
        if cost is not None:
            found.append({**shape(cell), "cost_percent": cost})
    return found


def _plain(cell: Cell) -> bool:
    """Nothing changed but method, rates and the fate of AdamW's averages."""
    usual = Cell(cell.method, cell.replicas, cell.round_steps, cell.state, cell.peak, cell.rate, cell.momentum, 0)
    return cell == replace(usual, rewarm=1 if cell.state == "carried" else REWARM)


def _carried(finals: Finals, cell: Cell) -> Cell | None:
    """The uncompressed run that carries all of AdamW's averages: at the same rates, or if there is only one.

    For a lone replica it is the synchronous one, which takes the same steps.
    """
    found = [
        other
        for other in finals
        if other.state == "carried"
        and other.epsilon == USUAL_EPSILON
        and (other.replicas, other.sequences) == (cell.replicas, cell.sequences)
        and (
            (other.method, other.round_steps) == ("fp32", cell.round_steps)
            or (other.method, cell.replicas) == ("sync", 1)
        )
    ]
    alike = [each for each in found if replace(cell, method="fp32", state="carried", rewarm=1) == each]
    return alike[0] if alike else found[0] if len(found) == 1 else None


def _synchronous(finals: Finals) -> dict[int, Cell]:
    """By replicas, the synchronous run of the most seeds."""
    found = sorted((c for c in finals if c.method == "sync" and _plain(c)), key=lambda c: len(finals[c]))
    return {cell.replicas: cell for cell in found}


def tables(records: Records) -> dict[str, list[dict[str, Any]]]:
    """Every comparison that the experiment was made for."""
    finals = finals_of(records)
    sync = _synchronous(finals)

    def over_sync(replicas: Callable[[Cell], int]) -> Callable[[Cell], Cell | None]:
        return lambda cell: sync.get(replicas(cell)) if _plain(cell) and cell.method != "sync" else None

    def over_carried(cell: Cell) -> Cell | None:
        changed = cell.method == "fp32" and cell.state != "carried"
        return _carried(finals, cell) if changed else None

    def over_fp32(method: str) -> Callable[[Cell], Cell | None]:
        return lambda cell: replace(cell, method="fp32", block=BLOCK) if cell.method == method else None

    def over_usual_start(cell: Cell) -> Cell | None:
        usual = replace(cell, rewarm=REWARM, epsilon=USUAL_EPSILON, cold=0)
        return usual if cell.method == "fp32" and cell.state == "reset" and cell != usual else None

    def over_usual_epsilon(cell: Cell) -> Cell | None:
        changed = cell.state == "carried" and cell.epsilon != USUAL_EPSILON
        return replace(cell, epsilon=USUAL_EPSILON) if changed else None

    return {
        "loss": [
            {**shape(cell), "loss": figures([loss for loss in losses.values() if loss is not None])}
            for cell, losses in finals.items()
            if any(loss is not None for loss in losses.values())
        ],
        "gap_to_synchronous": costs(finals, over_sync(lambda cell: cell.replicas)),
        "gap_to_many_small_updates": costs(finals, over_sync(lambda cell: 1)),
        "compression": [row for row in costs(finals, over_fp32("4bit")) if row["block"] == BLOCK],
        "block": [row for row in costs(finals, over_fp32("4bit")) if row["block"] != BLOCK],
        "payload_alone": costs(finals, over_fp32("payload")),
        "not_carrying": costs(finals, over_carried),
        "start_of_a_round": costs(finals, over_usual_start),
        "epsilon_when_carrying": costs(finals, over_usual_epsilon),
    }


def pooled(rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The mean of a table's costs over its kinds of run, with the spread between them."""
    values = [row["cost_percent"]["mean"] for row in rows]
    return figures(values) | {"largest": max(values)} if values else None


def repeated(records: Records) -> list[dict[str, Any]]:
    """Runs that were trained more than once: nothing differs but the order of some sums."""
    finals: dict[Cell, list[tuple[str, float]]] = defaultdict(list)
    for record in records:
        finals[Cell(**record["cell"])].append((record["device"], record["losses"][-1]))
    return [{**asdict(cell), "losses": found} for cell, found in finals.items() if len(found) > 1]


def summary(records: Records) -> dict[str, Any]:
    """The whole record. Lines of the dev profile, whose batches are of 8 sequences, get tables of their own."""
    config, sequences, length = lab_profile()
    dev = [{**each, "cell": {**each["cell"], "sequences": 4}} for each in records if each.get("profile") == "dev"]
    records = [each for each in records if each.get("profile", "lab") == "lab"]
    found = tables(records)
    return {
        "model": asdict(config),
        "parameters": parameter_count(config),
        "tokens": BATCHES * sequences * length,
        "batch": f"{sequences} x {length} tokens per replica and step; {BATCHES} batches per run, whatever M and H",
        "schedule": f"linear warm-up over the first 1/{WARM_UP_PART} of the steps, cosine to {LOWEST} of the peak; with"
        f" reset and v also {REWARM} steps at the beginning of every round",
        "optimizer": "AdamW 0.9, 0.99, decay 0.1, clip 1.0; outer Nesterov",
        "devices": sorted({record["device"] for record in records}),
        "runs": len(records),
        "diverged": sum(record["losses"][-1] is None for record in records),
        "tuned": {name: asdict(rates) for name, rates in tuned_from(records).items()},
        "compression_pooled": pooled(found["compression"]),
        "tables": found,
        "tuning": [
            {**record["cell"], "loss": record["losses"][-1]}
            for record in records
            if record["cell"]["seed"] == TUNING_SEED
        ],
        "repeated": repeated(records),
        "dev_profile": {"tokens": 12_288_000, "runs": len(dev), "tables": tables(dev)},
    }


def words(row: dict[str, Any]) -> str:
    """One line of a table for people."""
    found = row.get("cost_percent") or row["loss"]
    error = found["standard_error"]
    rewarm = 1 if row["state"] == "carried" else REWARM
    usual = {"rewarm": rewarm, "block": BLOCK, "epsilon": USUAL_EPSILON, "cold": 0, "sequences": 4}
    changed = [f"{key} {row[key]}" for key, value in usual.items() if row[key] != value]
    changed += [f"peak {row['peak'] / 1e6:g}", f"outer {row['rate'] / 1e3:g}/{row['momentum'] / 1e3:g}"]
    name = f"M={row['replicas']} H={row['round_steps']:<3} {row['method']} {row['state']}, {', '.join(changed)}"
    return f"{name:<80} {found['mean']:8.4f} {'' if error is None else f'± {error:.4f}':<8} ({found['seeds']})"


def write_report(records: Records, folder: Path) -> None:
    """Write convergence.json and convergence.png; print the tables."""
    if not records:
        raise SystemExit("no results yet: run `make convergence` first")
    content = summary(records)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=None, ensure_ascii=False)
    # One row of a table per line keeps the record readable in a diff.
    text = text.replace("}, {", "},\n{").replace('], "', '],\n"').replace('}, "', '},\n"')
    (folder / "convergence.json").write_text(text + "\n", encoding="utf-8")
    for name, rows in content["tables"].items():
        print(f"\n{name}")
        for row in rows:
            print("  " + words(row))
    for name, rows in content["dev_profile"]["tables"].items():
        print(f"\ndev profile: {name}")
        for row in rows:
            print("  " + words(row))
    print("\ncompression over all kinds of run:", content["compression_pooled"])
    from bench.lab.plots import plot

    ours = [each for each in records if each.get("profile", "lab") == "lab"]
    plot(content, ours, folder / "convergence.png")


def curves(records: Records, replicas: Iterable[int] = REPLICAS) -> dict[Cell, list[float]]:
    """The mean held-out loss at every measurement, by kind of run, of those whose seeds all ended."""
    found: dict[Cell, list[list[float]]] = defaultdict(list)
    for record in records:
        cell = Cell(**record["cell"])
        if cell.seed != TUNING_SEED and cell.replicas in replicas and None not in record["losses"]:
            found[replace(cell, seed=0)].append(record["losses"])
    return {cell: [mean(at) for at in zip(*runs, strict=True)] for cell, runs in found.items()}
