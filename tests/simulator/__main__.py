"""`make sim SEED=N`: one scenario, by its seed; `--trace` prints everything that happens in it."""

import argparse
import json
import sys

from tests.simulator.scenario import generate, with_settings
from tests.simulator.world import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="numbers of the scenario to change")
    parser.add_argument("--trace", action="store_true", help="print the log of events")
    options = parser.parse_args()
    scenario = with_settings(generate(options.seed), options.set)
    result = simulate(scenario, print if options.trace else None)
    print(json.dumps(result.as_json(), indent=1))
    return 1 if result.failure else 0


if __name__ == "__main__":
    sys.exit(main())
