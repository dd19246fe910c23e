"""fsck makes every index again from the blocks; what is no index it names, and changes nothing of it."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from node.archive import Replay
from node.archive_fsck import Finding, Fsck
from node.archive_prune import last_prunable, prune
from node.errors import NodeError
from node.store import CHAIN, GENESIS_ROOT, TIP, number
from tests.node.archive_homes import Opened, lived, refused, run, stopped_home, told
from tests.node.lone_node import LoneNode, MemoryKeyValue, named

INDEXES = [b"h", b"x", b"i", b"o", b"t"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return lived(tmp_path_factory.mktemp("fsck") / "node", 4)


def changed(node: LoneNode, changes: dict[bytes, bytes | None]) -> MemoryKeyValue:
    database = MemoryKeyValue(dict(node.database.items(b"")))
    database.write(changes)
    return database


def fsck(node: LoneNode, database: MemoryKeyValue, dry_run: bool = False) -> list[Finding]:
    return Fsck(database, node.network, dry_run).run()


def parts(findings: list[Finding]) -> dict[str, int]:
    return {finding.part: finding.count for finding in findings}


def wrong_in_every_way(node: LoneNode, prefix: bytes) -> dict[bytes, bytes | None]:
    """One record lost, one with another value, one too many. An address entry has no value: its key is another's."""
    records = [key for key, _ in node.database.items(prefix)]
    lost, other = Random(1).sample(records, 2)
    extra = prefix + named("extra")[: len(lost) - 1].ljust(len(lost) - 1, b"\x01")
    return {lost: None, other: number(9_999), extra: number(1)}


# ---- What can be made again


def test_a_sound_ledger_has_no_findings_and_stays_as_it_is(node: LoneNode) -> None:
    database = changed(node, {})
    assert fsck(node, database) == []
    assert database.records == dict(node.database.items(b""))


@pytest.mark.parametrize("prefix", INDEXES)
def test_an_index_is_made_again_whatever_has_happened_to_it(node: LoneNode, prefix: bytes) -> None:
    database = changed(node, wrong_in_every_way(node, prefix))
    (found,) = fsck(node, database)
    assert (found.count, found.repairable, found.repaired) == (3, True, True)
    assert database.records == dict(node.database.items(b""))
    assert fsck(node, database) == []


@pytest.mark.parametrize("prefix", INDEXES)
def test_an_index_that_is_gone_as_a_whole_is_made_again(node: LoneNode, prefix: bytes) -> None:
    gone = {key: None for key, _ in node.database.items(prefix)}
    database = changed(node, dict(gone))
    (found,) = fsck(node, database)
    assert found.count == len(gone) and database.records == dict(node.database.items(b""))


def test_all_at_once_and_then_the_archive_is_right(node: LoneNode) -> None:
    changes: dict[bytes, bytes | None] = {}
    for prefix in INDEXES:
        changes |= wrong_in_every_way(node, prefix)
    database = changed(node, changes)
    assert parts(fsck(node, database)) == {
        "tree": 3, "block index": 3, "transaction index": 3, "address index": 3, "round index": 3,
    }  # fmt: skip
    assert Replay(database, node.network, node.payloads).run().blocks == node.store.height


def test_a_dry_run_finds_the_same_and_writes_nothing(node: LoneNode) -> None:
    changes = wrong_in_every_way(node, b"x") | wrong_in_every_way(node, b"t")
    database = changed(node, changes)
    before = dict(database.records)
    findings = fsck(node, database, dry_run=True)
    assert parts(findings) == {"transaction index": 3, "tree": 3}
    assert all(finding.repairable and not finding.repaired for finding in findings)
    assert database.records == before


# ---- What cannot


def unrepaired(node: LoneNode, changes: dict[bytes, bytes | None]) -> list[Finding]:
    """The findings, after which the ledger is byte for byte what it was."""
    database = changed(node, changes)
    before = dict(database.records)
    findings = fsck(node, database)
    assert database.records == before
    assert findings and not any(finding.repaired or finding.repairable for finding in findings)
    return findings


@pytest.mark.parametrize("height", [1, 5, 13])
def test_a_missing_block_is_named(node: LoneNode, height: int) -> None:
    findings = unrepaired(node, {b"b" + number(height): None})
    assert parts(findings)["blocks"] == 1
    assert any(f"missing or damaged: block {height}: restore" in finding.sentence for finding in findings)


def test_a_damaged_block_is_named_and_what_finds_it_is_kept(node: LoneNode) -> None:
    data = node.database.get(b"b" + number(6))
    assert data is not None
    findings = unrepaired(node, {b"b" + number(6): data[:-1]})
    assert "block 6:" in findings[0].sentence


