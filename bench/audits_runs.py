"""The runs of `bench audits`: villages that really train, and what was counted in them.

Every run is a function of its size and a seed, and gives plain numbers that add up with those of other seeds.
"""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.corpus_choice import shipped_manifest, tokenizer_path
from node.segment_store import Boundary, SegmentStore, Vectors
from node.template import read_template, template_path
from tests.adversaries.work.lazy_auditor import RubberStamp
from tests.adversaries.work.suite import AUDITED
from tests.audits.collusion import collusion
from tests.audits.parade import EVER, a_parade
from tests.audits.people import a_node, a_school, a_village, an_auditor
from tests.audits.school import School, a_learning_network
from tests.audits.tallies import Tally, tally
from tests.audits.trainer import Trainer
from tests.audits.village import Village
from training.corpus import Corpus
from training.sources import folder_source, package_folder

Record = dict[str, Any]
AUDIT_INPUTS = ("SegmentOpening", "VerdictCommit", "VerdictReveal", "PlantReveal", "AuditVote")
NODES, SEGMENTS, SEGMENT_STEPS, WARM_UP_ROUNDS = 6, 20, 2, 20


def shipped_tokens() -> NDArray[np.uint16]:
    with TemporaryDirectory() as cache:
        corpus = Corpus.open(shipped_manifest(), folder_source(package_folder()), tokenizer_path(), Path(cache))
        return np.array(corpus.train)


def lab_school() -> School:
    """The `lab` profile with the audits of genesis.json, and rounds of twenty segments as in `main`."""
    numbers = read_template(template_path(), "lab")["parameters"]
    chain = {name[6:]: value for name, value in numbers.items() if name.startswith("chain.")}
    learning = {name: value for name, value in numbers.items() if not name.startswith("chain.")}
    chain |= {
        "inner_steps": SEGMENTS * SEGMENT_STEPS,
        "segment_steps": SEGMENT_STEPS,
        "registrations_per_block": 64,
        "audit_warmup_rounds": WARM_UP_ROUNDS,
    }
    return School(a_learning_network(1, learning, **chain), shipped_tokens())


def share_run(rounds: int, seed: int) -> Record:
    """Honest nodes only: what checking costs, in their first rounds and in as many steady ones."""
    school = lab_school()
    village = a_village(school, [a_node(school, f"{place} of {seed}") for place in range(NODES)])
    first = _counted(village, WARM_UP_ROUNDS)
    steady = _counted(village, rounds)
    outcomes = Counter(each.outcome for each in village.audits.values())
    return {"parameters": school.learning.parameters, "warm_up": first, "steady": steady, "outcomes": outcomes}


def _counted(village: Village, rounds: int) -> Record:
    school = village.school
    before = Counter(school.steps), Counter(village.bytes), Counter(school.seconds), school.fetched, school.judged
    known = set(village.audits)
    village.run(rounds)
    steps, inputs = Counter(school.steps), Counter(village.bytes)
    steps.subtract(before[0])
    inputs.subtract(before[1])
    return {
        "rounds": rounds,
        "audits": len(set(village.audits) - known),
        "steps": dict(steps),
        "ledger_bytes": {name: inputs[name] for name in AUDIT_INPUTS},
        "all_input_bytes": sum(inputs.values()),
        "fetched_bytes": school.fetched - before[3],
        "judged": school.judged - before[4],
        "training_seconds": school.seconds["training"] - before[2]["training"],
        "judging_seconds": school.seconds["judging"] - before[2]["judging"],
    }


