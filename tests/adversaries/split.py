"""Split: min-max against the spread, told apart by noise of each liar's own, so that nobody sees that they are one.

Against rules that count equal payloads once. Of the squared length of what is added to the mean, `common` is the same
for all liars; the rest is chance.
"""

import numpy as np

from tests.adversaries.min_max import largest_step
from tests.adversaries.scene import Attack, Scene, Vectors


def split(common: float) -> Attack:
    """Each liar publishes the honest mean, a common step against the spread, and noise of its own."""

    def publish(scene: Scene) -> Vectors:
        mean, spread = scene.mean, scene.spread
        length = float(np.linalg.norm(spread))
        if length == 0:
            return scene.all_say(mean)
        way = -spread / length
        reach = largest_step(scene.honest.astype(np.float64), mean, way)
        noise = scene.chance.standard_normal((scene.liars, mean.size)) * spread
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return (mean + reach * (np.sqrt(common) * way + np.sqrt(1 - common) * noise)).astype(np.float32)

    return publish
