"""Inner product manipulation (Xie, Koyejo and Gupta 2019): publish the honest mean backwards.

A small one (0.5) hides among the honest deltas and slows the learning, a large one (2) turns the mean around.
"""

from tests.adversaries.scene import Attack, Scene, Vectors


def ipm(epsilon: float) -> Attack:
    """All liars publish minus `epsilon` times the honest mean."""

    def publish(scene: Scene) -> Vectors:
        return scene.all_say(-epsilon * scene.mean)

    return publish
