"""Min-max (Shejwalkar and Houmansadr 2021): go as far from the honest mean as no distance gives away.

The lie is mean + gamma * direction, with the largest gamma at which no honest delta is further from the lie than two
honest deltas are from one another. A rule that judges by distances cannot tell it from an honest delta.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tests.adversaries.scene import Attack, Scene, Vectors

Doubles = NDArray[np.float64]


def min_max(direction: Literal["mean", "spread"]) -> Attack:
    """All liars publish the honest mean moved against itself, or against the honest standard deviations."""

    def publish(scene: Scene) -> Vectors:
        mean = scene.mean
        way = -mean if direction == "mean" else -scene.spread
        length = float(np.linalg.norm(way))
        if length == 0:
            return scene.all_say(mean)
        way /= length
        return scene.all_say(mean + largest_step(scene.honest.astype(np.float64), mean, way) * way)

    return publish


def largest_step(honest: Doubles, mean: Doubles, way: Doubles) -> float:
    """The largest gamma >= 0 with |mean + gamma * way - x| <= the largest |x - y|, x and y honest; `way` has norm 1."""
    squares = (honest * honest).sum(axis=1)
    widest = float((squares[:, None] + squares[None] - 2 * honest @ honest.T).max())
    offsets = mean - honest
    # |offset + gamma * way|^2 <= widest is a quadratic in gamma for each honest delta; the least root holds for all.
    half = offsets @ way
    rest = widest - (offsets * offsets).sum(axis=1)
    return float((np.sqrt(half * half + np.maximum(rest, 0)) - half).min())
