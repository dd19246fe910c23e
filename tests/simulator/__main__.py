"""`make sim SEED=N` and `make sim-many N=…`: one scenario by its seed, or many.

    python -m tests.simulator --seed 7                      # one run, as JSON
    python -m tests.simulator --seed 7 --trace              # and everything that happens in it
    python -m tests.simulator --seed 7 --set crash_ms=0     # with numbers of the scenario changed
    python -m tests.simulator --seed 7 --shrink             # look for a simpler one that fails alike
    python -m tests.simulator --many 1000 --out runs.jsonl  # stopped, it goes on where it was
    python -m tests.simulator --bench                       # how fast it is, without faults

Status 1 if something did not hold.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.simulator.many import run_many, shrunk
from tests.simulator.scenario import generate, with_settings
from tests.simulator.world import simulate

# Four validators, no faults: what --bench measures.
NO_FAULTS = (
    "resend lose double reorder bytes_per_ms crash_ms blackout_ms power_cut_ms partition_ms disconnect_ms skew_ms"
)
QUIET = (
    *("founders=4", "stakers=0", "observers=0", "trainers=0", "adversary=", "latency_ms=5", "jitter_ms=5"),
    *(f"{name}=0" for name in NO_FAULTS.split(" ")),
    *("transaction_ms=800", "epoch_blocks=12", "chaos_ms=120000"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="numbers of the scenario to change")
    parser.add_argument("--trace", action="store_true", help="print the log of events")
    parser.add_argument("--shrink", action="store_true", help="look for a simpler scenario that fails in the same way")
    parser.add_argument("--many", type=int, default=0, metavar="N", help="run N seeds, from --seed on")
    parser.add_argument("--jobs", type=int, default=2, help="processes for --many")
    parser.add_argument("--out", type=Path, help="where --many writes what it has done")
    parser.add_argument("--bench", action="store_true", help="measure the speed")
    options = parser.parse_args()
    if options.bench:
        return _print_many(range(1, 4), QUIET, 1, None)
    if options.many:
        return _print_many(
            range(options.seed, options.seed + options.many), tuple(options.set), options.jobs, options.out
        )
    scenario = with_settings(generate(options.seed), options.set)
    if options.shrink:
        scenario = shrunk(scenario)
    result = simulate(scenario, print if options.trace else None)
    print(json.dumps(result.as_json(), indent=1))
    if result.failure:
        print(result.place, result.failure, f"again: {scenario.command()}", sep="\n", file=sys.stderr)
    return 1 if result.failure else 0


def _print_many(seeds: range, settings: tuple[str, ...], jobs: int, out: Path | None) -> int:
    found, failures = run_many(seeds, settings, jobs, out)
    print(json.dumps(found, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
