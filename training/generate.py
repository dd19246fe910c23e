"""Text from the model, token by token, with a cache of keys and values so that each token costs one position."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from training.errors import ConfigError
from training.model import Cache, NeuroLLM
from training.tokens import Tokenizer

# What decoding gives for bytes that are no whole character yet.
UNFINISHED = "\ufffd"
# The longest UTF-8 character: more undecodable tokens than this are no unfinished character.
LONGEST_CHARACTER_BYTES = 4


def generate(
    model: NeuroLLM, tokenizer: Tokenizer, prompt: str, max_tokens: int, temperature: float = 0.8, seed: int = 0
) -> Iterator[str]:
    """Yield the continuation of `prompt` piece by piece, until `max_tokens` or the end of the text.

    Temperature 0 takes the likeliest token; the same seed gives the same text on the same machine. Of a prompt longer
    than the context only the end is read.
    """
    context = tokenizer.encode(prompt) or [tokenizer.end_of_text]
    pending: list[int] = []
    for token in generate_tokens(model, context, max_tokens, temperature, seed):
        if token == tokenizer.end_of_text:
            break
        pending.append(token)
        piece = tokenizer.decode(pending)
        if not piece.endswith(UNFINISHED) or len(pending) >= LONGEST_CHARACTER_BYTES:
            pending.clear()
            yield piece
    if pending:
        yield tokenizer.decode(pending)


@torch.no_grad()
def generate_tokens(
    model: NeuroLLM, context: list[int], max_tokens: int, temperature: float, seed: int
) -> Iterator[int]:
    """Yield `max_tokens` tokens after `context`, which holds at least one. Raises ConfigError."""
    assert context
    if not temperature >= 0:
        raise ConfigError(f"the temperature is {temperature}: it must be a number from 0 on")
    random = np.random.default_rng(seed)
    seen = list(context)
    cache: Cache | None = None
    for _ in range(max_tokens):
        if cache is None or cache[0][0].shape[2] >= model.config.context:
            # A full cache is read anew from the later half: positions of the kept tokens change.
            room = model.config.context if cache is None else max(model.config.context // 2, 1)
            seen, cache = seen[-room:], None
        unread = seen if cache is None else seen[-1:]
        logits, cache = model.read_on(torch.tensor([unread], device=model.flat.device), cache)
        token = sample(logits[0, -1].to("cpu", torch.float32).numpy(), temperature, random)
        seen.append(token)
        yield token


def sample(logits: NDArray[np.float32], temperature: float, random: np.random.Generator) -> int:
    """Draw a token from softmax(logits / temperature)."""
    if temperature == 0:
        return int(logits.argmax())
    # The distance to the likeliest first: however small the temperature, it becomes 0 or -inf and never a NaN.
    with np.errstate(over="ignore"):
        scaled = (logits.astype(np.float64) - float(logits.max())) / temperature
    weights = np.exp(scaled).cumsum()
    return int(np.searchsorted(weights, random.random() * weights[-1], side="right").clip(max=len(weights) - 1))
