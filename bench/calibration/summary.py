"""From lines of distances to bounds: what honest replays reach, what cheats keep, and how sure that is."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import exp, inf, log
from pathlib import Path
from typing import Any

from bench.calibration.numerics import SETTINGS
from bench.calibration.records import read
from bench.calibration.trajectory import GENESIS, LENGTHS
from bench.figure import report

MEASURES = ("theta", "m", "v")
# The protocol's segments are no longer; longer ones were replayed to see why.
CLASS_STEPS = 25
Record = dict[str, Any]
Tolerances = dict[str, float]


def tolerances(billionths: Sequence[int] | None = None) -> Tolerances:
    """These bounds, or those of genesis.json."""
    if billionths:
        return {measure: each / 1e9 for measure, each in zip(MEASURES, billionths, strict=True)}
    numbers = json.loads(GENESIS.read_text(encoding="utf-8"))["parameters"]
    return {measure: numbers[f"chain.tolerance_{measure}_billionths"] / 1e9 for measure in MEASURES}


def value(record: Record, measure: str) -> float:
    """A distance; what was not finite is written as null."""
    found = record.get(measure)
    return inf if found is None else float(found)


def within(record: Record, bounds: Tolerances) -> bool:
    """Whether an auditor would let it pass."""
    return all(value(record, measure) <= bounds[measure] for measure in MEASURES)


def spread(records: Sequence[Record], measure: str) -> dict[str, float | None]:
    """Smallest, middle and largest of a distance, and what one in a thousand exceeds."""
    ordered = sorted(value(record, measure) for record in records)
    places = {"min": 0, "median": len(ordered) // 2, "p999": 999 * len(ordered) // 1000, "max": len(ordered) - 1}
    return {name: ordered[place] if ordered[place] < inf else None for name, place in places.items()}


def rate_bound(found: int, tried: int) -> float:
    """What the rate of something seen `found` times in `tried` is below, with 95 % (Clopper and Pearson, one side).

    For nothing found that is the rule of three, 3 / tried.
    """
    if not tried or found >= tried:
        return 1.0
    low, high = found / tried, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(found, tried, middle) > 0.05 else (low, middle)
    return high


def _at_most(found: int, tried: int, rate: float) -> float:
    """The chance of at most `found` in `tried`."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    total, term = 0.0, tried * log(1 - rate)
    for count in range(found + 1):
        total += exp(term)
        term += log((tried - count) / (count + 1)) + log(rate / (1 - rate))
    return total


def table(groups: dict[tuple[Any, ...], list[Record]], names: Sequence[str], bounds: Tolerances) -> list[Record]:
    """A row for each group: how many, how many pass, and the spreads."""
    rows = []
    for key in sorted(groups, key=str):
        records = groups[key]
        passed = sum(within(record, bounds) for record in records)
        spreads = {measure: spread(records, measure) for measure in MEASURES}
        named = dict(zip(names, key, strict=True))
        least = clearest(records, bounds)
        over = float(f"{least:.3g}") if least < inf else None
        rows.append({**named, "replays": len(records), "within": passed, "least_over_bound": over, **spreads})
    return rows


def grouped(records: Iterable[Record], *names: str) -> dict[tuple[Any, ...], list[Record]]:
    found: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        found[tuple(record.get(name) for name in names)].append(record)
    return dict(found)


def _margin(records: Sequence[Record], measure: str, bounds: Tolerances) -> float | None:
    """How many times the largest honest distance the bound is."""
    highest = max((value(record, measure) for record in records), default=0.0)
    return float(f"{bounds[measure] / highest:.3g}") if highest else None


def clearest(records: Sequence[Record], bounds: Tolerances) -> float:
    """How many times its bound the worst of the three distances is, in the replay where that is least."""
    return min(max(value(record, measure) / bounds[measure] for measure in MEASURES) for record in records)


def phase(record: Record) -> str:
    """Where in the learning rate's curve a segment lies."""
    if record["round"] == 0 and record["step"] < 100:
        return "warm-up"
    if record["step"] < 10:
        return "start of a round"
    return "peak" if record["rate"] > 0.9 else "decayed"


