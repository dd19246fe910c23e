"""One training round."""

import numpy as np
import pytest

from tests.training.lab_model import LAB_MODEL, LAB_SPEC
from training.evaluate import validation_loss
from training.inner import InnerLoop
from training.model import NeuroLLM
from training.round import Watch, train_round


def test_a_round_lowers_the_loss(loop, lab_tokens, draw):
    before = validation_loss(loop.model, lab_tokens, 8, 64)
    report = train_round(loop, 1, draw, Watch())
    assert validation_loss(loop.model, lab_tokens, 8, 64) < before - 1
    assert len(report.losses) == LAB_SPEC.round_steps and report.losses[-1] < report.losses[0] - 1


def test_a_round_twice_gives_the_same_bits(loop, born, draw):
    one = train_round(loop, 1, draw, Watch())
    loop.start(born)
    two = train_round(loop, 1, draw, Watch())
    assert np.array_equal(one.theta, two.theta)
    assert (one.losses, one.distances) == (two.losses, two.distances)


def test_every_segment_is_reported_with_the_distance_it_moved(loop, born, draw):
    segments = []
    steps = []
    report = train_round(loop, 1, draw, Watch(on_step=steps.append, on_segment=segments.append))
    assert [s.segment for s in segments] == [0, 1, 2, 3] and report.segments_done == 4
    assert [s.after.steps_done for s in segments] == [5, 10, 15, 20]
    before = born
    for segment, distance in zip(segments, report.distances, strict=True):
        assert segment.distance == distance
        assert distance == pytest.approx(np.linalg.norm(segment.after.theta.astype(np.float64) - before))
        assert segment.loss == pytest.approx(np.mean(report.losses[5 * segment.segment :][:5]))
        assert segment.tokens == 5 * 2 * 64
        before = segment.after.theta
    assert np.array_equal(report.theta, segments[-1].after.theta)
    assert sum(report.distances) >= np.linalg.norm(report.theta - born)
    assert [s.step for s in steps] == list(range(20))
    assert steps[0].learning_rate == pytest.approx(0.006 / 5) and steps[-1].learning_rate == pytest.approx(0.006)


def test_a_round_taken_up_at_a_segment_ends_in_the_same_bits(loop, draw):
    segments = []
    whole = train_round(loop, 2, draw, Watch(on_segment=segments.append))

    elsewhere = InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC)
    elsewhere.restore(segments[1].after)
    rest = train_round(elsewhere, 2, draw, Watch())
    assert np.array_equal(rest.theta, whole.theta)
    assert rest.losses == whole.losses[10:] and rest.distances == whole.distances[2:]
    assert rest.segments_done == 4


@pytest.mark.parametrize(("stop_at", "finished"), [(0, 0), (7, 1), (10, 2), (19, 3)])
def test_a_stop_within_a_segment_or_at_its_end_keeps_the_finished_ones(loop, born, draw, stop_at, finished):
    segments = []
    watch = Watch(on_segment=segments.append, should_stop=lambda: loop.steps_done >= stop_at)
    report = train_round(loop, 2, draw, watch)
    assert report.segments_done == finished == len(segments)
    assert len(report.losses) == 5 * finished and loop.steps_done == 5 * finished
    assert np.array_equal(report.theta, segments[-1].after.theta if segments else born)

    # The loop stands at the boundary: going on gives the round that was never stopped.
    going_on = train_round(loop, 2, draw, Watch())
    loop.start(born)
    assert np.array_equal(going_on.theta, train_round(loop, 2, draw, Watch()).theta)


def test_a_finished_round_has_nothing_left_to_train(loop, draw):
    train_round(loop, 0, draw, Watch())
    again = train_round(loop, 0, draw, Watch())
    assert again.losses == () and again.segments_done == 4


def test_a_round_goes_on_at_a_segment_boundary_only(loop, draw):
    loop.step(draw(0), 0)
    with pytest.raises(AssertionError, match="boundary"):
        train_round(loop, 0, draw, Watch())
