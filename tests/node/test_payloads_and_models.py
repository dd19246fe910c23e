"""Payloads and models on disk: whatever is lost or damaged is made again from the payloads, or told in words."""

import asyncio
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from node import payload_store
from node.counted import Counted
from node.errors import StoreError
from node.model_store import ModelStore, check_outcome, load_base
from node.outcomes import NORM_SLACK_PERCENT, Claimed, Outcomes, Prepared
from node.past_rounds import closed_round
from node.payload_store import PayloadStore, payload_root
from node.store import Store
from tests.node.lone_node import LoneNode, with_rounds
from training.errors import CheckpointError
from training.payload import encode_payload, payload_norm


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Three rounds closed, none of them released yet; not to be changed."""
    return with_rounds(tmp_path_factory.mktemp("rounds") / "node", 3, vest_rounds=10)


@pytest.fixture
def node(closed: LoneNode, tmp_path: Path) -> LoneNode:
    return closed.copied(tmp_path / "node")


def restored(node: LoneNode) -> Outcomes:
    outcomes = Outcomes(ModelStore(node.folder / "model", node.learning), node.payloads)
    outcomes.restore(Store(node.database, node.network).state())
    return outcomes


def assert_same_model(node: LoneNode, wanted: LoneNode) -> None:
    found, expected = restored(node), wanted.outcomes
    assert found.model is not None and expected.model is not None
    assert found.model.weights.tobytes() == expected.model.weights.tobytes()
    assert found.model.momentum.tobytes() == expected.model.momentum.tobytes()
    assert found.model.aggregate == expected.model.aggregate
    assert (found.model_root, found.model_round) == (expected.model_root, expected.model_round)
    assert load_base(found.model_path, node.learning).root == expected.model_root


# ---- Payloads


@pytest.mark.parametrize("size", [1, 2**20, 2**20 + 1])
def test_a_payload_is_found_under_its_root(tmp_path: Path, size: int) -> None:
    store, payload = PayloadStore(tmp_path), bytes(range(1, 256)) * (size // 255) + b"\x01" * (size % 255)
    root = store.put(payload)
    assert root == payload_root(payload) and store.get(root) == payload
    assert store.put(payload) == root
    assert [path.name for path in tmp_path.iterdir()] == [root.hex()]


def test_a_missing_payload_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"{'07' * 32} is missing"):
        PayloadStore(tmp_path).get(b"\x07" * 32)


@pytest.mark.parametrize("damage", [b"", b"payloaD", b"payload!", b"payloa"])
def test_a_damaged_payload_is_never_handed_out(tmp_path: Path, damage: bytes) -> None:
    store = PayloadStore(tmp_path)
    root = store.put(b"payload")
    store.path(root).write_bytes(damage)
    with pytest.raises(StoreError, match="is damaged"):
        store.get(root)


def test_a_payload_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write the payload"):
        PayloadStore(tmp_path / "nowhere").put(b"payload")


# ---- What a validator holds


def path_limit(node: LoneNode, payload: bytes) -> int:
    """The shortest path with which this payload is held."""
    norm = payload_norm(payload, node.learning.fragment_sizes)
    return -(-100 * norm // (100 + NORM_SLACK_PERCENT))


def a_payload(node: LoneNode) -> bytes:
    assert node.outcomes.model is not None
    weights = node.outcomes.model.weights
    change = np.random.default_rng(1).normal(0, 0.001, weights.size).astype(np.float32)
    return encode_payload(weights, weights + change, node.learning.fragment_sizes)


@pytest.mark.parametrize(("shorter", "held"), [(0, True), (1, False)])
def test_a_payload_longer_than_its_claimed_path_is_not_held(node: LoneNode, shorter: int, held: bool) -> None:
    payload = a_payload(node)
    root = node.payloads.put(payload)
    claimed = Claimed(root, len(payload), path_limit(node, payload) - shorter)
    asyncio.run(node.outcomes.check(claimed))
    assert node.outcomes.holds(claimed) is held


@pytest.mark.parametrize(("change", "held"), [(0.0, False), (1e-6, True)])
def test_a_payload_of_zeros_is_not_held_whatever_its_path(node: LoneNode, change: float, held: bool) -> None:
    """Who has not trained has nothing else to show. The least step that the encoding can say is held."""
    assert node.outcomes.model is not None
    weights = np.zeros_like(node.outcomes.model.weights)
    moved = weights.copy()
    moved[0] = change
    payload = encode_payload(weights, moved, node.learning.fragment_sizes)
    claimed = Claimed(node.payloads.put(payload), len(payload), 2**60)
    asyncio.run(node.outcomes.check(claimed))
    assert node.outcomes.holds(claimed) is held


def test_an_open_payload_is_hashed_once_and_again_when_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PayloadStore(tmp_path)
    root = store.put(b"payload")
    assert bytes(store.open(root)) == b"payload" and store.has(root)
    hashed: list[int] = []
    true_root = payload_store.pages_root
    monkeypatch.setattr(payload_store, "pages_root", lambda *both: hashed.append(1) or true_root(*both))
    assert bytes(store.open(root)) == b"payload" and hashed == []
    store.path(root).unlink()
    store.path(root).write_bytes(b"payloaD!")
    with pytest.raises(StoreError, match="is damaged"):
        store.open(root)
    assert hashed == [1] and not store.has(root)


def test_nothing_is_said_of_a_payload_that_nobody_has_looked_at(node: LoneNode) -> None:
    payload = a_payload(node)
    assert node.outcomes.holds(Claimed(node.payloads.put(payload), len(payload), 2**60)) is None


def test_a_missing_damaged_or_foreign_payload_is_not_held(node: LoneNode) -> None:
    payload = a_payload(node)
    damaged, foreign = node.payloads.put(payload), node.payloads.put(b"no payload")
    node.payloads.path(damaged).write_bytes(payload[:-1])
    for root in (b"\x07" * 32, damaged, foreign):
        claimed = Claimed(root, len(a_payload(node)), 2**60)
        asyncio.run(node.outcomes.check(claimed))
        assert node.outcomes.holds(claimed) is False


def test_no_outcome_is_prepared_over_a_bad_payload(node: LoneNode) -> None:
    assert asyncio.run(node.outcomes.prepare(4, [Counted(node.driver.node, b"\x07" * 32, 4)])) is None


def test_an_outcome_is_only_for_the_base_that_it_was_computed_on(node: LoneNode) -> None:
    root = node.payloads.put(a_payload(node))
    prepared = asyncio.run(node.outcomes.prepare(4, [Counted(node.driver.node, root, 4)]))
    assert prepared is not None
    counted = prepared.outcome.counted_root
    assert node.outcomes.prepared(counted, node.outcomes.model_root) == prepared.outcome
    assert node.outcomes.prepared(counted, b"\x07" * 32) is None
    assert node.outcomes.prepared(b"\x07" * 32, node.outcomes.model_root) is None


def test_an_outcome_that_was_not_computed_here_is_not_adopted(node: LoneNode) -> None:
    assert not node.outcomes.adopt(node.network.start)


def test_a_payload_of_another_length_than_its_node_said_is_not_held(node: LoneNode) -> None:
    payload = a_payload(node)
    root = node.payloads.put(payload)
    for length, held in ((len(payload), True), (len(payload) - 1, False), (len(payload) + 1, False)):
        claimed = Claimed(root, length, 2**60)
        asyncio.run(node.outcomes.check(claimed))
        assert node.outcomes.holds(claimed) is held


def test_two_wishes_for_one_outer_step_compute_it_once(node: LoneNode) -> None:
    chosen = [Counted(node.driver.node, node.payloads.put(a_payload(node)), 4)]

    async def both() -> list[Prepared | None]:
        return list(await asyncio.gather(node.outcomes.prepare(4, chosen), node.outcomes.prepare(4, chosen)))

    first, second = asyncio.run(both())
    assert first is not None and first is second


def test_candidates_of_void_rounds_never_push_out_the_model(node: LoneNode, closed: LoneNode) -> None:
    for number in (4, 5, 6):
        root = node.payloads.put(a_payload(node))
        assert asyncio.run(node.outcomes.prepare(number, [Counted(bytes([number]) * 32, root, 4)])) is not None
    assert_same_model(node, closed)
    assert node.outcomes.model_path.exists()


def test_a_candidate_is_not_the_newest_model_until_it_is_adopted(node: LoneNode) -> None:
    models = node.outcomes.models
    before = models.newest()
    root = node.payloads.put(a_payload(node))
    prepared = asyncio.run(node.outcomes.prepare(4, [Counted(node.driver.node, root, 4)]))
    assert prepared is not None and models.newest() == before
    assert node.outcomes.adopt(prepared.outcome) and models.newest() == models.path(4)


def test_a_candidate_that_became_final_before_a_crash_is_found_by_its_root(node: LoneNode) -> None:
    root = node.payloads.put(a_payload(node))
    prepared = asyncio.run(node.outcomes.prepare(4, [Counted(node.driver.node, root, 4)]))
    assert prepared is not None
    found = node.outcomes.models.find(prepared.outcome.outer_root)
    assert found is not None and found.round == 4 and node.outcomes.models.newest() == node.outcomes.models.path(4)


# ---- Models


def test_a_candidate_that_another_thread_has_accepted_meanwhile_is_accepted_once(node: LoneNode) -> None:
    outcomes = restored(node)
    models, state, root = outcomes.models, outcomes.model, outcomes.model_root
    assert state is not None
    models.save_candidate(state, outcomes.model_round, root)
    models.accept(outcomes.model_round, root)
    models.accept(outcomes.model_round, root)
    with pytest.raises(StoreError):
        models.accept(outcomes.model_round, bytes(32))


def test_the_model_is_found_again_after_a_restart(node: LoneNode, closed: LoneNode) -> None:
    assert_same_model(node, closed)


def test_two_models_are_kept(node: LoneNode) -> None:
    assert sorted(path.name for path in (node.folder / "model").iterdir()) == [
        "outer-2.safetensors",
        "outer-3.safetensors",
    ]


def test_a_lost_model_is_made_again_from_the_one_before_it(node: LoneNode, closed: LoneNode) -> None:
    node.outcomes.models.path(3).unlink()
    node.payloads.path(first_payload(node)).unlink()
    assert_same_model(node, closed)


def test_all_models_lost_are_made_again_from_birth(node: LoneNode, closed: LoneNode) -> None:
    for path in (node.folder / "model").iterdir():
        path.unlink()
    assert_same_model(node, closed)


def test_a_damaged_model_is_made_again(node: LoneNode, closed: LoneNode) -> None:
    path = node.outcomes.models.path(3)
    for damage in (0, 8, 300, 1000, -1):
        content = bytearray(path.read_bytes())
        content[damage] ^= 1
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            load_base(path, node.learning)
        assert_same_model(node, closed)


def test_a_model_cut_short_is_made_again(node: LoneNode, closed: LoneNode) -> None:
    path = node.outcomes.models.path(3)
    path.write_bytes(path.read_bytes()[:-1])
    assert_same_model(node, closed)


def test_a_model_that_is_not_the_ledgers_is_not_taken(node: LoneNode, closed: LoneNode) -> None:
    models = node.outcomes.models
    models.path(3).write_bytes(models.path(2).read_bytes())
    assert_same_model(node, closed)


@pytest.mark.parametrize("lost", ["payloads", "aggregates"])
def test_a_lost_model_is_made_again_from_payloads_or_from_what_rounds_gave(
    node: LoneNode, closed: LoneNode, lost: str
) -> None:
    for folder in ("model", lost):
        for path in (node.folder / folder).iterdir():
            path.unlink()
    assert_same_model(node, closed)
    # What was made again can be given to others.
    assert {path.name for path in node.outcomes.aggregates.folder.iterdir()} == {
        path.name for path in closed.outcomes.aggregates.folder.iterdir()
    }


def test_a_model_that_lacks_a_payload_and_what_its_round_gave_is_told_in_words(node: LoneNode) -> None:
    for folder in ("model", "aggregates"):
        for path in (node.folder / folder).iterdir():
            path.unlink()
    node.payloads.path(first_payload(node)).unlink()
    with pytest.raises(StoreError, match="is missing"):
        restored(node)


def test_a_model_of_released_rounds_is_rebuilt_with_what_the_blocks_say_of_them(tmp_path: Path) -> None:
    node = with_rounds(tmp_path / "node", 4, vest_rounds=1)
    assert node.state.round(1) is None
    for path in (node.folder / "model").iterdir():
        path.unlink()
    with pytest.raises(StoreError, match="has released round 1"):
        restored(node)
    outcomes = Outcomes(ModelStore(node.folder / "model", node.learning), node.payloads)
    outcomes.past = partial(closed_round, node.store)
    outcomes.restore(node.state)
    assert outcomes.model_root == node.state.ledger.model.outer_root


def test_a_model_of_released_rounds_whose_blocks_are_not_kept_is_told_in_words(tmp_path: Path) -> None:
    node = with_rounds(tmp_path / "node", 4, vest_rounds=1)
    last = node.store.height_of_round(1)
    assert last is not None and closed_round(node.store, node.state, 1)
    node.database.write({b"b" + last.to_bytes(8, "big"): None})
    with pytest.raises(StoreError, match=f"block {last} is not kept here"):
        closed_round(node.store, node.state, 1)
    with pytest.raises(StoreError, match="has released round 0"):
        closed_round(node.store, node.state, 0)


def test_a_replayed_round_of_other_roots_is_refused(node: LoneNode) -> None:
    outcome = node.state.ledger.model
    check_outcome(outcome, outcome, 3)
    with pytest.raises(StoreError, match="round 3 gives"):
        check_outcome(node.network.start, outcome, 3)


def first_payload(node: LoneNode) -> bytes:
    current = node.state.round(1)
    assert current is not None
    root: bytes = current.revealed[0].payload_root
    return root
