"""The ledger's model from other nodes: page by page from several at once, nobody believed, nothing wrong kept."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from network.kinds import PAGE
from network.part_file import parts_of
from node import blobs as blobs_module
from node.errors import StoreError
from node.model_blobs import NotThatModel, blobs_of, state_from
from node.model_fetch import ModelFetch
from node.model_source import ModelSource
from node.model_store import ModelStore, load_base
from node.template import Learning
from tests.node.model_peers import ROUND, Fading, Meeting, a_state, learning_of_pages, meeting, outcome_of, stored
from training.aggregate import aggregate_size
from training.checkpoint import tensor_places
from training.errors import CheckpointError
from training.outer import OuterState
from training.trust import TRUST_BYTES_MAXIMUM, trust_bytes


@pytest.fixture(scope="module")
def learning() -> Learning:
    return learning_of_pages()


@pytest.fixture(scope="module")
def state(learning: Learning) -> OuterState:
    return a_state(learning, 1)


@pytest.fixture
def source(tmp_path: Path, learning: Learning, state: OuterState) -> ModelSource:
    return ModelSource(stored(tmp_path / "served", learning, state))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "RETRY_MS", 10)


def same(found: OuterState | None, wanted: OuterState) -> bool:
    return found is not None and all(
        (
            found.weights.tobytes() == wanted.weights.tobytes(),
            found.momentum.tobytes() == wanted.momentum.tobytes(),
            found.aggregate == wanted.aggregate,
            found.trust == wanted.trust,
        )
    )


def fetch_into(met: Meeting, folder: Path, learning: Learning, round_number: int | None = ROUND) -> ModelFetch:
    folder.mkdir(exist_ok=True)
    return ModelFetch(ModelStore(folder, learning), met.blobs, lambda outcome: round_number)


# ---- What a node serves


def content(state: OuterState) -> dict[str, bytes]:
    return {
        "weights": state.weights.astype("<f4").tobytes(),
        "momentum": state.momentum.astype("<i4").tobytes(),
        "aggregate": state.aggregate,
        "trust": trust_bytes(state.trust),
    }


def test_the_four_blobs_of_a_kept_state_are_served_by_the_roots_of_its_outcome(source, learning, state):
    wanted = content(state)
    blobs = blobs_of(outcome_of(learning, state), learning)
    assert [blob.name for blob in blobs] == list(wanted)
    for blob in blobs:
        data, root = wanted[blob.name], blob.wanted.root
        assert source.size(root) == len(data) and len(source.page_hashes(root)) == 32 * -(-len(data) // 2**20)
        assert source.read(root, 0, len(data)) == data
        assert source.read(root, len(data) - 3, 100) == data[-3:] and source.read(root, len(data), 1) == b""
    assert len(wanted["weights"]) > 2 * 2**20


def test_nothing_else_of_the_file_is_served(source):
    for root in (ZERO, b"\x07" * 32):
        assert (source.size(root), source.page_hashes(root), source.read(root, 0, 1)) == (None,) * 3


def test_a_state_is_served_for_one_more_round_after_it_was_overtaken(tmp_path, learning):
    states = [a_state(learning, seed) for seed in range(3)]
    roots = [outcome_of(learning, each).weights_root for each in states]
    models = stored(tmp_path / "model", learning, states[0])
    source = ModelSource(models)
    for number in (1, 2):
        assert source.size(roots[number - 1]) and source.size(roots[number]) is None
        models.save(states[number], ROUND + number, outcome_of(learning, states[number]).outer_root)
        assert source.size(roots[number - 1]) and source.size(roots[number])
    assert source.size(roots[0]) is None and len(source._files) == 2


def test_a_file_is_hashed_once_and_again_when_it_has_changed(source, learning, state, monkeypatch):
    root = outcome_of(learning, state).weights_root
    [path] = source.models.files()
    assert source.size(root)
    hashed = []
    monkeypatch.setattr("node.model_source.leaf_hash", lambda page: hashed.append(page) or bytes(32))
    assert source.size(root) and source.read(root, 0, 9) and hashed == []
    offset, _ = tensor_places(path)["weights"]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"damaged")
    os.utime(path, ns=(1, 1))  # the clock of files is coarse
    assert source.read(root, 0, 9) is None and hashed


def test_only_as_much_of_a_damaged_file_is_served_as_has_its_root(source, learning, state):
    outcome = outcome_of(learning, state)
    [path] = source.models.files()
    offset, _ = tensor_places(path)["momentum"]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"damaged")
    assert source.size(outcome.momentum_root) is None and source.size(outcome.weights_root)
    path.unlink()
    assert source.size(outcome.weights_root) is None


@given(st.binary(max_size=200), st.integers(0, 120))
@settings(max_examples=60, deadline=None)
def test_a_file_with_any_beginning_is_served_or_not_and_raises_nothing(tmp_path_factory, data, at):
    folder = tmp_path_factory.mktemp("any")
    head = b'{"weights":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"data_offsets":[0,-9]}}'
    whole = bytearray(len(head).to_bytes(8, "little") + head + b"abcd")
    whole[at : at + len(data)] = data
    path = folder / "outer-1.safetensors"
    path.write_bytes(whole)
    source = ModelSource(ModelStore(folder, None))  # type: ignore[arg-type]
    assert source.size(b"\x07" * 32) is None
    try:
        places = tensor_places(path)
    except CheckpointError:
        return
    assert all(0 <= first <= first + count <= len(whole) for first, count in places.values())


# ---- From several nodes at once


async def test_a_model_comes_from_several_nodes_at_once_and_is_kept(tmp_path, learning, state, source):
    async with meeting(tmp_path / "in") as met:
        sources = [Fading(source) for _ in range(3)]
        for each in sources[:2]:
            await met.peer(each, listens=True)
        await met.peer(sources[2])  # one that nobody can dial
        fetch = fetch_into(met, tmp_path / "ours", learning)
        outcome = outcome_of(learning, state)
        assert same(await fetch.fetch(outcome), state)
        assert met.us.blamed == {} and sum(bool(each.given) for each in sources) >= 2
        saved = load_base(tmp_path / "ours" / f"outer-{ROUND}.safetensors", learning)
        assert saved.root == outcome.outer_root and saved.round == ROUND and same(saved.state, state)
        assert list((tmp_path / "in").iterdir()) == []


async def test_who_lies_is_blamed_alone_and_the_model_comes(tmp_path, learning, state, source):
    async with meeting(tmp_path / "in") as met:
        liar, honest = await met.peer(source, lies=True), await met.peer(Fading(source))
        fetch = fetch_into(met, tmp_path / "ours", learning)
        assert same(await fetch.fetch(outcome_of(learning, state)), state)
        assert met.us.blamed.keys() <= {liar.key} and honest.key not in met.us.blamed
        assert PAGE not in liar.sent or met.us.blamed


async def test_who_is_silent_is_passed_over(tmp_path, learning, state, source):
    async with meeting(tmp_path / "in") as met:
        await met.peer(source, is_silent=True)
        await met.peer(source, listens=True)
        fetch = fetch_into(met, tmp_path / "ours", learning)
        assert same(await fetch.fetch(outcome_of(learning, state)), state)


@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_who_has_it_no_longer_in_the_middle_costs_nothing_but_its_pages(
    tmp_path, learning, state, source, reads: int
):
    async with meeting(tmp_path / "in") as met:
        await met.peer(Fading(source, reads), listens=True)
        await met.peer(Fading(source, reads))
        stays = Fading(source)
        await met.peer(stays, listens=True)
        fetch = fetch_into(met, tmp_path / "ours", learning)
        assert same(await fetch.fetch(outcome_of(learning, state)), state) and met.us.blamed == {}


async def test_whose_connection_ends_in_the_middle_is_replaced_by_another(tmp_path, learning, state, source):
    async with meeting(tmp_path / "in") as met:
        first = await met.peer(Fading(source))
        fetch = fetch_into(met, tmp_path / "ours", learning)
        fetching = asyncio.create_task(fetch.fetch(outcome_of(learning, state)))
        while PAGE not in first.sent:
            await asyncio.sleep(0)
        first.leave()
        await met.peer(source)
        assert same(await fetching, state)


async def test_what_has_come_before_an_end_is_not_fetched_again(tmp_path, learning, state, source):
    outcome, first = outcome_of(learning, state), Fading(source, 3)
    async with meeting(tmp_path / "in") as met:
        await met.peer(first)
        fetching = asyncio.create_task(fetch_into(met, tmp_path / "ours", learning).fetch(outcome))
        while first.reads:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.2)
        fetching.cancel()
    here = set(first.given)
    async with meeting(tmp_path / "in") as met:
        second = Fading(source)
        await met.peer(second)
        assert same(await fetch_into(met, tmp_path / "ours", learning).fetch(outcome), state)
    assert len(set(second.given) & here) <= 1  # what was on its way when the run ended may be lost


async def test_who_stops_waiting_finds_what_has_come_meanwhile(tmp_path, learning, state, source):
    async with meeting(tmp_path / "in") as met:
        await met.peer(source)
        fetch, outcome = fetch_into(met, tmp_path / "ours", learning), outcome_of(learning, state)
        waiting = asyncio.create_task(fetch.fetch(outcome))
        await asyncio.sleep(0)
        waiting.cancel()
        assert same(await fetch.fetch(outcome), state) and not met.us.blamed


async def test_who_stops_waiting_while_it_is_built_gets_it_the_next_time(
    tmp_path, learning, state, source, monkeypatch
):
    begun, may_go_on = threading.Event(), threading.Event()
    calls = []

    def slowly(*arguments: Any) -> OuterState:
        calls.append(1)
        begun.set()
        assert may_go_on.wait(60)
        return state_from(*arguments)

    monkeypatch.setattr("node.model_fetch.state_from", slowly)
    async with meeting(tmp_path / "in") as met:
        await met.peer(source)
        fetch, outcome = fetch_into(met, tmp_path / "ours", learning), outcome_of(learning, state)
        waiting = asyncio.create_task(fetch.fetch(outcome))
        await asyncio.to_thread(begun.wait)
        waiting.cancel()
        again = asyncio.create_task(fetch.fetch(outcome))
        await asyncio.sleep(0)
        may_go_on.set()
        assert same(await again, state) and calls == [1] and len(fetch.models.files()) == 1


# ---- What is empty, what is wrong, what is overtaken


async def test_of_a_state_at_rest_only_the_weights_are_fetched(tmp_path, learning):
    born = learning.born()
    outcome = outcome_of(learning, born)
    assert [blob.name for blob in blobs_of(outcome, learning)] == ["weights"]
    async with meeting(tmp_path / "in") as met:
        await met.peer(ModelSource(stored(tmp_path / "served", learning, born)))
        assert same(await fetch_into(met, tmp_path / "ours", learning).fetch(outcome), born)


def test_how_long_a_blob_may_be_follows_from_the_model(learning, state):
    blobs = {blob.name: blob.wanted for blob in blobs_of(outcome_of(learning, state), learning)}
    for name, size in (("weights", 4 * learning.parameters), ("momentum", 4 * learning.parameters)):
        assert [blobs[name].allows(size + more) for more in (-1, 0, 1)] == [False, True, False]
    size = aggregate_size(learning.fragment_sizes)
    assert [blobs["aggregate"].allows(size + more) for more in (-1, 0, 1)] == [False, True, False]
    assert [blobs["trust"].allows(TRUST_BYTES_MAXIMUM + more) for more in (0, 1)] == [True, False]


@pytest.mark.parametrize("name", ["weights", "momentum", "aggregate", "trust"])
@pytest.mark.parametrize("damage", ["bit", "short", "absent"])
def test_bytes_that_are_another_model_are_refused(tmp_path, learning, state, name: str, damage: str):
    outcome, files = outcome_of(learning, state), {}
    for each, data in content(state).items():
        files[each] = tmp_path / each
        files[each].write_bytes(data)
    assert same(state_from(files, outcome, learning), state)
    data = files[name].read_bytes()
    files[name].write_bytes({"bit": data[:-1] + bytes([data[-1] ^ 1]), "short": data[:-1], "absent": b""}[damage])
    with pytest.raises(NotThatModel):
        state_from(files, outcome, learning)
    files[name].unlink()
    with pytest.raises(StoreError, match="cannot read"):
        state_from(files, outcome, learning)


async def test_a_file_that_the_disk_has_changed_is_not_used_and_fetched_anew(tmp_path, learning, state, source):
    outcome = outcome_of(learning, state)
    async with meeting(tmp_path / "in") as met:
        await met.peer(source)
        fetch = fetch_into(met, tmp_path / "ours", learning)
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / outcome.weights_root.hex()).write_bytes(np.ones(learning.parameters, "<f4").tobytes())
        assert await fetch.fetch(outcome) is None
        assert list((tmp_path / "in").iterdir()) == [] and fetch.models.files() == []
        assert same(await fetch.fetch(outcome), state)


async def test_when_the_model_has_moved_on_the_newer_is_fetched_and_nothing_of_the_older_is_kept(
    tmp_path, learning, state, source, monkeypatch
):
    newer = a_state(learning, 2)
    async with meeting(tmp_path / "in") as met:
        fading = Fading(source, 2)
        await met.peer(fading)
        fetch = fetch_into(met, tmp_path / "ours", learning)
        overtaken = asyncio.create_task(fetch.fetch(outcome_of(learning, state)))
        while fading.reads:
            await asyncio.sleep(0.001)
        await met.peer(ModelSource(stored(tmp_path / "newer", learning, newer)))
        assert same(await fetch.fetch(outcome_of(learning, newer)), newer)
        assert parts_of(tmp_path / "in" / outcome_of(learning, state).weights_root.hex()) == []
        assert list((tmp_path / "in").iterdir()) == []
        assert len(fetch.models.files()) == 1 and await overtaken is None


async def test_what_is_not_the_ledgers_model_any_more_is_not_asked_for(tmp_path, learning, state, source):
    async with meeting(tmp_path / "in") as met:
        peer = await met.peer(source)
        assert await fetch_into(met, tmp_path / "ours", learning, None).fetch(outcome_of(learning, state)) is None
        assert peer.sent == met.us.sent == []


async def test_what_nobody_has_is_told_after_a_while(tmp_path, learning, state, monkeypatch):
    monkeypatch.setattr(blobs_module, "PATIENCE_MS", 50)
    async with meeting(tmp_path / "in") as met:
        assert await fetch_into(met, tmp_path / "ours", learning).fetch(outcome_of(learning, state)) is None
