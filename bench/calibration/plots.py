"""The picture of the calibration; needs matplotlib (`make bench`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.calibration.summary import MEASURES, Record, Tolerances, grouped, value

TITLES = {"theta": "weights", "m": "direction of the next step, m / sqrt(v)", "v": "second moments"}
LEAST, MOST = 1e-8, 10.0
COLOURS = {"lab": "tab:blue", "dev": "tab:orange"}


def plot(records: Sequence[Record], bounds: Tolerances, path: Path) -> None:
    """A panel for each distance: honest replays by numerics above, cheats by kind below; and honest ones by length."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(22, 11), gridspec_kw={"width_ratios": (1, 1, 1, 1)})
    kept = [record for record in records if not record["kind"].startswith("bf16 step")]
    rows = _rows(kept)
    for measure, panel in zip(MEASURES, axes, strict=False):
        _distances(panel, rows, measure, bounds)
        panel.set_yticks(range(len(rows)), [name for name, _ in rows] if measure == "theta" else [""] * len(rows))
    _by_steps(axes[3], [record for record in kept if record["kind"] == "honest"], bounds)
    figure.suptitle(f"{len(kept):,} replays of segments: how far from the auditor's end, relative to the segment's way")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _rows(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Cheats from the bottom up by how far they lie, then honest settings."""
    honest = [record for record in records if record["kind"] == "honest"]
    others = [record for record in records if record["kind"] != "honest"]
    kinds = [(f"{kind}", found) for (kind,), found in grouped(others, "kind").items()]
    settings = [(f"honest, {setting}", found) for (setting,), found in grouped(honest, "setting").items()]
    return [*sorted(kinds, key=_middle, reverse=True), *sorted(settings, key=_middle, reverse=True)]


def _middle(row: tuple[str, list[Record]]) -> float:
    ordered = sorted(value(record, "theta") for record in row[1])
    return ordered[len(ordered) // 2]


def _distances(axes: Any, rows: list[tuple[str, list[Record]]], measure: str, bounds: Tolerances) -> None:
    for place, (_, found) in enumerate(rows):
        for size, colour in COLOURS.items():
            values = [min(max(value(r, measure), LEAST), MOST) for r in found if r["size"] == size]
            shift = 0.15 if size == "dev" else -0.15
            axes.plot(values, [place + shift] * len(values), "|", color=colour, ms=5, alpha=0.4)
    for size, colour in COLOURS.items():
        axes.plot([], [], "|", color=colour, label=f"size of {size}")
    axes.axvline(bounds[measure], color="red", lw=1, label=f"bound {bounds[measure]:.0e}")
    axes.set_xscale("log")
    axes.set_xlim(LEAST / 2, MOST * 2)
    axes.set(title=TITLES[measure], xlabel="relative distance (0 drawn at 1e-8)")
    axes.legend(fontsize=8, loc="upper right")


def _by_steps(axes: Any, honest: list[Record], bounds: Tolerances) -> None:
    for (size, steps), found in grouped(honest, "size", "steps").items():
        values = [max(value(record, "theta"), LEAST) for record in found if record["setting"] != "2-threads"]
        place = steps * (1.04 if size == "dev" else 0.96)
        axes.plot([place] * len(values), values, "_", color=COLOURS[size], alpha=0.4)
    axes.axhline(bounds["theta"], color="red", lw=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(title="honest replays: weights, by length", xlabel="steps of the segment", ylabel="relative distance")
