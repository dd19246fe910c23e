"""What old rounds accepted goes, and never what the last ones did, nor what may still be agreed on."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from node.accepted_prune import AcceptedPruning
from node.counted import Counted
from node.past_rounds import closed_round
from tests.node.lone_node import LoneNode, with_rounds
from tests.node.test_payloads_and_models import a_payload

CLOSED = 5


@pytest.fixture
def node(tmp_path: Path) -> LoneNode:
    node = with_rounds(tmp_path / "node", CLOSED)
    node.outcomes.past = partial(closed_round, node.store)
    return node


def named(node: LoneNode, *rounds: int) -> set[str]:
    """The blobs behind the outcomes of these rounds."""
    found = [closed_round(node.store, node.state, number) for number in rounds]
    roots = {root for each in found if each for root in (each.outcome.aggregate_root, each.outcome.trust_root)}
    return {root.hex() for root in roots} - {bytes(32).hex()}


def here(node: LoneNode) -> set[str]:
    return {path.name for path in node.outcomes.aggregates.folder.iterdir()}


@pytest.mark.parametrize("keep", [1, 2, CLOSED - 1, CLOSED, CLOSED + 1])
def test_those_of_the_last_rounds_stay(node: LoneNode, keep: int) -> None:
    before = here(node)
    assert before == named(node, *range(1, CLOSED + 1))
    pruning = AcceptedPruning(node.store, node.outcomes, keep)
    assert pruning.run() == [] and here(node) == before
    kept = named(node, *range(max(1, CLOSED - keep + 1), CLOSED + 1))
    assert set(pruning.run()) == before - kept and here(node) == kept
    assert pruning.run() == []


def test_what_has_been_computed_and_may_be_agreed_on_stays_until_something_else_is(node: LoneNode) -> None:
    pruning = AcceptedPruning(node.store, node.outcomes, CLOSED)
    pruning.run()

    def compute(name: bytes) -> set[str]:
        root = node.payloads.put(a_payload(node))
        prepared = asyncio.run(node.outcomes.prepare(CLOSED + 1, [Counted(name * 32, root, 4)]))
        assert prepared is not None
        return {each.hex() for each in (prepared.outcome.aggregate_root, prepared.outcome.trust_root)}

    first = compute(b"\x01")
    assert pruning.run() == pruning.run() == [] and first - {bytes(32).hex()} <= here(node)
    second = compute(b"\x02")
    pruning.run()
    assert set(pruning.run()) <= first - second and not (first - second) & here(node) - second


def test_a_node_that_has_lost_its_blocks_of_a_round_does_without_its_blobs(node: LoneNode) -> None:
    last = node.store.height_of_round(1)
    assert last is not None
    before, others = here(node), named(node, *range(2, CLOSED + 1))
    node.database.write({b"b" + last.to_bytes(8, "big"): None})
    pruning = AcceptedPruning(node.store, node.outcomes, CLOSED)
    pruning.run()
    assert set(pruning.run()) == before - others and here(node) == others


def test_a_node_that_catches_up_keeps_what_leads_over_the_rounds_that_it_missed(node: LoneNode) -> None:
    """Else it would fetch for ever what it removes."""
    before, outcomes = here(node), node.outcomes
    pruning, newest = AcceptedPruning(node.store, outcomes, 2), outcomes.model_root
    outcomes.model_round, outcomes.model_root = CLOSED - 3, bytes(32)
    assert pruning.run() == pruning.run() == [] and here(node) == before
    outcomes.model_round, outcomes.model_root = CLOSED, newest
    pruning.run()
    assert pruning.run() and here(node) == named(node, CLOSED - 1, CLOSED)
