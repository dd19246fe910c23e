"""What the runs of `bench audits` add up to: figures, docs/results/audits.json, and a plot."""

import json
from collections.abc import Iterable, Iterator, Mapping
from math import ceil, sqrt
from pathlib import Path
from typing import Any

from bench.audits_growth import by_nodes, by_size, ledger_bytes, predicted_share, profile
from bench.audits_runs import SEGMENT_STEPS, SEGMENTS

Record = dict[str, Any]
Figure = tuple[str, float | None, str, float | None, str]
CHECKING = ("audit", "pair", "planted", "challenge", "dispute")
GOAL = 0.05


def summary(records: Mapping[str, Record]) -> Record:
    """Everything that the report holds; a part without runs is left out."""
    found: Record = {}
    if "share 0" in records:
        found["share"] = share = _share(records["share 0"])
        found["growth"] = {
            name: {
                "by_nodes": by_nodes(profile(name)),
                "by_size": by_size(profile(name), share["fetched_per_parameter"]),
            }
            for name in ("dev", "main")
        }
    if "disk" in records:
        found["disk"] = {name: records["disk"][name] for name in records["disk"] if name not in ("run", "seconds")}
    parades = _of(records, "parade")
    if parades:
        found["cheats"] = {name: _caught(record["cheats"][name] for record in parades) for name in parades[0]["cheats"]}
        honest = sum(each["vesting_of_the_honest"] for each in parades)
        for name, cheat in found["cheats"].items():
            # Of what honest nodes have vesting at the end; none of it is released yet.
            cheat["still_vesting"] = sum(each["vesting"][name] for each in parades) / honest
        found["time"] = _times(parades)
        found["honest"] = {
            "audits": sum(each["honest_audits"] for each in parades) + sum(_steady_audits(records)),
            "false_accusations": sum(each["false_accusations"] + each["innocent_segments"] for each in parades)
            + _steady_accusations(records),
        }
    for name in ("collusion", "stamps"):
        runs = _of(records, name)
        if runs:
            keys = sorted({run["run"].rsplit(" ", 1)[0] for run in runs})
            found[name] = {key: _caught(run for run in runs if run["run"].startswith(key + " ")) for key in keys}
    return found


def _of(records: Mapping[str, Record], kind: str) -> list[Record]:
    return [record for name, record in records.items() if name.split(" ")[0] == kind]


def _steady_audits(records: Mapping[str, Record]) -> Iterator[int]:
    for record in _of(records, "share"):
        yield sum(record["outcomes"].values())


def _steady_accusations(records: Mapping[str, Record]) -> int:
    outcomes = [record["outcomes"] for record in _of(records, "share")]
    return sum(count for each in outcomes for name, count in each.items() if name not in ("passed", ""))


def _share(record: Record) -> Record:
    """The share of inner steps: a replayed step is the same work as a trained one."""
    found: Record = {"parameters": record["parameters"], "segments": SEGMENTS, "segment_steps": SEGMENT_STEPS}
    main = profile("main")
    for phase, rate in (("warm_up", main.rates["warm_up"]), ("steady", main.rates["steady"])):
        part = record[phase]
        steps, audits = part["steps"], part["audits"]
        checked = sum(steps.get(name, 0) for name in CHECKING)
        found[phase] = {
            "rounds": part["rounds"],
            "audits": audits,
            "steps": steps,
            "share": checked / steps["training"],
            "predicted": predicted_share(main, rate),
            # If every lot had come up as often as it should.
            "share_of_expected_audits": checked / steps["training"] * _expected_audits(part, rate) / audits,
            "ledger_bytes_per_audit": sum(part["ledger_bytes"].values()) / audits,
            "share_of_all_input_bytes": sum(part["ledger_bytes"].values()) / part["all_input_bytes"],
            "seconds_share": part["judging_seconds"] / part["training_seconds"],
        }
    both = [record["warm_up"], record["steady"]]
    fetched = sum(part["fetched_bytes"] for part in both) / sum(part["judged"] for part in both)
    found["fetched_bytes_per_replay"] = fetched
    found["fetched_per_parameter"] = fetched / record["parameters"]
    found["ledger_bytes_by_type"] = {f"k={steps}": ledger_bytes(steps) for steps in (SEGMENT_STEPS, 10, 25)}
    return found


