"""Sign flip: publish the negative of an honest delta, as it is or enlarged. The best known attack, and the crudest."""

from tests.adversaries.scene import Attack, Scene, Vectors


def sign_flip(scale: float) -> Attack:
    """Each liar negates another honest node's delta, `scale` times as long."""

    def publish(scene: Scene) -> Vectors:
        rows = [liar % len(scene.honest) for liar in range(scene.liars)]
        return -scene.honest[rows] * scene.honest.dtype.type(scale)

    return publish
