"""A real trainer's segments as an auditor sees them: every state can be shown, replayed, and some read other data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chain.crypto.hashing import ZERO
from chain.plants import is_planted, plant_promise, segment_mix
from chain.state import Claim, NodeRecord, claim_key, node_key
from node.blob_source import FileSource
from node.segment_store import SegmentStore, Vectors
from node.work_log import state_hash
from tests.node.lone_node import IDENTITY, named, tiny_network
from tests.node.test_averages import SEGMENTS, Training
from training.draw import draw_batch
from training.inner import InnerState

HALF = 5_000  # of all segments, in basis points


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path / "node", network=tiny_network(plant_basis_points=HALF))


def states_of(training: Training) -> SegmentStore:
    """As the node sees what its trainer writes."""
    return SegmentStore(training.folder / "segments")


def planted(training: Training, mix: bytes) -> list[bool]:
    secret, params = training.command.plant_secret, training.network.params
    return [is_planted(secret, mix, segment, params) for segment in range(SEGMENTS)]


def a_mixed_command(training: Training) -> None:
    """Ask for the newest round with a mix by which some of its segments are planted, and some are not."""
    node, command = training.node, training.command
    mix = next(m for m in map(named, map(str, range(99))) if len(set(planted(training, m))) == 2)
    node.asked.append(replace(command, mix=mix))


def test_a_node_plants_nothing_before_it_has_promised_and_then_by_the_secret_of_its_last_reveal(
    training: Training,
) -> None:
    for number in (1, 2, 3):
        record = training.node.state.need(NodeRecord, node_key(IDENTITY.node))
        secret = IDENTITY.plant_secret(number - 1, training.network.chain_id) if number > 1 else ZERO
        assert training.command.plant_secret == secret and record.plant_round == number - 1
        assert record.plant == (plant_promise(secret) if number > 1 else ZERO)
        training.close(training.train())
        claim = training.node.state.need(Claim, claim_key(number, IDENTITY.node))
        assert (claim.plant, claim.plant_round) == (record.plant, number - 1)


def test_in_the_middle_of_a_round_the_claim_says_which_promise_is_in_force(training: Training) -> None:
    training.close(training.train())
    training.train()
    training.node.block()
    state, driver = training.node.state.fork(), training.node.driver
    record, claim = state.need(NodeRecord, node_key(IDENTITY.node)), state.need(Claim, claim_key(2, IDENTITY.node))
    assert (
        driver._plant_secret(state, replace(record, plant_round=2, plant=named("later")))
        == training.command.plant_secret
    )
    # What we could never show is not planted: a promise that is not ours by this key.
    state.put(claim_key(2, IDENTITY.node), replace(claim, plant=named("another's")))
    assert driver._plant_secret(state, record) == ZERO


def test_planted_segments_read_other_data_and_the_rest_what_everybody_can_draw(training: Training) -> None:
    training.close(training.train())
    a_mixed_command(training)
    command, inner = training.command, training.process.learning.inner
    draw, tokens = training.process._draw(command), training.process.corpus.train
    for segment, is_other in enumerate(planted(training, command.mix)):
        step = segment * inner.segment_steps
        public = draw_batch(tokens, command.mix, IDENTITY.node, step, inner.sequences, inner.length)
        assert np.array_equal(draw(step), public) != is_other
        mix = segment_mix(command.plant_secret, command.mix, segment, training.network.params)
        assert np.array_equal(draw(step), draw_batch(tokens, mix, IDENTITY.node, step, inner.sequences, inner.length))


def test_a_trainer_that_dies_trains_its_planted_segments_again_to_the_bit(training: Training) -> None:
    training.close(training.train())
    a_mixed_command(training)
    whole = training.train()
    roots = [each.state_after for each in training.node.driver.work.segments]
    log = training.folder / "work" / "round-2.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]))
    training.restart()
    training.node.driver.work.segments.clear()
    assert training.train() == whole
    assert [each.state_after for each in training.node.driver.work.segments] == roots
    # Had it read the public data, it had ended elsewhere.
    training.node.asked.append(replace(training.command, plant_secret=ZERO))
    log.unlink()
    training.node.driver.work.segments.clear()
    assert training.train().theta_root != whole.theta_root


def test_every_state_that_a_round_claims_can_be_shown_and_its_parts_are_served(training: Training) -> None:
    training.close(training.train())
    done = training.train()
    training.node.block()
    claim = training.node.state.need(Claim, claim_key(2, IDENTITY.node))
    store, source = states_of(training), FileSource(states_of(training).find)
    start = store.parts(2, 0)
    assert start is not None and state_hash(start) == claim.start and source.size(start.v_root) is not None
    assert (start.theta_root, start.m_root) == (training.node.round.base.weights_root, ZERO)
    for segment in range(SEGMENTS):
        parts = store.parts(2, segment + 1)
        assert parts is not None and state_hash(parts) == claim.states[segment]
        assert all(source.size(root) for root in (parts.theta_root, parts.m_root, parts.v_root))
    assert parts is not None and parts.theta_root == done.theta_root
    assert store.parts(2, SEGMENTS + 1) is None


def test_whoever_has_a_segments_first_state_comes_to_its_last_by_the_data_that_it_read(training: Training) -> None:
    training.close(training.train())
    a_mixed_command(training)
    training.train()
    store, process = states_of(training), training.process
    parameters, steps = process.learning.parameters, process.learning.inner.segment_steps
    draw = process._draw(training.command)
    for segment in range(SEGMENTS):
        before, after = (store.boundaries(2)[segment + offset] for offset in (0, 1))
        found = store.load(before, parameters) if segment else None
        if found is None:  # The weights with which a round begins are the model's.
            v = np.frombuffer((store.folder / before.parts.v_root.hex()).read_bytes(), dtype="<f4")
            assert training.node.outcomes.model is not None
            found = Vectors(training.node.outcomes.model.weights, np.zeros(parameters, np.float32), v)
        process.loop.restore(InnerState(found.theta, found.m, found.v, segment * steps, before.v_steps))
        for step in range(segment * steps, (segment + 1) * steps):
            process.loop.step(draw(step), 1)
        again = process.loop.state()
        assert Vectors(again.theta, again.m, again.v).parts() == after.parts


def test_a_round_that_begins_anew_notes_its_start_again(training: Training) -> None:
    training.close(training.train())
    training.train()
    start = states_of(training).parts(2, 0)
    (training.folder / "work" / "round-2.jsonl").unlink()
    training.node.driver.work.segments.clear()
    training.restart()
    training.train()
    store = states_of(training)
    assert store.parts(2, 0) == start and set(store.boundaries(2)) == set(range(SEGMENTS + 1))
