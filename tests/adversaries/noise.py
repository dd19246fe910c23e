"""Scaled noise: publish chance, many times as long as a delta. What a broken machine would do, or a vandal."""

import numpy as np

from tests.adversaries.scene import Attack, Scene, Vectors


def noise(scale: float) -> Attack:
    """Each liar publishes its own normal noise, `scale` times as long as the median honest delta."""

    def publish(scene: Scene) -> Vectors:
        lies = scene.chance.standard_normal((scene.liars, scene.honest.shape[1]))
        lies *= scale * scene.size / np.linalg.norm(lies, axis=1, keepdims=True)
        return lies.astype(np.float32)

    return publish