def _expected_audits(part: Record, rate: float) -> float:
    from bench.audits_runs import NODES

    return rate * NODES * part["rounds"]


def _caught(parts: Iterable[Record]) -> Record:
    kept = list(parts)
    sums = {name: sum(part[name] for part in kept) for name in ("lots", "drawn", "caught", "expected", "variance")}
    deviation = sqrt(sums["variance"])
    return {
        "lots": sums["lots"],
        "drawn": sums["drawn"],
        "caught": sums["caught"],
        "rate": sums["caught"] / sums["lots"],
        "predicted": sums["expected"] / sums["lots"],
        "deviations": (sums["caught"] - sums["expected"]) / deviation if deviation else 0.0,
        "two_deviations": 2 * deviation / sums["lots"],
    }


def _times(parades: list[Record]) -> Record:
    waits = {
        name: sorted(wait for each in parades for wait in each["rounds_to_conviction"][name])
        for name in parades[0]["cheats"]
    }
    blocks = sorted(block for each in parades for block in each["blocks_to_forfeit"])
    return {
        "rounds_to_conviction": {name: _quantiles(each) for name, each in waits.items() if each},
        "blocks_from_the_rounds_end_to_the_forfeit": _quantiles(blocks),
    }


def _quantiles(values: list[int]) -> Record:
    ranked = sorted(values)
    return {f"p{of}": ranked[ceil(of / 100 * len(ranked)) - 1] for of in (50, 99)} | {"count": len(ranked)}


def figures(found: Record) -> Iterator[Figure]:
    """In the order in which they are asked for."""
    if "share" in found:
        share = found["share"]
        note = f"{share['steady']['audits']} audits in {share['steady']['rounds']} rounds; reference: the goal"
        yield "verification_share", share["steady"]["share"], "of training steps", GOAL, note
        note = f"reference: {share['steady']['predicted']:.4f} by a(1+second)(1+planted)/S"
        yield "verification_share_predicted", share["steady"]["share"], "", share["steady"]["predicted"], note
        yield "verification_share_warm_up", share["warm_up"]["share"], "", share["warm_up"]["predicted"], "at a = 1"
        yield "fetched_bytes_per_parameter", share["fetched_per_parameter"], "B", None, "of one replay"
        yield "ledger_bytes_per_audit", share["steady"]["ledger_bytes_per_audit"], "B", None, f"k = {SEGMENT_STEPS}"
    if "disk" in found:
        disk = found["disk"]
        for name in ("until_drawn", "until_settled"):
            per = disk[name] / disk["parameters"]
            yield f"disk_{name}", per, "B a parameter", round(disk[f"{name}_by_rule"] / disk["parameters"], 1), "S = 20"
    for group in ("cheats", "collusion", "stamps"):
        for name, cheat in found.get(group, {}).items():
            note = f"{cheat['caught']} of {cheat['lots']}, {cheat['deviations']:+.1f} deviations"
            yield f"{group}.{name}", cheat["rate"], "per round", round(cheat["predicted"], 4), note
    if "honest" in found:
        yield "false_accusations", found["honest"]["false_accusations"], "", None, f"{found['honest']['audits']} audits"
    if "time" in found:
        blocks = found["time"]["blocks_from_the_rounds_end_to_the_forfeit"]
        yield "blocks_to_forfeit_p50", blocks["p50"], "blocks", None, f"p99 {blocks['p99']}, {blocks['count']} cases"


def write_report(found: Record, folder: Path) -> None:
    (folder / "audits.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if "cheats" in found:
        _plot(found, folder / "audits.png")


def _plot(found: Record, path: Path) -> None:
    """Seen against predicted, with two standard deviations of chance."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cheats = found["cheats"] | found.get("collusion", {}) | found.get("stamps", {})
    figure, axes = pyplot.subplots(figsize=(8, 0.28 * len(cheats) + 1.5))
    places = range(len(cheats))
    spread = [each["two_deviations"] for each in cheats.values()]
    axes.errorbar(
        [each["predicted"] for each in cheats.values()], places, xerr=spread, fmt="|", color="grey", label="predicted"
    )
    axes.plot([each["rate"] for each in cheats.values()], places, "o", markersize=4, label="caught")
    axes.set_yticks(list(places), [name.replace("_", " ") for name in cheats], fontsize=8)
    axes.set_xlabel("per round (cheats at a = 0.4; friends at a = 1; stamps per audit)")
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
