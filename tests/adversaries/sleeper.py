"""Sleeper: train honestly for half of the rounds, until it is trusted, then attack. It tests what trust can lose."""

from tests.adversaries.scene import Attack, Scene, Vectors


def sleeper(attack: Attack) -> Attack:
    """Honest in the first half of the rounds, then `attack`."""

    def publish(scene: Scene) -> Vectors:
        if scene.round_number < scene.rounds // 2:
            return scene.own_training()
        return attack(scene)

    return publish
