"""The plots of the convergence experiment; needs matplotlib (`make bench`)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.lab.cells import BLOCK, REPLICAS, REWARM, ROUNDS, Cell
from bench.lab.summary import Records, curves

COLOURS = {1: "tab:gray", 2: "tab:blue", 4: "tab:orange", 8: "tab:red"}


def plot(content: dict[str, Any], records: Records, path: Path) -> None:
    """Six panels in one picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(16, 9))
    tables = content["tables"]
    _learning(axes[0, 0], records)
    _gap(axes[0, 1], tables["gap_to_synchronous_percent"])
    _by_rounds(
        axes[0, 2],
        (row for row in tables["compression"] if row["state"] == "reset"),
        "4 bits over fp32, reset rule",
        goal=0.3,
    )
    _by_rounds(
        axes[1, 0],
        (row for row in tables["not_carrying"] if row["method"] == "fp32" and row["state"] == "reset"),
        "fresh AdamW each round over carried, fp32",
        goal=1.0,
    )
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
    return cell.method == "4bit" and cell.state == "reset" and cell.block == BLOCK and cell.rewarm == REWARM


def _by_rounds(axes: Any, rows: Iterable[dict[str, Any]], title: str, goal: float | None = None) -> None:
    """Costs over H, a line for every M."""
    rows = list(rows)
    for replicas in REPLICAS:
        # Of a lone trainer the protocol's outer step, which takes its payload as it is.
        ours = [row for row in rows if row["replicas"] == replicas and (replicas > 1 or row["momentum"] == 0)]
        ours.sort(key=lambda row: row["round_steps"])
        if ours:
            axes.errorbar(
                [row["round_steps"] for row in ours],
                [row["cost_percent"]["mean"] for row in ours],
                yerr=[row["cost_percent"]["standard_error"] or 0 for row in ours],
                fmt="o-",
                capsize=3,
                color=COLOURS[replicas],
                label=f"M = {replicas}",
            )
    axes.axhline(0, color="black", lw=0.6)
    if goal is not None:
        axes.axhline(goal, color="green", lw=0.8, ls="--", label=f"goal {goal} %")
    axes.set(title=title, xlabel="H", ylabel="% of loss")
    axes.legend(fontsize=7)


def _gap(axes: Any, rows: list[dict[str, Any]]) -> None:
    protocol = [row for row in rows if row["method"] == "4bit" and row["state"] == "reset"]
    _by_rounds(axes, protocol, "4 bits, reset, over synchronous at equal M and tokens")


def _outer(axes: Any, tuning: list[dict[str, Any]]) -> None:
    """Tuning: the best loss over inner rates, by outer rate, at momentum 0.9."""
    for replicas in REPLICAS:
        for round_steps, line in zip(sorted(ROUNDS), (":", "--", "-"), strict=True):
            best: dict[int, float] = {}
            for row in tuning:
                same = (row["method"], row["replicas"], row["round_steps"]) == ("fp32", replicas, round_steps)
                if same and (row["state"], row["momentum"]) == ("reset", 900) and row["loss"] is not None:
                    best[row["rate"]] = min(row["loss"], best.get(row["rate"], row["loss"]))
            if best:
                rates = sorted(best)
                values = [best[rate] for rate in rates]
                label = f"M = {replicas}, H = {round_steps}"
                axes.plot([r / 1000 for r in rates], values, line, marker=".", color=COLOURS[replicas], label=label)
    axes.set(title="tuning: outer rate at momentum 0.9, one seed", xlabel="outer rate", ylabel="nats per token")
    axes.legend(fontsize=5, ncol=2)


def _changes(axes: Any, tables: dict[str, list[dict[str, Any]]]) -> None:
    """One change at a time, as dots: block size and re-warm-up."""
    names: list[str] = []
    for table, key in (("block", "block"), ("payload_alone", "method"), ("rewarm", "rewarm")):
        for row in tables[table]:
            name = f"{key} {row[key]}"
            if name not in names:
                names.append(name)
            axes.plot(names.index(name), row["cost_percent"]["mean"], "o", color=COLOURS[row["replicas"]], alpha=0.6)
    axes.set_xticks(range(len(names)), names, rotation=30, fontsize=7)
    axes.axhline(0, color="black", lw=0.6)
    axes.set(title="one change at a time (colours: M)", ylabel="% of loss")
