"""The finalized ledger on disk: blocks, tip, indexes and certificates agree, and strangers' data are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.address import address_of
from chain.errors import InvalidBlock
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from node.archive import Replay
from node.errors import StoreError
from node.key_value import KeyValue, LevelDb, Lmdb
from node.ledger_view import LedgerView
from node.receipt_index import DAY_MS
from node.store import SCHEMA_KEY, Store, number
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, certificate_of, named, tiny_network, with_rounds
from tests.node.naive_receipts import executed
from tests.node.test_receipt_index import assert_index_is


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Two rounds closed; not to be changed."""
    return with_rounds(tmp_path_factory.mktemp("store") / "node", 2)


@pytest.fixture(params=[MemoryKeyValue, LevelDb, Lmdb], ids=lambda kind: kind.name)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    """An empty database of each kind."""
    (tmp_path / "ledger").mkdir()
    database = MemoryKeyValue() if request.param is MemoryKeyValue else request.param(tmp_path / "ledger")
    yield database
    database.close()


@pytest.fixture
def node(closed: LoneNode, tmp_path: Path, database: KeyValue) -> LoneNode:
    return closed.copied(tmp_path / "node", database)


def test_a_new_store_stands_at_the_genesis(tmp_path: Path, database: KeyValue) -> None:
    fresh = LoneNode(tmp_path, database=database)
    assert (fresh.store.height, fresh.store.tip().hash) == (0, fresh.network.chain_id)
    assert fresh.store.hash_at(0) == fresh.network.chain_id
    assert fresh.store.block(1) is None


def test_an_appended_block_is_the_tip_also_after_reopening(node: LoneNode) -> None:
    applied = node.block()
    again = Store(node.database, node.network)
    assert again.tip() == applied.parent
    assert again.state().ledger == applied.state.ledger


def test_a_block_is_found_by_height_hash_transaction_address_and_round(tmp_path: Path, database: KeyValue) -> None:
    node = LoneNode(tmp_path, database=database)
    node.register()
    node.close_round()
    first = node.store.block(1)
    assert first is not None
    (registration,) = first.block.body.transactions
    identity = registration.id(node.network.chain_id)
    assert node.store.height_of(first.block.header.hash()) == 1 and node.store.hash_at(1) == first.block.header.hash()
    assert node.store.height_of_transaction(identity) == 1
    assert list(node.store.transactions_of(address_of(IDENTITY.wallet_public_key))) == [(1, identity)]
    assert node.store.height_of_round(1) == 3
    assert node.store.height_of(named("nothing")) is None
    assert node.store.height_of_transaction(named("nothing")) is None
    assert node.store.height_of_round(2) is None
    assert list(node.store.transactions_of(bytes(21))) == []


def test_a_block_keeps_its_own_certificate_and_an_ancestor_stands_under_its_descendants(
    tmp_path: Path, database: KeyValue
) -> None:
    node = LoneNode(tmp_path, database=database)
    lower = node.build()
    header = lower.block.header
    node.view.keep(node.certify(NOTARIZE, lower))
    node.view.tip, upper_at = lower.parent, node.view.tip
    upper = node.build()
    node.view.tip = upper_at
    certificate = node.certify(FINALIZE, upper)
    node.view.finalize(upper.block.header.hash(), certificate)
    stored = [node.store.block(height) for height in (1, 2)]
    assert [each.certificate for each in stored if each] == [b"", certificate.encode()]
    assert node.store.hash_at(1) == header.hash()


def test_the_archive_of_a_ledger_is_verified_whatever_keeps_it(node: LoneNode) -> None:
    counts = Replay(node.database, node.network, node.payloads).run()
    assert (counts.blocks, counts.rounds_closed) == (node.store.height, 2)


def test_the_index_by_wallet_is_the_same_whatever_keeps_it(node: LoneNode) -> None:
    node.block()  # The wallet has sums of this day already, and they go on on the next.
    for _ in range(node.network.params.epoch_blocks):
        node.block(node.view.tip.time_ms + DAY_MS)
    assert_index_is(node.database, executed(node.database, node.network))
    days = [day for day, _ in node.store.sums_by_day(IDENTITY.address)]
    assert len(days) > 1 and days == sorted(days, reverse=True)


