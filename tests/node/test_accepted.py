"""What a round gave: two blobs that lead from the model before it to the model after it, bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.block import Outcome
from chain.crypto.hashing import ZERO
from node.accepted import Accepted
from node.counted import Closed, Counted, root_of
from node.errors import ModelDiffers, StoreError
from node.payload_store import PayloadStore
from node.template import Learning
from tests.node.lone_node import tiny_network
from training.aggregate import aggregate_size
from training.outer import Entry, OuterState, outer_step
from training.payload import encode_payload
from training.trust import TRUST_BYTES_MAXIMUM, Trust, trust_bytes

LEARNING = Learning.of(tiny_network())
BORN = LEARNING.born()


def entries(count: int) -> list[Entry]:
    chance = np.random.default_rng(count)
    changes = [chance.normal(0, 0.001, BORN.weights.size).astype(np.float32) for _ in range(count)]
    payloads = [encode_payload(BORN.weights, BORN.weights + each, LEARNING.fragment_sizes) for each in changes]
    return [Entry(bytes([at + 1]) * 32, payload, 4) for at, payload in enumerate(payloads)]


def closed_by(state: OuterState, count: int) -> Closed:
    counted = tuple(Counted(bytes([at + 1]) * 32, bytes([at + 1]) * 32, 4) for at in range(count))
    return Closed(1, LEARNING.outcome(root_of(counted), state), counted)


@pytest.fixture
def accepted(tmp_path: Path) -> Accepted:
    return Accepted(PayloadStore(tmp_path), LEARNING)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_it_leads_to_the_state_that_the_payloads_give(accepted: Accepted, count: int) -> None:
    """The rates depend on the number of payloads, which the ledger tells."""
    state = outer_step(BORN, entries(count), LEARNING.fragment_sizes, LEARNING.outer)
    closed = closed_by(state, count)
    assert not accepted.has(closed.outcome)
    accepted.keep(state)
    assert accepted.has(closed.outcome)
    found = accepted.step(BORN, closed)
    assert found.weights.tobytes() == state.weights.tobytes()
    assert found.momentum.tobytes() == state.momentum.tobytes()
    assert (found.aggregate, found.trust) == (state.aggregate, state.trust)


def test_the_aggregate_is_asked_for_by_its_exact_length_and_trust_only_if_there_is_any(accepted: Accepted) -> None:
    size = aggregate_size(LEARNING.fragment_sizes)
    outcome = replace(closed_by(BORN, 1).outcome, aggregate_root=b"\x01" * 32)
    [aggregate] = accepted.wanted(outcome)
    assert (aggregate.root, aggregate.size) == (b"\x01" * 32, size)
    both = accepted.wanted(replace(outcome, trust_root=b"\x02" * 32))
    assert [each.root for each in both] == [b"\x01" * 32, b"\x02" * 32]
    assert both[1].size is None and both[1].bytes_maximum == TRUST_BYTES_MAXIMUM


def test_it_is_here_only_whole_and_sound(accepted: Accepted) -> None:
    state = replace(
        outer_step(BORN, entries(2), LEARNING.fragment_sizes, LEARNING.outer),
        trust=(Trust(b"\x01" * 32, 5, 1, 0, 500_000), Trust(b"\x02" * 32, -5, 1, 0, 500_000)),
    )
    outcome = closed_by(state, 2).outcome
    accepted.keep(state)
    assert accepted.has(outcome) and accepted.step(BORN, closed_by(state, 2)).trust == state.trust
    for root in (outcome.aggregate_root, outcome.trust_root):
        content = accepted.store.get(root)
        accepted.store.path(root).unlink()
        assert not accepted.has(outcome)
        with pytest.raises(StoreError, match="is missing"):
            accepted.step(BORN, closed_by(state, 2))
        accepted.store.path(root).write_bytes(content[:-1] + b"\xff\xff")
        assert not accepted.has(outcome)
        accepted.store.put(content)
    assert accepted.has(outcome) and not accepted.has(replace(outcome, aggregate_root=ZERO))


AGGREGATE = outer_step(BORN, entries(2), LEARNING.fragment_sizes, LEARNING.outer).aggregate
TRUST = trust_bytes((Trust(b"\x01" * 32, 5, 1, 0, 500_000), Trust(b"\x02" * 32, -5, 1, 0, 500_000)))


def changed(blob: bytes) -> st.SearchStrategy[bytes]:
    """Some bytes, or the blob with some bytes of it replaced."""

    def replaced(places: dict[int, int]) -> bytes:
        content = bytearray(blob)
        for place, byte in places.items():
            content[place] = byte
        return bytes(content)

    places = st.dictionaries(st.integers(0, len(blob) - 1), st.integers(0, 255), max_size=5)
    return st.binary(min_size=1, max_size=200).filter(any) | places.map(replaced)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(aggregate=changed(AGGREGATE), trust=changed(TRUST))
def test_whatever_its_signers_accepted_gives_a_state_or_the_named_error(
    accepted: Accepted, aggregate: bytes, trust: bytes
) -> None:
    roots = accepted.store.put(aggregate), accepted.store.put(trust)
    outcome = Outcome(*(bytes([at]) * 32 for at in range(1, 5)), *roots)
    try:
        found = accepted.step(BORN, Closed(1, outcome, closed_by(BORN, 2).counted))
    except ModelDiffers:
        return
    assert found.weights.shape == BORN.weights.shape and found.aggregate == aggregate
