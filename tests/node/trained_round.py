"""A round that the real trainer has trained, with planted segments, and what an auditor is asked about it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chain.crypto.hashing import ZERO
from chain.genesis import Network
from chain.plants import is_planted, segment_mix
from node.auditor_messages import Replay
from node.model_store import ModelStore, outer_root
from node.segment_store import SegmentStore
from node.template import Learning, create_network, read_template, template_path
from node.trainer_main import TrainerProcess, TrainerSettings
from node.trainer_messages import RoundDone, SegmentDone, Train, TrainerEvent
from tests.node.lone_node import CREATED_MS, IDENTITY, named

STEPS = 3  # of a segment
NODE, SECRET = named("audited"), named("secret")


def small_network() -> Network:
    """Half of the segments are planted."""
    template = read_template(template_path(), "lab")
    numbers = {"chain.inner_steps": 4 * STEPS, "chain.segment_steps": STEPS, "chain.plant_basis_points": 5_000}
    founders = (IDENTITY.bootstrap_validator(),)
    parameters = template["parameters"] | numbers
    return create_network({**template, "parameters": parameters}, "small", CREATED_MS, founders)


@dataclass(frozen=True)
class TrainedRound:
    """Under `root`, which is a data directory."""

    root: Path
    network: Network
    mix: bytes
    segments: list[SegmentDone]
    done: RoundDone

    def is_planted(self, segment: int) -> bool:
        return is_planted(SECRET, self.mix, segment, self.network.params)

    def true_mix(self, segment: int) -> bytes:
        return segment_mix(SECRET, self.mix, segment, self.network.params)

    def question(self, segment: int, mix: bytes) -> Replay:
        states = SegmentStore(self.root / "segments")
        before, after = states.parts(1, segment), states.parts(1, segment + 1)
        assert before is not None and after is not None
        base = self.root / "base"

        def path(root: bytes) -> str:
            return "" if root == ZERO else str(states.find(root) or base)

        return Replay(
            number=segment, round=1, node=NODE, segment=segment, mix=mix, averages_steps=0,
            distance=self.segments[segment].distance, base=str(base),
            before_theta=path(before.theta_root), before_m=path(before.m_root), before_v=path(before.v_root),
            after_theta=path(after.theta_root), after_m=path(after.m_root), after_v=path(after.v_root),
            last_theta=path(self.done.theta_root), payload=str(self.root / "payloads" / self.done.payload_root.hex()),
        )  # fmt: skip


def train_a_round(root: Path) -> TrainedRound:
    network = small_network()
    (root / "network").write_bytes(network.file_bytes())
    for name in ("model", "payloads", "work", "segments", "tokens"):
        (root / name).mkdir()
    learning = Learning.of(network)
    models, born = ModelStore(root / "model", learning), learning.born()
    models.save(born, 0, outer_root(born, learning))
    (root / "base").write_bytes(np.asarray(born.weights, dtype="<f4").tobytes())
    said: list[TrainerEvent] = []
    process = TrainerProcess(TrainerSettings(root, NODE, "cpu", 1), said.append)
    mix = next(
        mix
        for mix in (named(f"mix {number}") for number in range(99))
        if {is_planted(SECRET, mix, segment, network.params) for segment in range(4)} == {True, False}
    )
    process.commands.put(Train(1, mix, str(models.path(0)), ZERO, 0, SECRET))
    process.commands.put(None)
    process.run()
    [done] = [each for each in said if isinstance(each, RoundDone)]
    return TrainedRound(root, network, mix, [each for each in said if isinstance(each, SegmentDone)], done)
