"""Free-riders: they want to be paid and not to work. They publish nothing, the past, or another's work."""

import numpy as np

from tests.adversaries.mimic import nearly
from tests.adversaries.scene import Scene, Vectors


def zero(scene: Scene) -> Vectors:
    """A payload of zeros: well formed, and no work at all."""
    return np.zeros((scene.liars, scene.honest.shape[1]), dtype=np.float32)


def stale(scene: Scene) -> Vectors:
    """The training of the round before, once more: each liar is always one round late."""
    rows = [liar % len(scene.honest) for liar in range(scene.liars)]
    return (scene.honest if scene.before is None else scene.before)[rows]


def copied(scene: Scene) -> Vectors:
    """Each liar takes another honest node's delta of this round, with a little noise: an exact copy is refused."""
    return nearly(scene, [liar % len(scene.honest) for liar in range(scene.liars)])
