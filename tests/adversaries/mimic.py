"""Mimic (Karimireddy, He and Jaggi 2022): all liars repeat one honest node, so that it counts several times.

Nothing that a liar says is wrong; what suffers is everybody else's share. A byte-for-byte copy is refused by the
protocol, so each copy gets noise of its own.
"""

import numpy as np

from tests.adversaries.scene import Scene, Vectors

NOISE = 0.01  # of the copied delta's norm


def mimic(scene: Scene) -> Vectors:
    """All liars publish the first honest node's delta with a little noise."""
    return nearly(scene, [0] * scene.liars)


def nearly(scene: Scene, rows: list[int]) -> Vectors:
    """These honest deltas, each with noise of a hundredth of its norm."""
    copied = scene.honest[rows].astype(np.float64)
    noise = scene.chance.standard_normal(copied.shape)
    noise *= NOISE * np.linalg.norm(copied, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return (copied + noise).astype(np.float32)
