"""Aligned: written against our own rule. Agree with the others as much as the rule asks for, and lie with all the rest.

The lie keeps a share of the honest mean, so that its cosine with the honest deltas stays where the rule counts it in
full, and spends what is left of an honest norm on one fixed direction, the same for all liars and in all rounds, so
that the outer momentum adds it up. In `spread` this is the honest spread, weighted by chance signs drawn once.
"""

import numpy as np

from tests.adversaries.scene import Attack, Scene, Vectors


def aligned(share: float, seed: int = 1) -> Attack:
    """All liars publish share * mean plus a fixed direction, at the median honest norm."""

    def publish(scene: Scene) -> Vectors:
        mean = scene.mean
        signs = np.where(np.random.default_rng(seed).random(mean.size) < 0.5, -1.0, 1.0)
        aside = signs * scene.spread
        if aside.any():
            aside -= mean * (aside @ mean) / (mean @ mean)
            left = max(scene.size**2 - share**2 * float(mean @ mean), 0.0)
            aside *= np.sqrt(left) / np.linalg.norm(aside)
        return scene.all_say(share * mean + aside)

    return publish
