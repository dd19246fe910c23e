"""What the files of seeds share: run some seeds, and say how to run a failing one again."""

from tests.simulator.many import run_many

CASE = 8  # seeds of one case
CASES = 4  # of one file, so that several processes share the work


def cases(file: int) -> list[range]:
    """The seeds of each case of a file."""
    starts = [1 + CASE * (CASES * file + case) for case in range(CASES)]
    return [range(start, start + CASE) for start in starts]


def check_seeds(seeds: range) -> None:
    """Everything that must hold holds in these seeds."""
    found, failures = run_many(seeds, jobs=1)
    assert not failures, "\n".join(f"{line['failure']}\nagain: {line['command']}" for line in failures)
    assert found["blocks"] > found["seeds"]
