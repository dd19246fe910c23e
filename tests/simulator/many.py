"""Many seeds on several processes, written down as they go, so that a run that was stopped goes on where it was."""

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.simulator.scenario import Scenario, generate, with_settings
from tests.simulator.world import Result, simulate

Summary = dict[str, Any]


def run_seed(work: tuple[int, tuple[str, ...]]) -> dict[str, Any]:
    """One seed with settings: what is written down of it."""
    seed, settings = work
    scenario = with_settings(generate(seed), settings)
    return line_of(simulate(scenario))


def line_of(result: Result) -> dict[str, Any]:
    names = ("failure", "trace", "events", "messages", "blocks", "views", "epochs", "transactions", "crashes")
    line = {name: getattr(result, name) for name in (*names, "over", "recovered_ms", "virtual_ms", "seconds")}
    return {"seed": result.scenario.seed, **line, "command": result.scenario.command() if result.failure else ""}


def run_many(
    seeds: Iterable[int], settings: tuple[str, ...] = (), jobs: int = 2, out: Path | None = None
) -> tuple[Summary, list[dict[str, Any]]]:
    """Run seeds that `out` does not hold yet. Returns the summary of all, and the failures."""
    began = perf_counter()
    done = {line["seed"]: line for line in _read(out)}
    wanted = list(seeds)
    todo = [(seed, settings) for seed in wanted if seed not in done]
    with _spread(jobs) as results:
        for line in results(todo):
            done[line["seed"]] = line
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    lines = [done[seed] for seed in wanted]
    failures = [line for line in lines if line["failure"]]
    return summary(lines, perf_counter() - began), failures


class _spread:
    """A map over processes; over this one if one is enough."""

    def __init__(self, jobs: int) -> None:
        # Processes are started anew: what this one has computed before must change nothing.
        self.pool = multiprocessing.get_context("spawn").Pool(jobs) if jobs > 1 else None

    def __enter__(self) -> Callable[[list[tuple[int, tuple[str, ...]]]], Iterator[dict[str, Any]]]:
        pool = self.pool
        if pool is None:
            return lambda todo: map(run_seed, todo)
        return lambda todo: pool.imap_unordered(run_seed, todo, chunksize=4)

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.terminate()
            self.pool.join()


def _read(out: Path | None) -> list[dict[str, Any]]:
    """What has been done before."""
    if out is None or not out.exists():
        return []
    text = out.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        out.write_text(whole)  # The last line was cut short.
    return [json.loads(line) for line in whole.splitlines()]


def summary(lines: list[dict[str, Any]], wall_seconds: float) -> Summary:
    """The figures of many runs. `seconds` is the time that one processor would have needed."""

    def total(name: str) -> Any:
        return sum(line[name] for line in lines)

    seconds = total("seconds")
    recovered = sorted(line["recovered_ms"] for line in lines if line["recovered_ms"] >= 0)
    return {
        "seeds": len(lines),
        "views": total("views"),
        "blocks": total("blocks"),
        "epochs": total("epochs"),
        "transactions": total("transactions"),
        "crashes": total("crashes"),
        "messages": total("messages"),
        "events": total("events"),
        "without_promise": sum(line["over"] for line in lines),
        "virtual_hours": round(total("virtual_ms") / 3_600_000, 2),
        "recovered_p50_ms": recovered[len(recovered) // 2] if recovered else -1,
        "recovered_max_ms": recovered[-1] if recovered else -1,
        "seconds": round(seconds, 1),
        "wall_seconds": round(wall_seconds, 1),
        "views_per_s": round(total("views") / seconds, 1) if seconds else 0,
        "failures": [
            {"seed": line["seed"], "failure": line["failure"], "command": line["command"]}
            for line in lines
            if line["failure"]
        ],
    }


def shrunk(scenario: Scenario, tries: int = 40) -> Scenario:
    """A simpler scenario that fails in the same way: fewer faults, fewer machines, less time."""
    kind = _kind(simulate(scenario).failure)
    for word in _simplifications(scenario):
        if tries <= 0:
            break
        simpler = with_settings(scenario, (word,))
        if simpler != scenario:
            tries -= 1
            if kind and _kind(simulate(simpler).failure) == kind:
                scenario = simpler
    return scenario


def _kind(failure: str) -> str:
    """A failure without its numbers and names."""
    return "".join(letter for letter in failure.partition(":")[0] if letter.isalpha() or letter == " ")


def _simplifications(scenario: Scenario) -> list[str]:
    numbers = "trainers observers stakers bytes_per_ms reorder double lose resend skew_ms disconnect_ms partition_ms"
    words = [
        "adversary=",
        *(f"{name}=0" for name in [*numbers.split(), "power_cut_ms", "blackout_ms", "crash_ms", "transaction_ms"]),
    ]
    words += ["jitter_ms=0", "latency_ms=1", "founders=1", "founders=4"]
    return words + [f"chaos_ms={scenario.chaos_ms * share // 10}" for share in (2, 4, 6, 8)]