def parade_run(rounds: int, seed: int) -> Record:
    """All cheats at the steady rate: how often each was caught, how soon, and who else was accused."""
    parade = a_parade(list(AUDITED), 4_000, rounds, seed)
    village = parade.village
    honest = {node.key.node for node in parade.honest}
    of_honest = [each for each in village.audits.values() if each.node in honest and each.outcome]
    return {
        "cheats": {name: _as_record(tally(village, cheat)) for name, cheat in parade.cheats.items()},
        "rounds_to_conviction": {name: _waits(village, cheat) for name, cheat in parade.cheats.items()},
        "vesting": {name: village.vesting(cheat) for name, cheat in parade.cheats.items()},
        "vesting_of_the_honest": sum(map(village.vesting, parade.honest)) // len(parade.honest),
        "blocks_to_forfeit": [
            each.ended_height - village.ended_heights[each.round]
            for each in village.audits.values()
            if each.outcome == "fraud"
        ],
        "honest_audits": len(of_honest),
        "false_accusations": sum(each.outcome != "passed" for each in of_honest),
        "innocent_segments": sum(_is_innocent(parade.cheats.values(), each) for each in village.audits.values()),
    }


def _is_innocent(cheats: Any, audit: Any) -> bool:
    """Whether an honest segment of a cheat was drawn and yet not passed."""
    of = next((cheat for cheat in cheats if cheat.key.node == audit.node), None)
    forged = of is not None and audit.segment in of.history[audit.round].cheated
    return of is not None and not forged and audit.outcome in ("fraud", "withheld", "acquitted")


def _waits(village: Village, cheat: Trainer) -> list[int]:
    """Faked rounds up to and with each that was found."""
    waits, waiting = [], 0
    for lot in sorted((each for each in village.lots if each.node == cheat.key.node), key=lambda each: each.round):
        if not cheat.history[lot.round].cheated:
            continue
        waiting += 1
        watched = village.audits.get((lot.round, lot.node))
        if watched is not None and watched.outcome in ("fraud", "withheld"):
            waits.append(waiting)
            waiting = 0
    return waits


def _as_record(found: Tally) -> Record:
    return {
        "lots": found.lots,
        "drawn": found.drawn,
        "caught": found.caught,
        "expected": found.expected,
        "variance": found.variance,
    }


def collusion_run(friends: int, honest: int, rounds: int, seed: int) -> Record:
    return {"friends": friends, "honest": honest, **_as_record(collusion(friends, honest, rounds, seed))}


def stamps_run(rounds: int, seed: int) -> Record:
    """Three of four validators pass everything unseen, at the rate of plants of genesis.json."""
    planted = read_template(template_path(), "lab")["parameters"]["chain.plant_basis_points"]
    school = a_school(
        audit_warmup_rounds=EVER,
        audit_floor_rounds=EVER,
        plant_basis_points=planted,
        audit_second_basis_points=0,
        audit_fault_basis_points=0,
    )
    stamps = [an_auditor(school, f"stamp {place}", RubberStamp) for place in range(3)]
    nodes = [a_node(school, f"{place} of {seed}") for place in range(8)]
    village = a_village(school, nodes, stamps, validators=3).run(rounds)
    stamped = sum(each.round > 1 for stamp in stamps for each in village.blind(stamp))
    chance = planted / 10_000
    return {
        "lots": stamped,
        "drawn": stamped,
        "caught": len(village.named("AuditFault")),
        "expected": chance * stamped,
        "variance": chance * (1 - chance) * stamped,
    }


def disk_run() -> Record:
    """What a node's own store takes for a round: until the draw, and then for the drawn segment."""
    school = lab_school()
    node = a_node(school, "keeper")
    village = a_village(school, [node, a_node(school, "other")])
    while 1 not in node.work:
        village.block()
    work = node.work[1]
    with TemporaryDirectory() as folder:
        store = SegmentStore(Path(folder))
        for number, (state, parts) in enumerate(zip(work.states, work.parts, strict=True)):
            store.put(Boundary(1, number, parts, state.v_steps), Vectors(state.theta, state.m, state.v))
        whole = _bytes_in(Path(folder))
        store.prune({1: (SEGMENTS // 2, SEGMENTS // 2 + 1)})
        drawn = _bytes_in(Path(folder))
        store.prune({2: ()})
        return {
            "parameters": school.learning.parameters,
            "until_drawn": whole,
            "until_settled": drawn,
            "after": _bytes_in(Path(folder)),
            "until_drawn_by_rule": (SEGMENTS + 1) * 12 * school.learning.parameters,
            "until_settled_by_rule": 24 * school.learning.parameters,
        }


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
