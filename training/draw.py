"""Which tokens a node trains on at a step: drawn by hash from the round's mix, never chosen by the node."""

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError
from training.tags import tagged


def draw_start(mix: bytes, node: bytes, step: int, sequence: int, positions: int) -> int:
    """Where one sequence starts, in 0 … positions - 1. `step` counts from 0 within the round.

    The remainder's bias is below positions / 2**64.
    """
    digest = tagged("draw", mix, node, step.to_bytes(4, "big"), sequence.to_bytes(4, "big"))
    return int.from_bytes(digest[:8], "big") % positions


def draw_batch(
    tokens: NDArray[np.uint16], mix: bytes, node: bytes, step: int, sequences: int, length: int
) -> NDArray[np.int64]:
    """The batch of a step, int64 [sequences, length + 1]. `mix` and `node` are 32 bytes each."""
    assert len(mix) == len(node) == 32
    positions = len(tokens) - length
    if positions < 1:
        raise CorpusError(f"{len(tokens)} training tokens are too few for sequences of {length}; add more text")
    batch = np.empty((sequences, length + 1), dtype=np.int64)
    for sequence in range(sequences):
        start = draw_start(mix, node, step, sequence, positions)
        batch[sequence] = tokens[start : start + length + 1]
    return batch
