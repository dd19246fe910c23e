"""What each attack promises: without it, a rule that withstands the suite would prove little."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.adversaries.alie import alie, paper_z
from tests.adversaries.aligned import aligned
from tests.adversaries.echo import echo
from tests.adversaries.free_rider import copied, stale, zero
from tests.adversaries.ipm import ipm
from tests.adversaries.label_flip import label_flip
from tests.adversaries.mimic import NOISE, mimic
from tests.adversaries.min_max import min_max
from tests.adversaries.noise import noise
from tests.adversaries.scene import Scene, Vectors
from tests.adversaries.sign_flip import sign_flip
from tests.adversaries.sleeper import sleeper
from tests.adversaries.split import split
from tests.adversaries.suite import SUITE

SIZE = 3000


def a_scene(liars: int = 2, round_number: int = 3, seed: int = 5) -> Scene:
    """Eight nodes whose honest deltas share a direction and differ by noise of different size per coordinate."""
    chance = np.random.default_rng(seed)
    widths = chance.uniform(0.001, 0.01, SIZE)
    shared = chance.standard_normal(SIZE) * 0.005

    def deltas(rows: int) -> Vectors:
        return (shared + chance.standard_normal((rows, SIZE)) * widths).astype(np.float32)

    return Scene(
        honest=deltas(8 - liars),
        liars=liars,
        round_number=round_number,
        rounds=8,
        chance=np.random.default_rng(seed + 1),
        before=deltas(8 - liars),
        aggregate=deltas(4).mean(axis=0),
        progress=deltas(1)[0] * 9,
        trained=deltas(liars),
    )


def norms(rows: Vectors) -> list[float]:
    return [float(norm) for norm in np.linalg.norm(rows.astype(np.float64), axis=1)]


def widest_pair(rows: Vectors) -> float:
    wide = rows.astype(np.float64)
    return max(float(np.linalg.norm(one - other)) for one in wide for other in wide)


@pytest.mark.parametrize("name", SUITE)
@pytest.mark.parametrize("liars", [1, 2])
def test_every_attack_gives_one_finite_delta_per_liar_and_leaves_the_honest_ones_alone(name, liars):
    scene = a_scene(liars)
    honest = scene.honest.copy()
    lies = SUITE[name].publish(scene)
    assert lies.shape == (liars, SIZE) and lies.dtype == np.float32 and np.isfinite(lies).all()
    assert np.array_equal(scene.honest, honest)


@pytest.mark.parametrize("name", SUITE)
def test_the_same_chance_gives_the_same_lie(name):
    assert np.array_equal(SUITE[name].publish(a_scene()), SUITE[name].publish(a_scene()))


@pytest.mark.parametrize("name", SUITE)
def test_every_attack_has_an_answer_in_the_first_round(name):
    scene = a_scene(round_number=0)
    first = Scene(scene.honest, 2, 0, 8, scene.chance, trained=scene.trained)
    assert SUITE[name].publish(first).shape == (2, SIZE)


@pytest.mark.parametrize("name", [name for name in SUITE if SUITE[name].training == "none"])
def test_an_attack_without_training_needs_no_training(name):
    scene = a_scene()
    untrained = Scene(scene.honest, 2, 3, 8, scene.chance, scene.before, scene.aggregate, scene.progress)
    assert SUITE[name].publish(untrained).shape == (2, SIZE)


def test_a_flipped_sign_points_exactly_against_an_honest_delta():
    scene = a_scene()
    assert_allclose(sign_flip(10)(scene), -10 * scene.honest[:2])


def test_noise_is_as_long_as_it_says_and_agrees_with_nobody():
    scene = a_scene()
    lies = noise(10)(scene)
    assert_allclose(norms(lies), [10 * scene.size] * 2, rtol=1e-5)
    cosine = (lies[0] @ scene.honest[0]) / (norms(lies)[0] * norms(scene.honest)[0])
    assert abs(cosine) < 0.1
    assert not np.array_equal(lies[0], lies[1])


def test_alie_stays_within_z_standard_deviations_in_every_coordinate():
    scene = a_scene()
    lie = alie(1.5)(scene)[0].astype(np.float64)
    assert (np.abs(lie - scene.mean) <= 1.5 * scene.spread * (1 + 1e-5) + 1e-9).all()
    assert_allclose(scene.mean - lie, 1.5 * scene.spread, rtol=1e-3, atol=1e-8)


def test_the_papers_z_is_nothing_for_eight_nodes_and_much_for_fifty():
    assert paper_z(8, 2) == pytest.approx(0)
    assert paper_z(8, 1) < 0
    assert paper_z(50, 24) == pytest.approx(1.426, abs=0.001)  # two of 26 honest nodes must lie further out


@pytest.mark.parametrize("epsilon", [0.5, 2])
def test_ipm_turns_the_mean_around_only_if_it_is_large_enough(epsilon):
    scene = a_scene()
    together = np.concatenate([scene.honest, ipm(epsilon)(scene)]).mean(axis=0, dtype=np.float64)
    share = float(together @ scene.mean / (scene.mean @ scene.mean))
    assert share == pytest.approx((6 - 2 * epsilon) / 8, rel=1e-4)


@pytest.mark.parametrize("direction", ["mean", "spread"])
def test_min_max_is_as_far_as_two_honest_deltas_are_apart_and_no_further(direction):
    scene = a_scene()
    lie = min_max(direction)(scene)[0].astype(np.float64)
    furthest = max(float(np.linalg.norm(lie - one)) for one in scene.honest.astype(np.float64))
    assert furthest == pytest.approx(widest_pair(scene.honest), rel=1e-4)
    moved = lie - scene.mean
    way = -scene.mean if direction == "mean" else -scene.spread
    assert float(moved @ way / (np.linalg.norm(moved) * np.linalg.norm(way))) == pytest.approx(1, abs=1e-4)


def test_min_max_has_nowhere_to_go_among_equal_deltas():
    scene = a_scene()
    alike = Scene(np.tile(scene.honest[:1], (6, 1)), 2, 3, 8, scene.chance)
    assert_allclose(min_max("mean")(alike)[0], alike.honest[0], atol=1e-6)
    assert_allclose(min_max("spread")(alike)[0], alike.honest[0], atol=1e-6)


def test_mimics_all_repeat_one_node_but_never_byte_for_byte():
    scene = a_scene()
    lies = mimic(scene)
    for lie in lies:
        off = float(np.linalg.norm(lie.astype(np.float64) - scene.honest[0]))
        assert off == pytest.approx(NOISE * norms(scene.honest)[0], rel=1e-3)
    assert not np.array_equal(lies[0], lies[1])


def test_the_label_flipper_publishes_what_it_trained():
    scene = a_scene()
    assert label_flip(scene) is scene.trained


def test_free_riders_publish_nothing_the_past_or_anothers_work():
    scene = a_scene()
    assert not zero(scene).any()
    assert scene.before is not None and np.array_equal(stale(scene), scene.before[:2])
    assert_allclose(copied(scene), scene.honest[:2], atol=NOISE * 0.05)
    assert not np.array_equal(copied(scene), scene.honest[:2])


def test_the_echo_is_the_last_aggregate_at_an_honest_length():
    scene = a_scene()
    lie = echo(scene)[0].astype(np.float64)
    last = scene.aggregate
    assert last is not None and norms(lie[None]) == pytest.approx([scene.size])
    assert float(lie @ last / (np.linalg.norm(lie) * np.linalg.norm(last))) == pytest.approx(1)


def test_the_sleeper_is_honest_in_the_first_half_and_attacks_in_the_second():
    attack = sleeper(ipm(2))
    last_honest, first_lie = a_scene(round_number=3), a_scene(round_number=4)
    assert attack(last_honest) is last_honest.trained
    assert np.array_equal(attack(first_lie), ipm(2)(first_lie))


@pytest.mark.parametrize("direction", ["chance", "back"])
def test_the_aligned_liar_keeps_its_share_of_the_mean_and_an_honest_length(direction):
    scene = a_scene()
    lie = aligned(0.7, direction)(scene)[0].astype(np.float64)
    assert float(lie @ scene.mean / (scene.mean @ scene.mean)) == pytest.approx(0.7, abs=1e-4)
    assert norms(lie[None]) == pytest.approx([scene.size])


def test_the_liar_that_goes_back_undoes_what_was_learnt_and_the_other_goes_the_same_way_every_round():
    scene, next_one = a_scene(), a_scene(round_number=4)
    assert scene.progress is not None
    assert float((aligned(0.7, "back")(scene)[0] - 0.7 * scene.mean) @ scene.progress) < 0
    one, other = (aligned(0.7)(each)[0] - 0.7 * each.mean for each in (scene, next_one))
    assert float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)) > 0.9


def test_split_liars_are_as_far_from_the_mean_as_min_max_but_half_apart_from_one_another():
    scene = a_scene()
    moved = split(0.5)(scene).astype(np.float64) - scene.mean
    reach = np.linalg.norm(min_max("spread")(scene)[0] - scene.mean)
    assert_allclose(np.linalg.norm(moved, axis=1), [reach] * 2, rtol=0.05)
    assert float(moved[0] @ moved[1]) / reach**2 == pytest.approx(0.5, abs=0.1)