def summary(records: Sequence[Record], bounds: Tolerances) -> dict[str, Any]:
    """All tables. Class of the protocol: CPUs and GPUs in fp32, segments of 10 to 50 steps."""
    records = [{**record, "phase": phase(record)} for record in records]
    steps = [record for record in records if record["kind"].startswith("bf16 step")]
    honest = [record for record in records if record["kind"] == "honest"]
    cheats = [record for record in records if record["kind"] != "honest" and not record["kind"].startswith("bf16 step")]
    ours = [record for record in honest if record["steps"] in LENGTHS]
    on_cpu = [record for record in ours if record["setting"] in SETTINGS]
    failed = sum(not within(record, bounds) for record in ours)
    in_class = [record for record in ours if record["steps"] <= CLASS_STEPS]
    failed_in_class = sum(not within(record, bounds) for record in in_class)
    content: dict[str, Any] = {
        "tolerances": bounds,
        "honest_replays": len(ours),
        "honest_replays_by_size": {str(key[0]): len(found) for key, found in grouped(ours, "size").items()},
        "segments": len({(r["size"], r["trajectory"], r["round"], r["step"], r["steps"]) for r in ours}),
        "false_accusations": failed,
        "false_accusation_bound": rate_bound(failed, len(ours)),
        "class": {
            "steps": CLASS_STEPS,
            "honest_replays": len(in_class),
            "false_accusations": failed_in_class,
            "false_accusation_bound": rate_bound(failed_in_class, len(in_class)),
            "honest": {measure: spread(in_class, measure) for measure in MEASURES} if in_class else None,
            "margin_to_honest": {m: _margin(in_class, m, bounds) for m in MEASURES},
            "cheats": table(
                grouped((r for r in cheats if r["steps"] <= CLASS_STEPS), "kind", "size"), ("kind", "size"), bounds
            ),
        },
        "honest_by_setting": table(grouped(ours, "size", "setting"), ("size", "setting"), bounds),
        "honest_by_steps": table(grouped(on_cpu, "size", "steps"), ("size", "steps"), bounds),
        "honest_by_phase": table(grouped(on_cpu, "size", "phase", "fresh"), ("size", "phase", "fresh"), bounds),
        "gpu_by_steps": table(
            grouped((r for r in honest if r["setting"] == "cuda"), "size", "steps"), ("size", "steps"), bounds
        ),
        "cheats": table(grouped(cheats, "kind", "size", "setting"), ("kind", "size", "setting"), bounds),
    }
    for row in (*content["cheats"], *content["class"]["cheats"]):
        row["missed_bound"] = rate_bound(row["within"], row["replays"])
    content["bf16_steps"] = [
        {**row, "gradient": spread(found, "gradient")}
        for row, found in zip(
            table(grouped(steps, "kind", "size"), ("kind", "size"), bounds),
            [found for _, found in sorted(grouped(steps, "kind", "size").items(), key=lambda item: str(item[0]))],
            strict=True,
        )
    ]
    return content


def write_report(paths: Sequence[Path], target: Path, bounds: Tolerances) -> None:
    """Write TARGET.json and TARGET.png, and print the figures that matter."""
    from bench.calibration.plots import plot

    records = list(read(paths))
    content = summary(records, bounds)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    plot(records, bounds, target.with_suffix(".png"))
    note = f"{content['honest_replays_by_size']}; bound with 95 %: {content['false_accusation_bound']:.2g}"
    report("false_accusations", content["false_accusations"], "replays", content["honest_replays"], note)
    for measure in MEASURES:
        highest = max((value(row[measure], "max") for row in content["honest_by_setting"]), default=inf)
        report(f"honest_{measure}_maximum", highest, "relative", bounds[measure], "reference: the bound")
    for row in content["cheats"]:
        note = f"{row['size']}, {row['setting']}; missed below {row['missed_bound']:.2g} with 95 %"
        report(f"missed: {row['kind']}", row["within"], "replays", row["replays"], note)
