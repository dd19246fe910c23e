"""Label flip: train as everybody does, on the right text with wrong answers: token v becomes vocabulary - 1 - v.

The delta is what real training gives, only of another task. The training itself is the fleet's, see the suite.
"""

from tests.adversaries.scene import Scene, Vectors


def label_flip(scene: Scene) -> Vectors:
    """Each liar publishes what its training on wrong labels gave."""
    return scene.own_training()
