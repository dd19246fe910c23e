"""A node's storage proof: made from its own model file, said until the ledger has it, and as the ledger wants it."""

import asyncio
from dataclasses import replace
from pathlib import Path

from chain.audit_messages import StorageProof
from chain.storage import has_proven, storage, storage_seat
from node.storage_driver import StorageDriver, show
from tests.node.lone_node import IDENTITY, LoneNode


def wired(node: LoneNode, news: list[int]) -> StorageDriver:
    driver = StorageDriver(node.network, IDENTITY, node.outcomes.models, lambda: news.append(1))
    node.driver.also.append(driver.inputs)
    return driver


async def until_made(driver: StorageDriver, news: list[int]) -> None:
    while not news:
        await asyncio.sleep(0.01)
    await driver.stop()


def into_an_epoch_with_a_seat(node: LoneNode) -> None:
    while storage_seat(node.state, IDENTITY.node, node.network.params) is None:
        node.block()


def test_a_registered_node_proves_its_seat_once_an_epoch(tmp_path: Path) -> None:
    node, news = LoneNode(tmp_path), []
    driver = wired(node, news)

    async def story() -> None:
        node.register()
        into_an_epoch_with_a_seat(node)
        driver.follow(node.state)
        await until_made(driver, news)
        [proof] = driver.inputs(node.state)
        assert isinstance(proof, StorageProof) and proof.epoch == storage(node.state).epoch
        applied = node.block()
        assert proof in applied.block.body.rounds and has_proven(node.state, IDENTITY.node)
        assert driver.inputs(node.state) == []
        driver.follow(node.state)
        await driver.stop()
        assert news == [1]  # not made again

    asyncio.run(story())


def test_after_a_round_the_proof_is_of_the_new_model(tmp_path: Path) -> None:
    node, news = LoneNode(tmp_path), []
    driver = wired(node, news)

    node.register()
    born = storage(node.state).model_root
    node.close_round()
    while storage(node.state).model_root == born:
        node.block()

    async def story() -> None:
        driver.follow(node.state)
        await until_made(driver, news)
        assert any(isinstance(each, StorageProof) for each in node.block().block.body.rounds)

    asyncio.run(story())


def test_without_the_epochs_model_nothing_is_said(tmp_path: Path) -> None:
    node = LoneNode(tmp_path)
    node.register()
    into_an_epoch_with_a_seat(node)
    seat, opened = storage_seat(node.state, IDENTITY.node, node.network.params), storage(node.state)
    assert seat is not None
    models = node.outcomes.models
    assert show(models, opened, seat) is not None
    assert show(models, replace(opened, model_root=bytes(32)), seat) is None
    for path in models.files():
        path.write_bytes(path.read_bytes()[:-1])
    assert show(models, opened, seat) is None


def test_a_node_without_a_seat_makes_no_proof(tmp_path: Path) -> None:
    node, news = LoneNode(tmp_path), []
    driver = wired(node, news)

    async def story() -> None:
        node.block()
        driver.follow(node.state)
        assert driver.inputs(node.state) == []
        await driver.stop()
        assert news == []

    asyncio.run(story())
