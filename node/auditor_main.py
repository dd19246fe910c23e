"""The auditor process: trains a segment of another's round again and compares. Start at `AuditorProcess.examine`.

Questions arrive on stdin, answers leave on stdout, one at a time. The end of stdin ends it. It gives way to everything
else on this machine: an audit has time.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chain.audit_messages import MISMATCH, PASS
from chain.crypto.hashing import merkle_root
from chain.genesis import parse_network
from node import backends
from node.auditor_messages import KINDS, Replay, Replayed, Unable
from node.corpus_choice import open_corpus
from node.errors import NodeError
from node.template import Learning
from node.trainer_messages import from_line, to_line
from training.draw import draw_batch
from training.errors import TrainingError
from training.inner import InnerLoop, InnerState
from training.model import FlatVector, NeuroLLM
from training.pages import pages_root
from training.replay import (
    Comparison,
    Tolerances,
    compare,
    distance_holds,
    payload_linked,
    read_vector,
    replay_segment,
)

NICENESS = 10


class AuditorProcess:
    """One model, one question at a time, one thread."""

    def __init__(self, data_directory: Path) -> None:
        self.network = parse_network((data_directory / "network").read_bytes())
        self.learning = Learning.of(self.network)
        params = self.network.params
        self.tolerances = Tolerances(
            params.tolerance_theta_billionths, params.tolerance_m_billionths, params.tolerance_v_billionths
        )
        self.tokens = open_corpus(self.network, data_directory, lambda done, total: None).train
        self.loop = InnerLoop(NeuroLLM(self.learning.model, torch.device("cpu")), self.learning.inner)

    def answer(self, question: Replay) -> Replayed | Unable:
        """What came of a question; a fault of this machine is told, and says nothing of the audited node."""
        began = time.monotonic()
        try:
            finding, inner, reason = self.examine(question)
        except (TrainingError, NodeError, OSError, MemoryError) as error:
            return Unable(question.number, str(error) or "memory ran out")
        except RuntimeError as error:
            if "memory" not in str(error):  # torch says so in a RuntimeError
                raise
            return Unable(question.number, "memory ran out")
        return Replayed(question.number, finding, inner, reason, time.monotonic() - began)

    def examine(self, question: Replay) -> tuple[int, bytes, str]:
        """The finding, the roots after each step, and the reason in words."""
        steps, roots = self.learning.inner.segment_steps, list[bytes]()
        first = question.segment * steps
        before = self._state(question.before_theta, question.before_m, question.before_v, first, question)
        claimed = self._state(question.after_theta, question.after_m, question.after_v, first + steps, question)

        def note(weights: FlatVector) -> None:
            roots.append(pages_root(weights, merkle_root))

        replayed = replay_segment(self.loop, before, self._draw(question), question.round - 1, steps, note)
        compared = compare(before, claimed, replayed, self.tolerances)
        faults = [] if compared.within else [f"the segment leads elsewhere ({_distances(compared)})"]
        if not distance_holds(before.theta, claimed.theta, question.distance):
            faults.append("the weights have not gone as far as claimed")
        del before, claimed, replayed
        base, last = self._vector(question.base), self._vector(question.last_theta)
        if not payload_linked(base, last, self.learning.fragment_sizes, Path(question.payload).read_bytes()):
            faults.append("the payload is not what the weights of the last state give")
        reason = "; ".join(faults) or f"trained again with the same result ({_distances(compared)})"
        return MISMATCH if faults else PASS, b"".join(roots), reason

    def _state(self, theta: str, m: str, v: str, steps_done: int, question: Replay) -> InnerState:
        return InnerState(self._vector(theta), self._vector(m), self._vector(v), steps_done, question.averages_steps)

    def _vector(self, path: str) -> FlatVector:
        return read_vector(Path(path).read_bytes() if path else None, self.learning.parameters)

    def _draw(self, question: Replay) -> Callable[[int], NDArray[np.int64]]:
        inner = self.learning.inner

        def draw(step: int) -> NDArray[np.int64]:
            return draw_batch(self.tokens, question.mix, question.node, step, inner.sequences, inner.length)

        return draw


def _distances(compared: Comparison) -> str:
    return f"weights {compared.theta:.1e}, moments {compared.m:.1e} and {compared.v:.1e} apart"


def main() -> None:
    """`python -m node.auditor_main DATA_DIR`, started by the node."""
    # The terminal sends Ctrl-C to both processes: the node decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICENESS)
    out = sys.stdout.buffer

    def say(answer: Replayed | Unable) -> None:
        out.write(to_line(answer))
        out.flush()

    process: AuditorProcess | None = None
    for line in sys.stdin.buffer:
        question = from_line(line, KINDS)
        assert isinstance(question, Replay)
        try:
            if process is None:
                backends.choose(os.environ)
                torch.set_num_threads(1)
                process = AuditorProcess(Path(sys.argv[1]))
            say(process.answer(question))
        except BrokenPipeError:
            return
        except (TrainingError, NodeError, OSError, MemoryError) as error:
            say(Unable(question.number, str(error) or "memory ran out"))


if __name__ == "__main__":
    main()
