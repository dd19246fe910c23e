"""A little is enough (Baruch, Baruch and Goldberg 2019): stay within the honest spread, all on one side of the mean.

Every coordinate is shifted by z standard deviations, so that statistics of single coordinates see nothing odd, and
the shift adds up from round to round. With few nodes the paper's z is zero or below, hence also a fixed one.
"""

from statistics import NormalDist

from tests.adversaries.scene import Attack, Scene, Vectors


def paper_z(nodes: int, liars: int) -> float:
    """The largest z for which enough honest nodes lie further out than the liars, so that these win a majority."""
    honest = nodes - liars
    supporters = nodes // 2 + 1 - liars
    return NormalDist().inv_cdf((honest - supporters) / honest)


def alie(z: float | None = None) -> Attack:
    """All liars publish the honest mean minus z standard deviations; without z, the paper's."""

    def publish(scene: Scene) -> Vectors:
        shift = paper_z(len(scene.honest) + scene.liars, scene.liars) if z is None else z
        return scene.all_say(scene.mean - shift * scene.spread)

    return publish
