"""`make handover`: a network begins with one founder and no money, and ends without it, carried by what others earned.

Four real node processes with trainers. Every check is printed, and what was seen is kept; status 1: one did not hold.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from chain.errors import NeuroError
from chain.money import NEURO
from tests.handover.nodes import running
from tests.handover.record import NAMES, Record, read
from tests.handover.story import NUMBERS, OTHERS, Ended, Story

COMMAND = "python -m tests.handover"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=540.0, help="after which it is given up")
    parser.add_argument("--out", type=Path, default=Path("docs/results/handover.json"))
    parser.add_argument("--data-dir", type=Path, default=None, help="where the nodes live; kept afterwards")
    options = parser.parse_args()
    root = options.data_dir or Path(tempfile.mkdtemp(prefix="handover-"))
    results = run(root, options.seconds)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    failed = [words for words, holds in results["checks"].items() if not holds]
    print(f"{len(results['checks'])} checks, {len(failed)} did not hold; written to {options.out}")
    if failed:
        print(f"what the nodes wrote is in {root}", file=sys.stderr)
    elif options.data_dir is None:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if failed else 0


def run(root: Path, seconds: float) -> dict[str, Any]:
    """The story, and then what the ledgers on disk say of it."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with running(root, 1 + len(OTHERS), NUMBERS) as nodes:
        story = Story(nodes, seconds)
        try:
            story.whole()
        except Ended as ended:
            story.check(f"the story comes to its end ({ended})", False)
        bad = nodes.stop()
        story.check("all end as Ctrl-C asks" + (f": {bad}" if bad else ""), not bad)
        found = judged(story)
    return {
        "command": COMMAND,
        "parameters": dict(word.split("=") for word in NUMBERS),
        "machine": {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()[0]},
        "seconds": story.passed,
        "seconds_until": story.times,
        **found,
        "checks": story.checks,
    }


def judged(story: Story) -> dict[str, Any]:
    """Replay every ledger from the genesis and compare them."""
    story.tell("All ledgers are replayed from the genesis: blocks, certificates, balances, models.")
    records: list[Record] = []
    for number in range(1 + len(OTHERS)):
        try:
            records.append(read(story.nodes.plan.home(number), story.nodes.identities))
        except NeuroError as error:
            story.check(f"the ledger of node {number} is right ({error})", False)
    if len(records) < 1 + len(OTHERS):
        return {}
    story.check("every ledger replays from the genesis, models included", True)
    longest = max(records, key=lambda record: len(record.hashes))
    same = all(
        longest.hashes[height] == block_hash for record in records for height, block_hash in record.hashes.items()
    )
    story.check("at every height all four have the same block", same)
    return facts(story, longest)


def facts(story: Story, record: Record) -> dict[str, Any]:
    """Checks on the longest ledger, and its figures."""
    killed = story.told.get("founder_killed_at_height", 0)
    phantoms = [epoch.phantom for _, epoch in sorted(record.epochs.items())]
    story.check("phases follow one another: bootstrap, handover, staked", list(record.phases) == [*_PHASES])
    story.check("phantom power only fell, to nothing", phantoms == sorted(phantoms, reverse=True) and not phantoms[-1])
    story.check(
        "each stake is 100 NEURO that were earned", [record.bonded.get(n, 0) for n in NAMES[1:]] == [_STAKE] * 3
    )
    story.check("nobody who was up was jailed" + (f": {record.jailed}" if record.jailed else ""), not record.jailed)
    late = [name for height, name in record.proposers.items() if height > killed + 3]
    story.check("after its end the founder makes no block, and each of the others some", set(late) == set(NAMES[1:]))
    after = {number: whose for number, (height, whose) in record.closed.items() if height > killed}
    three = [number for number, whose in after.items() if sorted(whose) == sorted(NAMES[1:])]
    story.check("rounds after it count the payloads of all three", bool(three))
    attendance = record.attendance()
    for name, figures in attendance.items():
        story.tell(
            f"{name} was active in {figures['epochs_active']} of its {figures['epochs_in_the_set']} epochs, "
            f"signed {figures['mean_share_signed']:.1%} on average and {figures['smallest_share_signed']:.1%} at least."
            if figures["epochs_in_the_set"]
            else f"{name} was never in the set."
        )
    return {
        "height": max(record.hashes),
        "first_height_of_phase": record.phases,
        "founder_killed_at_height": killed,
        "sets_of_validators_neuro": record.sets(),
        "attendance": attendance,
        "jailed": record.jailed,
        "rounds_closed": len(record.closed),
        "rounds_closed_after_the_founder": len(after),
        "of_them_with_three_payloads": len(three),
        "rounds_void": sorted(record.void),
        "outer_root": record.outer_root,
    }


_PHASES = ("bootstrap", "handover", "staked")
_STAKE = 100 * NEURO

if __name__ == "__main__":
    sys.exit(main())