def test_certificates_of_views_below_the_tip_are_forgotten_and_later_ones_kept(node: LoneNode) -> None:
    epoch, view = node.view.tip.epoch, node.view.tip.view
    applied = node.build()
    header = applied.block.header
    older = certificate_of(node.network, NULLIFY, epoch, view, bytes(32))
    own = node.certify(NOTARIZE, applied)
    later = certificate_of(node.network, NULLIFY, header.epoch, header.view + 1, bytes(32))
    for certificate in (older, own, later):
        node.store.keep(certificate)
    node.view.finalize(header.hash(), node.certify(FINALIZE, applied))
    assert node.store.kept() == [own, later]


def test_a_block_that_may_have_been_voted_for_is_known_after_a_restart_until_its_height_is_final(
    node: LoneNode,
) -> None:
    applied, rival = node.build(), node.build(node.view.tip.time_ms + 999)
    for each in (applied, rival):
        node.view.hold(each.block.header.hash())
    again = LedgerView(node.store, node.network)
    assert again.knows(applied.block.header.hash()) and again.knows(rival.block.header.hash())
    again.keep(node.certify(NOTARIZE, applied))
    again.finalize(applied.block.header.hash(), node.certify(FINALIZE, applied))
    assert node.store.held() == []


def test_a_held_block_that_stands_on_nothing_known_is_passed_over(node: LoneNode) -> None:
    applied = node.build()
    node.store.hold(applied.block)
    node.block(node.view.tip.time_ms + 999)
    node.store.hold(applied.block)
    assert not LedgerView(node.store, node.network).knows(applied.block.header.hash())


@pytest.mark.parametrize("steps", [0, 2])
def test_a_block_that_does_not_follow_the_tip_is_refused(node: LoneNode, steps: int) -> None:
    applied = node.build()
    before = dict(node.database.items(b""))
    node.database.write({b"mtip": number(applied.block.header.height - steps)})
    with pytest.raises(StoreError, match="does not follow"):
        node.store.append(applied, None)
    node.database.write({b"mtip": before[b"mtip"]})
    assert dict(node.database.items(b"")) == before


def test_a_final_block_that_is_not_here_is_refused(node: LoneNode) -> None:
    unknown = named("unknown")
    with pytest.raises(InvalidBlock, match="is not here"):
        node.view.finalize(unknown, certificate_of(node.network, FINALIZE, 1, 1, unknown))


def test_the_ledger_of_another_chain_is_refused_in_words(node: LoneNode) -> None:
    with pytest.raises(StoreError, match="belongs to chain"):
        Store(node.database, tiny_network(reveal_blocks=31))


def test_a_ledger_of_another_schema_is_refused_in_words(node: LoneNode) -> None:
    node.database.write({SCHEMA_KEY: b"1"})
    with pytest.raises(StoreError, match="schema b'1'"):
        Store(node.database, node.network)


@pytest.mark.parametrize("key", [b"mtip", b"mgenesis"])
def test_a_missing_record_is_told_in_words(tmp_path: Path, database: KeyValue, key: bytes) -> None:
    fresh = LoneNode(tmp_path, database=database)
    fresh.database.write({key: None})
    with pytest.raises(StoreError, match="is damaged"):
        fresh.store.tip()


def test_a_gap_in_the_blocks_is_told_in_words(node: LoneNode) -> None:
    node.database.write({b"b" + number(2): None})
    with pytest.raises(StoreError, match="lacks block 2"):
        node.store.hash_at(2)


def test_a_ledger_without_its_directory_file_is_refused_and_nothing_is_deleted(tmp_path: Path) -> None:
    database = LevelDb(tmp_path)
    database.write({b"key": b"value"})
    database.close()
    current = (tmp_path / "CURRENT").read_bytes()
    (tmp_path / "CURRENT").unlink()
    with pytest.raises(StoreError, match="restore the whole data directory"):
        LevelDb(tmp_path)
    (tmp_path / "CURRENT").write_bytes(current)
    database = LevelDb(tmp_path)
    assert database.get(b"key") == b"value"
    database.close()
