"""The birth of the model: random weights from the genesis seed, the same bits on every machine.

A value is the sum of four uniform 16-bit numbers (Irwin-Hall, close to a normal distribution), centred exactly in
integers and scaled by one IEEE multiplication in 64 bits and one rounding to 32. No logarithm, cosine or library
generator takes part: their last bits differ between libraries.
"""

from hashlib import shake_256
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from training.layout import ModelConfig, TensorPlace, parameter_layout

BIRTH_TAG = b"neuroshard/birth/1"
SEED_BYTES = 32
DRAWS_PER_VALUE = 4
CENTRE = 131_070  # Mean of the sum of four uniform 16-bit numbers: 4 · 65535 / 2, exact.

# Standard deviation 0.05 over that of the sum, sqrt((65536² - 1) / 3): the decimal form is the definition.
MATRIX_SCALE = 1.321449896065151e-06


def birth(config: ModelConfig, seed: bytes) -> NDArray[np.float32]:
    """The newborn flat vector, fp32 [parameter_count], from a seed of 32 bytes."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"the seed of the birth has {SEED_BYTES} bytes, not {len(seed)}")
    fragments = parameter_layout(config)
    flat = np.empty(fragments[-1].end, dtype=np.float32)
    for fragment in fragments:
        for place in fragment.tensors:
            flat[place.start : place.end] = _born_values(place, seed, config.layers)
    return flat


def _born_values(place: TensorPlace, seed: bytes, layers: int) -> NDArray[np.float32]:
    """The values of one tensor, fp32 [place.count]."""
    if place.kind == "norm":
        return np.ones(place.count, dtype=np.float32)
    stream = shake_256(BIRTH_TAG + seed + place.name.encode("ascii")).digest(2 * DRAWS_PER_VALUE * place.count)
    draws = np.frombuffer(stream, dtype=">u2").reshape(place.count, DRAWS_PER_VALUE)
    centred = draws.sum(axis=1, dtype=np.int64) - CENTRE
    values: NDArray[np.float32] = (centred.astype(np.float64) * birth_scale(place, layers)).astype(np.float32)
    return values


def birth_scale(place: TensorPlace, layers: int) -> float:
    """Factor from the centred integer to the weight. Residual outputs are smaller by sqrt(2 · layers).

    The square root and the division are each correctly rounded (IEEE 754), so the factor is the same everywhere.
    Source of the smaller scale: Radford et al. 2019, GPT-2, section 2.3.
    """
    if place.kind == "residual":
        return MATRIX_SCALE / sqrt(2 * layers)
    return MATRIX_SCALE
