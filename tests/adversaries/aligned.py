"""Aligned: written against our own rule. Agree with the others as much as the rule asks for, and lie with all the rest.

The lie keeps a share of the honest mean, so that its cosine with the honest deltas stays where the rule counts it in
full, and spends what is left of an honest norm on one direction, the same for all liars: chance, drawn once for all
rounds, so that the outer momentum adds it up; or back, to undo what was learnt in the rounds before.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tests.adversaries.scene import Attack, Scene, Vectors

Doubles = NDArray[np.float64]


def aligned(share: float, direction: Literal["chance", "back"] = "chance", seed: int = 1) -> Attack:
    """All liars publish share * mean plus a step aside, at the median honest norm."""

    def publish(scene: Scene) -> Vectors:
        mean = scene.mean
        back = direction == "back" and scene.progress is not None and scene.progress.any()
        aside = -np.asarray(scene.progress, dtype=np.float64) if back else _chance(scene, seed)
        if mean.any():
            aside -= mean * (aside @ mean) / (mean @ mean)
        length = float(np.linalg.norm(aside))
        if length > 0:
            left = max(scene.size**2 - share**2 * float(mean @ mean), 0.0)
            aside *= np.sqrt(left) / length
        return scene.all_say(share * mean + aside)

    return publish


def _chance(scene: Scene, seed: int) -> Doubles:
    """The honest spread with signs that are the same in every round."""
    return scene.spread * np.where(np.random.default_rng(seed).random(scene.spread.size) < 0.5, -1.0, 1.0)
