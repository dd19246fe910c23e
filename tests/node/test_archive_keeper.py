"""An archive has every payload that the ledger counts, also those of rounds that it never took part in."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chain.receipts import RoundClosed
from network.pages import Wanted
from node import archive_keeper
from node.archive import Replay
from node.archive_keeper import ArchiveKeeper
from node.blob_source import FileSource
from node.errors import StoreError
from node.housekeeping import Housekeeping
from node.outcomes import Outcomes
from node.past_rounds import payloads_of
from node.payload_prune import prune_payloads
from tests.network.blob_servers import Loopback, loopback
from tests.node.archive_homes import run, stopped_home, told
from tests.node.lone_node import LoneNode, with_rounds
from tests.node.many_nodes import Cluster
from tests.node.served import PATIENCE_SECONDS

ROUNDS = 6


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return with_rounds(tmp_path_factory.mktemp("archive") / "node", ROUNDS)


@pytest.fixture
def node(lived: LoneNode, tmp_path: Path) -> LoneNode:
    """The same without any payload."""
    copy = lived.copied(tmp_path / "node")
    for path in copy.payloads.folder.iterdir():
        path.unlink()
    return copy


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)


class Others:
    """What other nodes have, for `Outcomes.fetch_by`."""

    def __init__(self, lived: LoneNode) -> None:
        self.payloads = lived.payloads
        self.gone: set[bytes] = set()
        self.asked: list[bytes] = []

    def fetch(self, wanted: Wanted, done: Callable[[bytes | Path | None], None]) -> None:
        self.asked.append(wanted.root)
        done(None if wanted.root in self.gone else self.payloads.get(wanted.root))


def root_of_round(node: LoneNode, number: int) -> bytes:
    [counted] = payloads_of(node.store, node.state, number)
    return counted.payload_root


async def kept(node: LoneNode, others: Others, is_enough: Callable[[ArchiveKeeper], bool]) -> ArchiveKeeper:
    """A keeper that has run until it was enough."""
    node.outcomes.fetch_by(others.fetch)
    keeper = ArchiveKeeper(node.store, node.outcomes)
    running = asyncio.create_task(keeper.run())
    await until(lambda: is_enough(keeper) or running.done())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return keeper


# ---- A running archive


async def test_an_archive_fetches_the_payloads_of_all_rounds_the_newest_first(node: LoneNode, lived: LoneNode) -> None:
    others = Others(lived)
    await kept(node, others, lambda keeper: node.store.complete_round == ROUNDS)
    assert others.asked == [root_of_round(node, number) for number in range(ROUNDS, 0, -1)]
    assert Replay(node.database, node.network, node.payloads).run().payloads == ROUNDS


async def test_what_nobody_had_is_tried_again_and_a_new_start_begins_there(
    node: LoneNode, lived: LoneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Others(lived)
    others.gone = {root_of_round(node, 3)}
    await kept(node, others, lambda keeper: keeper.missing == {3} and node.store.complete_round == 2)
    monkeypatch.setattr(archive_keeper, "AGAIN_S", 0.01)
    again = Others(lived)
    again.gone = set(others.gone)
    asked = again.asked

    def is_enough(keeper: ArchiveKeeper) -> bool:
        if len(asked) > 2:
            again.gone.clear()
        return node.store.complete_round == ROUNDS

    await kept(node, again, is_enough)
    assert set(asked) == others.gone and len(asked) >= 3


async def test_a_round_that_has_ended_since_is_fetched_at_once(node: LoneNode, lived: LoneNode, tmp_path: Path) -> None:
    others = Others(lived.copied(tmp_path / "other"))
    node.outcomes.fetch_by(others.fetch)
    keeper = ArchiveKeeper(node.store, node.outcomes)
    running = asyncio.create_task(keeper.run())
    await until(lambda: node.store.complete_round == ROUNDS)

    def close() -> Any:
        node.driver.follow(node.state, node.view.tip.height)
        node.train()
        done = node.finish()
        others.payloads.put(node.payloads.get(done.payload_root))
        node.payloads.path(done.payload_root).unlink()
        return node.block()

    applied = await asyncio.to_thread(close)
    assert any(isinstance(receipt, RoundClosed) for receipt in applied.receipts)
    keeper.hear_block(applied)
    await until(lambda: node.store.complete_round == ROUNDS + 1)
    running.cancel()


async def test_who_becomes_an_archive_fetches_what_it_has_forgotten(node: LoneNode, lived: LoneNode) -> None:
    node.store.note_complete(ROUNDS)
    prune_payloads(node.store, node.payloads, 4)
    await kept(node, Others(lived), lambda keeper: node.store.complete_round == ROUNDS)
    assert node.store.pruned_payloads() == (0, 0) and len(list(node.payloads.folder.iterdir())) == ROUNDS


async def test_rounds_of_which_no_blocks_are_kept_are_passed_over(
    node: LoneNode, lived: LoneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = archive_keeper.payloads_of

    def gone(store: Any, state: Any, number: int) -> Any:
        if number == 2:
            raise StoreError("not kept")
        return real(store, state, number)

    monkeypatch.setattr(archive_keeper, "payloads_of", gone)
    keeper = await kept(node, Others(lived), lambda keeper: node.store.complete_round == 1)
    assert keeper.missing == {2}


def test_an_archive_removes_no_payload_as_abandoned(node: LoneNode, lived: LoneNode) -> None:
    plain, archive = Housekeeping(node.folder), Housekeeping(node.folder, True)
    for keeper in (plain, archive):
        keeper.tidy(node.store)
    late = lived.payloads.get(root_of_round(node, 1))
    node.payloads.put(late)
    node.driver.follow(node.state, node.view.tip.height)
    archive.tidy(node.store)
    node.close_round()
    assert archive.tidy(node.store) == [] and node.payloads.has(root_of_round(node, 1))


def test_an_archive_that_never_trained_makes_the_weights_again(tmp_path: Path) -> None:
    """Three nodes train; the fourth has every block, gets payloads from others, and replays to the same outer root."""
    cluster = Cluster(tmp_path, 4, 1)
    archive, trainers = cluster.members[3], cluster.members[:3]
    cluster.register(*trainers)
    closed = None
    for _ in range(4):
        cluster.train(*trainers, without=(archive,))
        closed = cluster.blocks_until(RoundClosed)
        cluster.block()
    assert closed is not None and not any(archive.payloads.folder.iterdir())
    archive.outcomes.fetch_by(lambda wanted, done: done(trainers[0].payloads.get(wanted.root)))

    async def keep(outcomes: Outcomes) -> None:
        running = asyncio.create_task(ArchiveKeeper(archive.store, outcomes).run())
        await until(lambda: archive.store.complete_round == 4)
        running.cancel()

    cluster.runner.run(keep(archive.outcomes))
    counts = Replay(archive.store.database, cluster.network, archive.payloads).run()
    assert counts.outer_root == closed.outcome.outer_root.hex() and counts.payloads == 12
    assert (counts.rounds_closed, counts.payloads_missing) == (4, 0)
    cluster.close()


# ---- The command


@pytest.fixture
async def net() -> AsyncIterator[Loopback]:
    async with loopback() as net:
        yield net


async def fetch(home: Path, *peers: str, status: int = 0) -> Any:
    options = [word for peer in peers for word in ("--peer", peer)]
    result = await asyncio.to_thread(lambda: run("fetch", *options, "--json", home=home))
    assert result.exit_code == status, result.exception or result.output
    return json.loads(result.stdout)


async def test_a_stopped_node_fetches_what_is_missing_and_verifies_the_weights(
    net: Loopback, node: LoneNode, lived: LoneNode, tmp_path: Path
) -> None:
    prune_payloads(node.store, node.payloads, 4)
    home = stopped_home(node, tmp_path / "home")
    peers = [await net.serve(FileSource(lived.payloads.find)) for _ in range(2)]  # type: ignore[arg-type]
    found = await fetch(home, *peers)
    assert found["ok"] and found["payloads"] == ROUNDS == sum(found["pages"].values()) and found["left"] == []
    verified = await asyncio.to_thread(told, "verify", "--weights", home=home)
    assert verified["payloads"] == ROUNDS and verified["weights_rebuilt"]
    assert (await fetch(home))["payloads"] == 0


async def test_a_damaged_payload_is_replaced_and_what_nobody_has_is_named(
    net: Loopback, node: LoneNode, lived: LoneNode, tmp_path: Path
) -> None:
    node.payloads.path(root_of_round(node, 2)).write_bytes(b"damaged")
    home = stopped_home(node, tmp_path / "home")
    lacking = {root_of_round(node, 5)}
    peer = await net.serve(FileSource(lambda root: None if root in lacking else lived.payloads.find(root)))  # type: ignore[arg-type]
    found = await fetch(home, peer, status=1)
    assert found["payloads"] == ROUNDS - 1 and [each["round"] for each in found["left"]] == [5]
    result = await asyncio.to_thread(lambda: run("fetch", "--peer", peer, home=home))
    assert "1 payloads of 1 rounds, 5 to 5, could not be had" in result.stdout and "--archive" in result.stdout
    lacking.clear()
    assert (await fetch(home, peer))["payloads"] == 1


async def test_without_addresses_it_asks_for_some(node: LoneNode, tmp_path: Path) -> None:
    home = stopped_home(node, tmp_path / "home")
    result = await asyncio.to_thread(lambda: run("fetch", home=home))
    assert "name some with --peer" in str(result.exception)