def test_beside_a_missing_block_the_indexes_of_all_others_are_repaired(node: LoneNode) -> None:
    lost = {b"b" + number(1): None}
    database = changed(node, {**lost, **{key: None for key, _ in node.database.items(b"x")}})
    findings = fsck(node, database)
    assert {finding.part: finding.repaired for finding in findings} == {
        "blocks": False, "transaction index": True, "round index": False,
    }  # fmt: skip
    wanted = {key: value for key, value in node.database.items(b"x") if value != number(1)}
    assert dict(database.items(b"x")) == wanted and len(wanted) == 4


def test_a_block_in_anothers_place_is_named(node: LoneNode) -> None:
    third, fourth = (node.database.get(b"b" + number(height)) for height in (3, 4))
    findings = unrepaired(node, {b"b" + number(3): fourth, b"b" + number(4): third})
    assert "block 3, 4:" in findings[0].sentence


def test_a_block_that_the_rules_refuse_is_named(node: LoneNode) -> None:
    stored = node.store.block(13)
    assert stored is not None
    header = replace(stored.block.header, minted=1)
    database = changed(node, {b"b" + number(13): replace(stored.block, header=header).encode()})
    findings = fsck(node, database, dry_run=True)
    assert any("height 13 differs" in finding.sentence for finding in findings)


def test_a_missing_certificate_is_named(node: LoneNode) -> None:
    findings = unrepaired(node, {b"f" + number(4): None})
    assert "block 4 lacks its certificate" in findings[0].sentence


@pytest.mark.parametrize("change", ["lost", "changed", "added"])
def test_a_state_that_differs_from_its_tree_is_named_with_its_record(node: LoneNode, change: str) -> None:
    key = next(key for key, _ in node.database.items(b"sa"))
    changes: dict[str, dict[bytes, bytes | None]] = {
        "lost": {key: None},
        "changed": {key: bytes(24)},
        "added": {b"sz": b"1"},
    }
    (finding,) = unrepaired(node, changes[change])
    assert finding.part == "state" and "the header of block 13 names" in finding.sentence
    record = {"lost": "0 records differ", "changed": f"first {key[1:].hex()[:40]}", "added": "first 7a"}[change]
    assert record in finding.sentence and "restore the whole data directory" in finding.sentence


@pytest.mark.parametrize("key", [CHAIN, GENESIS_ROOT, TIP])
def test_a_ledger_without_its_beginning_or_height_is_left_alone(node: LoneNode, key: bytes) -> None:
    database = changed(node, {key: None})
    with pytest.raises(NodeError, match="cannot be repaired; restore"):
        fsck(node, database)


# ---- A pruned ledger


def test_the_indexes_of_a_pruned_ledger_are_made_again_from_headers_and_kept_bodies(
    node: LoneNode, tmp_path: Path
) -> None:
    copy = node.copied(tmp_path / "copy")
    prune(copy.store, copy.payloads, last_prunable(copy.store, 1))
    assert copy.store.pruned_height == 6
    assert fsck(copy, changed(copy, {})) == []
    for prefix in (b"h", b"x", b"t"):
        database = changed(copy, {key: None for key, _ in copy.database.items(prefix)})
        assert [finding.repaired for finding in fsck(copy, database)] == [True]
        assert database.records == dict(copy.database.items(b""))


# ---- The command


@pytest.fixture
def home(node: LoneNode, tmp_path: Path) -> Path:
    return stopped_home(node, tmp_path / "home")


def damage(home: Path, changes: dict[bytes, Any]) -> None:
    with Opened(home) as database:
        database.write(changes)


def test_the_command_repairs_and_ends_with_status_0(node: LoneNode, home: Path) -> None:
    assert told("fsck", home=home) == {"ok": True, "dry_run": False, "findings": []}
    damage(home, wrong_in_every_way(node, b"h"))
    result = run("fsck", home=home)
    assert result.exit_code == 0 and "block index: 3 records, repaired" in result.stdout
    assert told("verify", home=home)["ok"]


def test_the_command_ends_with_status_1_if_something_is_left(node: LoneNode, home: Path) -> None:
    damage(home, wrong_in_every_way(node, b"h"))
    assert "3 records, repairable: can be made again: run fsck without" in refused("fsck", "--dry-run", home=home)
    told("fsck", home=home)
    damage(home, {b"b" + number(3): None})
    words = refused("fsck", home=home)
    assert "blocks: 1 record, cannot be repaired: missing or damaged: block 3" in words
    assert words.endswith("Not everything is well.\n")
