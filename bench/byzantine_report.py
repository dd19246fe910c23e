"""From the runs of `bench byzantine` to numbers and a plot: losses relative to the honest nodes alone, seed by seed."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isnan, log, nan, sqrt
from pathlib import Path
from typing import Any

from bench.figure import report

Key = tuple[str, str, int, int]  # rule, attack, liars, absent
Losses = dict[Key, dict[int, float]]  # by seed; not a number where the run diverged
# Of the share by which the loss exceeds that of the honest nodes alone, with liars and without.
GOAL, GOAL_WITHOUT_LIARS = 0.03, 0.005


def final_losses(results: Iterable[Mapping[str, Any]]) -> Losses:
    """The last measured loss of every run. A run whose outer step or loss failed counts as diverged."""
    losses: Losses = defaultdict(dict)
    for result in results:
        last = result["curve"][-1][1]
        key = (result["rule"], result["attack"], result["liars"], result["absent"])
        losses[key][result["seed"]] = nan if last is None or result["ended"] else last
    return losses


def against(losses: Mapping[int, float], reference: Mapping[int, float], guess: float) -> dict[str, Any]:
    """Mean and standard error of the relative differences of equal seeds, and how many of them diverged.

    Diverged is what ended early, or above `guess`, the loss of a model that knows nothing. Without a loss there is no
    mean.
    """
    seeds = sorted(losses.keys() & reference.keys())
    shares = [losses[seed] / reference[seed] - 1 for seed in seeds]
    diverged = sum(not losses[seed] <= guess for seed in seeds)
    if not shares or any(isnan(share) for share in shares):
        return {"seeds": len(shares), "diverged": diverged, "mean": None, "error": None}
    mean = sum(shares) / len(shares)
    spread = sum((share - mean) ** 2 for share in shares)
    error = sqrt(spread / (len(shares) - 1) / len(shares)) if len(shares) > 1 else None
    return {"seeds": len(shares), "diverged": diverged, "mean": mean, "error": error}


def comparisons(losses: Losses, guess: float) -> list[dict[str, Any]]:
    """Each attack against the honest nodes alone, each rule without liars against the mean of all."""
    found = []
    for (rule, attack, liars, absent), by_seed in losses.items():
        if absent:
            continue
        reference = losses.get(("mean", "none", 0, liars), {})
        found.append({"rule": rule, "attack": attack, "liars": liars, **against(by_seed, reference, guess)})
    return found


def liar_shares(results: Iterable[Mapping[str, Any]]) -> dict[Key, float]:
    """What the liars' payloads weighed together, mean over rounds and seeds."""
    shares: dict[Key, list[float]] = defaultdict(list)
    for result in results:
        if result["liars"] and result["liar_shares"]:
            key = (result["rule"], result["attack"], result["liars"], result["absent"])
            shares[key].append(sum(result["liar_shares"]) / len(result["liar_shares"]))
    return {key: sum(each) / len(each) for key, each in shares.items()}


def write_report(results: Sequence[Mapping[str, Any]], path: Path, setting: Mapping[str, Any]) -> None:
    """`path` with .json and .png, and clip_trust against its goals as lines on standard output."""
    losses = final_losses(results)
    found = comparisons(losses, log(setting["model"]["vocabulary"]))
    weights = liar_shares(results)
    for each in found:
        each["liar_share"] = weights.get((each["rule"], each["attack"], each["liars"], 0))
    content = {
        **setting,
        "reference": "same seeds, the honest nodes alone, plain mean; without liars: the mean of all eight",
        "comparisons": found,
        "final_losses": [
            {"rule": rule, "attack": attack, "liars": liars, "absent": absent, "by_seed": _plain(by_seed)}
            for (rule, attack, liars, absent), by_seed in losses.items()
        ],
    }
    path.with_suffix(".json").write_text(_lines(content))
    plot(found, path.with_suffix(".png"))
    for each in found:
        if each["rule"] == "clip_trust" and each["mean"] is not None:
            goal = GOAL if each["liars"] else GOAL_WITHOUT_LIARS
            name = f"clip_trust_{each['attack']}_{each['liars']}"
            error = "one seed" if each["error"] is None else f"standard error {each['error']:.4f}"
            report(name, each["mean"], "share of loss", goal, f"{error}, {each['seeds']} seeds")


def _lines(content: Mapping[str, Any]) -> str:
    """JSON with one entry of a list in a line."""
    parts = []
    for name, value in content.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _plain(by_seed: Mapping[int, float]) -> dict[str, float | None]:
    return {str(seed): None if isnan(loss) else loss for seed, loss in sorted(by_seed.items())}


def plot(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A table in colours: attacks down, rules across, once for every number of liars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import SymLogNorm

    counts = sorted({each["liars"] for each in found if each["liars"]}, reverse=True)
    rules = list(dict.fromkeys(each["rule"] for each in found))
    attacks = list(dict.fromkeys(each["attack"] for each in found if each["liars"]))
    table = {(each["rule"], each["attack"], each["liars"]): each for each in found}
    figure, axes = pyplot.subplots(
        1, max(1, len(counts)), figsize=(1 + 5.5 * len(counts), 1.5 + 0.36 * len(attacks)), layout="constrained"
    )
    for axis, liars in zip([axes] if len(counts) < 2 else axes, counts, strict=False):
        rows = [("none", 0), *((attack, liars) for attack in attacks)]
        cells = [[table.get((rule, attack, count)) for rule in rules] for attack, count in rows]
        values = [[_percent(cell) for cell in line] for line in cells]
        axis.imshow(values, aspect="auto", cmap="RdYlGn_r", norm=SymLogNorm(1, vmin=-30, vmax=30))
        axis.set_xticks(range(len(rules)), rules, rotation=20, ha="right")
        axis.set_yticks(range(len(rows)), [attack for attack, _ in rows])
        axis.set_title(f"{liars} of 8 lie: final loss over the honest alone, %")
        for y, line in enumerate(cells):
            for x, cell in enumerate(line):
                colour = "white" if values[y][x] > 20 else "black"
                axis.text(x, y, _words(cell), ha="center", va="center", fontsize=8, color=colour)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _percent(cell: Mapping[str, Any] | None) -> float:
    if cell is None:
        return nan
    return 1000.0 if cell["mean"] is None else 100 * float(cell["mean"])


def _words(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    if cell["mean"] is None or cell["diverged"]:
        times = nan if cell["mean"] is None else 1 + cell["mean"]
        return f"diverged, × {times:.0f}" if times > 2 else f"{cell['diverged']} of {cell['seeds']} diverged"
    error = "" if cell["error"] is None else f" ± {100 * cell['error']:.1f}"
    return f"{100 * cell['mean']:+.1f}{error}"
