"""The cheats of the work by name, and how each is stopped."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.adversaries.work.copied_neighbour import CopiedNeighbour
from tests.adversaries.work.flipped_payload import FlippedPayload
from tests.adversaries.work.huge_segment import HugeSegment
from tests.adversaries.work.invented_states import InventedStates
from tests.adversaries.work.low_precision import LowPrecision
from tests.adversaries.work.other_data import OtherData
from tests.adversaries.work.other_wallet import OtherWallet
from tests.adversaries.work.replayed_proof import RenamedProof, ReplayedProof
from tests.adversaries.work.selective_refusal import RefusesOpening, RefusesServing, ServesGarbage
from tests.adversaries.work.shared_work import SharedWork
from tests.adversaries.work.skipped_steps import SkippedSteps
from tests.adversaries.work.smaller_batch import SmallerBatch
from tests.adversaries.work.stale_base import StaleBase
from tests.adversaries.work.wrong_label import WrongLabel
from tests.audits.school import School
from tests.audits.trainer import Trainer
from tests.builders import Key, a_key

Make = Callable[[School, Key, Key, Trainer], Trainer]
SOME = frozenset({0, 1})


@dataclass(frozen=True)
class Kind:
    """How to make a cheat, given an honest neighbour that stands before it; and its end when it is caught."""

    make: Make
    end: str = "fraud"


def _plain(kind: type[Trainer], **how: object) -> Make:
    return lambda school, key, wallet, neighbour: kind(school, key, wallet, **how)  # type: ignore[arg-type]


# Found by replay, or by what an auditor must have for it: at the audit's rate times the share of segments.
AUDITED = {
    "skipped_steps": Kind(_plain(SkippedSteps)),
    "skipped_steps_half": Kind(_plain(SkippedSteps, segments=SOME)),
    "smaller_batch": Kind(_plain(SmallerBatch)),
    "other_data": Kind(_plain(OtherData)),
    "wrong_label": Kind(_plain(WrongLabel)),
    "stale_base": Kind(_plain(StaleBase)),
    "copied_neighbour": Kind(lambda s, k, w, n: CopiedNeighbour(s, k, w, neighbour=n)),
    "huge_segment": Kind(_plain(HugeSegment)),
    "huge_segment_spread": Kind(_plain(HugeSegment, told="spread")),
    "invented_states": Kind(_plain(InventedStates)),
    "invented_states_half": Kind(_plain(InventedStates, segments=SOME)),
    "low_precision": Kind(_plain(LowPrecision)),
    "flipped_payload": Kind(_plain(FlippedPayload)),
    "shared_work_nudged": Kind(lambda s, k, w, n: SharedWork(s, k, w, first=n, nudged=True)),
    "refuses_opening": Kind(_plain(RefusesOpening, segments=SOME), "withheld"),
    "refuses_serving": Kind(_plain(RefusesServing, segments=SOME), "withheld"),
    "serves_garbage": Kind(_plain(ServesGarbage, segments=SOME), "withheld"),
}
# What the ledger refuses, with the words that it has for it.
REFUSED = {
    "replayed_proof": (_plain(ReplayedProof), "proof nonce"),
    "renamed_proof": (_plain(RenamedProof), "state_before of segment 0"),
    "other_wallet": (_plain(OtherWallet), "belongs to another wallet"),
    "shared_work": (lambda s, k, w, n: SharedWork(s, k, w, first=n), "has revealed the payload"),
    "huge_segment_hidden": (_plain(HugeSegment, told="hidden"), ""),
}


def a_cheat(school: School, name: str, neighbour: Trainer, seed: int = 0) -> Trainer:
    make = AUDITED[name].make if name in AUDITED else REFUSED[name][0]
    return make(school, a_key(f"node {name} of {seed}"), a_key(f"wallet of {name} of {seed}"), neighbour)
