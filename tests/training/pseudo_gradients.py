"""Invented pseudo-gradients: blocks that sit on the edges of the payload format."""

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.payload import encode_payload

Floats = NDArray[np.float32]
FRAGMENT_SIZES = st.lists(st.sampled_from((1, 2, 127, 255, 256, 257, 300)), min_size=1, max_size=3).map(tuple)
UNIT = np.float64(2.0**-24)
SATURATION = 7 * 255 << 15


def _zeros(chance: np.random.Generator, size: int) -> Floats:
    return np.where(chance.integers(0, 2, size) == 0, np.float32(0.0), np.float32(-0.0))


def _denormals(chance: np.random.Generator, size: int) -> Floats:
    return (chance.integers(0, 1 << 23, size) | chance.integers(0, 2, size) << 31).astype(np.uint32).view(np.float32)


def _around_half_a_unit(chance: np.random.Generator, size: int) -> Floats:
    return (chance.integers(-3, 4, size) * UNIT / 2 * (1 + chance.integers(-1, 2, size) * 2.0**-20)).astype(np.float32)


def _ties(chance: np.random.Generator, size: int) -> Floats:
    step = int(chance.integers(128, 256)) << int(chance.integers(0, 15))
    halves = chance.integers(-14, 15, size)
    halves[0] = 14
    return (halves * (step / 2) * UNIT).astype(np.float32)


def _saturating(chance: np.random.Generator, size: int) -> Floats:
    edge = SATURATION + int(chance.integers(-8, 9))
    return (np.where(chance.integers(0, 2, size) == 0, edge, -edge // chance.integers(1, 9, size)) * UNIT).astype(
        np.float32
    )


def _any_size(chance: np.random.Generator, size: int) -> Floats:
    return (chance.standard_normal(size) * 2.0 ** chance.integers(-40, 100)).astype(np.float32)


def _trained(chance: np.random.Generator, size: int) -> Floats:
    return (chance.standard_normal(size) * 0.003).astype(np.float32)


KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "zeros": _zeros,
    "denormals": _denormals,
    "half a unit": _around_half_a_unit,
    "ties": _ties,
    "saturating": _saturating,
    "any size": _any_size,
    "trained": _trained,
}


@st.composite
def deltas(draw: st.DrawFn, sizes: Sequence[int], kinds: Sequence[str] = tuple(KINDS)) -> Floats:
    """A flat fp32 vector whose stretches of 256 each are of one kind."""
    chance = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    parts = []
    for size in sizes:
        for start in range(0, size, 256):
            parts.append(KINDS[draw(st.sampled_from(kinds))](chance, min(256, size - start)))
    return np.concatenate(parts)


@st.composite
def ends_of_a_round(draw: st.DrawFn) -> tuple[Floats, Floats, tuple[int, ...]]:
    """Weights before and after training and the fragment sizes: edges around zero, or around weights."""
    sizes = draw(FRAGMENT_SIZES)
    delta = draw(deltas(sizes))
    if draw(st.booleans()):
        return delta, draw(deltas(sizes, ("zeros",))), sizes
    before = draw(deltas(sizes, ("trained", "any size")))
    return before, before - delta, sizes


def payloads(count: int, sizes: Sequence[int], seed: int) -> list[bytes]:
    """Payloads of `count` nodes that trained from zero weights."""
    chance = np.random.default_rng(seed)
    zero = np.zeros(sum(sizes), dtype=np.float32)
    return [encode_payload(_trained(chance, zero.size), zero, sizes) for _ in range(count)]
