"""How good the model is on text it never trained on."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from training.errors import CorpusError
from training.model import NeuroLLM

SEQUENCES_PER_PASS = 16
# What a node measures its model on: cheap enough for every round.
WINDOWS = 128
WINDOW_TOKENS = 128


def validation_windows(tokens: NDArray[np.uint16], sequences: int, length: int) -> NDArray[np.int64]:
    """`sequences` windows of length + 1 tokens, evenly spread over the split, int64 [sequences, length + 1].

    A split too short for that many gives those that fit without overlap; one too short for any raises CorpusError.
    """
    count = min(sequences, (len(tokens) - 1) // length)
    if count < 1:
        raise CorpusError(f"{len(tokens)} held-out tokens are too few to measure on; add more text")
    last = len(tokens) - 1 - length
    starts = [last * index // max(count - 1, 1) for index in range(count)]
    return np.stack([tokens[start : start + length + 1] for start in starts]).astype(np.int64)


def validation_loss(
    model: NeuroLLM, tokens: NDArray[np.uint16], sequences: int = WINDOWS, length: int = WINDOW_TOKENS
) -> float:
    """Mean cross-entropy, nats per token, on fixed held-out windows; the same bits on the same machine."""
    parts = list(validation_parts(model, tokens, sequences, length))
    return sum(loss * windows for loss, windows in parts) / sum(windows for _, windows in parts)


@torch.no_grad()
def validation_parts(
    model: NeuroLLM, tokens: NDArray[np.uint16], sequences: int = WINDOWS, length: int = WINDOW_TOKENS
) -> Iterator[tuple[float, int]]:
    """The same in parts: the loss on some windows, and how many they are. The weights may change in between."""
    windows = validation_windows(tokens, sequences, min(length, model.config.context))
    for first in range(0, len(windows), SEQUENCES_PER_PASS):
        batch = windows[first : first + SEQUENCES_PER_PASS]
        yield model.loss(torch.from_numpy(batch).to(model.flat.device)).item(), len(batch)
