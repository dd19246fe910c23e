"""Echo: repeat the last accepted aggregate. A rule that trusts whoever agrees with the past falls for it."""

import numpy as np

from tests.adversaries.free_rider import copied
from tests.adversaries.scene import Scene, Vectors


def echo(scene: Scene) -> Vectors:
    """All liars publish the last aggregate at the median honest norm; in the first round a copy of another's work."""
    if scene.aggregate is None or not scene.aggregate.any():
        return copied(scene)
    last = scene.aggregate.astype(np.float64)
    return scene.all_say(last * (scene.size / np.linalg.norm(last)))
