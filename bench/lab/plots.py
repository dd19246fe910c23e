"""The plots of the convergence experiment; needs matplotlib (`make bench`)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.lab.cells import BLOCK, REPLICAS, REWARM, ROUNDS, Cell
from bench.lab.summary import Records, curves

USUAL = {"state": "reset", "rewarm": REWARM, "cold": 0, "epsilon": 8, "sequences": 4}
COLOURS = {1: "tab:gray", 2: "tab:blue", 4: "tab:orange", 8: "tab:red"}


def plot(content: dict[str, Any], records: Records, path: Path) -> None:
    """Six panels in one picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(16, 9))
    tables = content["tables"]
    _learning(axes[0, 0], records)
    gaps = tables["gap_to_synchronous"]
    _by_rounds(axes[0, 1], gaps, "over synchronous at equal M and tokens", ("reset", "v"))
    _by_rounds(axes[0, 2], tables["compression"], "4 bits over fp32", ("reset",), goal=0.3)
    kept = [row for row in tables["not_carrying"] if _usual(row)]
    _by_rounds(axes[1, 0], kept, "over carrying all of AdamW's averages, fp32", ("reset", "v"), goal=1.0)
    _outer(axes[1, 1], content["tuning"])
    _changes(axes[1, 2], tables)
    figure.suptitle(
        f"NeuroLLM of {content['parameters']:,} parameters, {content['tokens']:,} tokens, {content['runs']} runs; "
        "bars are standard errors of paired differences"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _learning(axes: Any, records: Records) -> None:
    for cell, losses in curves(records, (1, 8)).items():
        tokens = [(at + 1) / len(losses) for at in range(len(losses))]
        if cell.method == "sync":
            axes.plot(tokens, losses, "k:" if cell.replicas == 1 else "k-", label=f"synchronous, M = {cell.replicas}")
        elif cell.replicas == 8 and _is_protocol(cell):
            axes.plot(tokens, losses, label=f"4 bits, reset, M = 8, H = {cell.round_steps}")
    axes.set(title="held-out loss", xlabel="share of the tokens", ylabel="nats per token")
    axes.legend(fontsize=7)


def _is_protocol(cell: Cell) -> bool:
    return cell.method == "4bit" and cell.block == BLOCK and all(getattr(cell, key) == USUAL[key] for key in USUAL)


def _by_rounds(
    axes: Any, rows: Iterable[dict[str, Any]], title: str, states: Iterable[str], goal: float | None = None
) -> None:
    """Costs over H, a line for every M and every fate of AdamW's averages: 4 bits if measured, else fp32."""
    rows = list(rows)
    for state, line in zip(states, ("o-", "s--"), strict=False):
        for replicas in REPLICAS:
            best: dict[int, dict[str, Any]] = {}
            for row in rows:
                if (row["replicas"], row["state"]) == (replicas, state):
                    rank = (row["cost_percent"]["seeds"] > 1, row["method"] == "4bit", -row["cost_percent"]["mean"])
                    if row["round_steps"] not in best or rank > best[row["round_steps"]]["rank"]:
                        best[row["round_steps"]] = {**row["cost_percent"], "rank": rank}
            if best:
                ours = [best[round_steps] for round_steps in sorted(best)]
                axes.errorbar(
                    sorted(best),
                    [cost["mean"] for cost in ours],
                    yerr=[cost["standard_error"] or 0 for cost in ours],
                    fmt=line,
                    capsize=3,
                    color=COLOURS[replicas],
                    label=f"M = {replicas}, {'fresh' if state == 'reset' else 'v carried'}",
                )
    axes.axhline(0, color="black", lw=0.6)
    if goal is not None:
        axes.axhline(goal, color="green", lw=0.8, ls="--", label=f"goal {goal} %")
    axes.set(title=title, xlabel="H", ylabel="% of loss")
    axes.legend(fontsize=7)


def _usual(row: dict[str, Any]) -> bool:
    return all(row[key] == usual for key, usual in USUAL.items() if key != "state")


def _outer(axes: Any, tuning: list[dict[str, Any]]) -> None:
    """Tuning: the best loss over inner rates by outer step, over the best of all outer steps."""
    names: list[tuple[int, int]] = sorted({(row["momentum"], row["rate"]) for row in tuning if row["method"] == "fp32"})
    for replicas in REPLICAS:
        for round_steps, line in zip(sorted(ROUNDS), (":", "--", "-"), strict=True):
            best: dict[tuple[int, int], float] = {}
            for row in tuning:
                same = (row["method"], row["replicas"], row["round_steps"]) == ("fp32", replicas, round_steps)
                if same and row["state"] == "reset" and row["loss"] is not None:
                    name = (row["momentum"], row["rate"])
                    best[name] = min(row["loss"], best.get(name, row["loss"]))
            if best:
                places = [names.index(name) for name in sorted(best)]
                values = [100 * (best[name] / min(best.values()) - 1) for name in sorted(best)]
                label = f"M = {replicas}, H = {round_steps}"
                axes.plot(places, values, line, marker=".", color=COLOURS[replicas], label=label)
    labels = [f"{rate / 1000:g} / {momentum / 1000:g}" for momentum, rate in names]
    axes.set_xticks(range(len(names)), labels, rotation=45, fontsize=7)
    axes.set(title="tuning: outer rate / momentum, reset, one seed", ylabel="% over the best")
    axes.legend(fontsize=5, ncol=2)


def _changes(axes: Any, tables: dict[str, list[dict[str, Any]]]) -> None:
    """How a round begins, and what of AdamW outlives it: dots over the run that carries all."""
    names: list[str] = []
    for row in tables["not_carrying"]:
        if row["round_steps"] != 250:
            continue
        parts = [f"{key} {row[key]}" for key, usual in USUAL.items() if row[key] != usual]
        name = ", ".join(parts) if parts else "re-warm-up 10"
        name = {"state v": "v carried"}.get(name, name)
        if name not in names:
            names.append(name)
        cost = row["cost_percent"]
        axes.errorbar(
            names.index(name),
            cost["mean"],
            yerr=cost["standard_error"] or 0,
            fmt="o",
            color=COLOURS[row["replicas"]],
            alpha=0.7,
        )
    axes.set_xticks(range(len(names)), names, rotation=60, fontsize=7)
    axes.axhline(0, color="black", lw=0.6)
    axes.axhline(1, color="green", lw=0.8, ls="--")
    axes.set(title="ways to begin a round, H = 250 (colours: M), over carried", ylabel="% of loss")
