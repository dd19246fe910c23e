"""The tables of an export say what the ledger says, to the nano; a folder of them is whole or not there."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chain.address import to_text
from node import archive_export
from node.archive import ArchiveDiffers
from node.archive_tables import NANOS, SCHEMAS, nanos
from node.errors import NodeError
from node.store import PRUNED, number
from tests.node.archive_homes import PAYEE, Opened, lived, refused, run, stopped_home, told
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, named

WALLET = to_text(IDENTITY.address)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return lived(tmp_path_factory.mktemp("export") / "node", 4)


@pytest.fixture(scope="module")
def tables(node: LoneNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "tables"
    archive_export.export(node.database, node.network, folder)
    return folder


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return rows


def total(rows: list[dict[str, Any]], kind: str, column: str = "amount") -> int:
    return sum(int(row[column]) for row in rows if row["kind"] == kind)


# ---- What the tables say


def test_every_block_has_a_row_with_what_its_header_says(node: LoneNode, tables: Path) -> None:
    rows = read(tables, "blocks")
    assert [row["height"] for row in rows] == list(range(1, node.store.height + 1))
    for row in rows:
        stored = node.store.block(row["height"])
        assert stored is not None
        header = stored.block.header
        assert (row["hash"], row["parent_hash"]) == (header.hash().hex(), header.parent_hash.hex())
        assert (int(row["minted_total"]), int(row["burned_total"])) == (header.minted, header.burned)
        assert (row["state_root"], row["bytes"]) == (header.state_root.hex(), len(stored.block.encode()))
        assert round(row["time"].timestamp() * 1000) == header.time_ms


def test_every_transaction_has_a_row_with_what_it_moves_and_costs(node: LoneNode, tables: Path) -> None:
    rows = read(tables, "transactions")
    assert [row["kind"] for row in rows] == [
        "register_node", "transfer", "service_payment", "multi_transfer", "transfer",
    ]  # fmt: skip
    register, transfer, service, several, _ = rows
    assert (register["node_key"], int(register["fee"])) == (IDENTITY.node_public_key.hex(), 0)
    assert (transfer["sender"], transfer["payee"], int(transfer["amount"])) == (WALLET, to_text(PAYEE), 1_000)
    assert (service["reference"], int(service["amount"])) == (named("invoice").hex(), 999)
    assert [(p["payee"], int(p["amount"])) for p in several["payments"]] == [(to_text(PAYEE), 5), (WALLET, 7)]
    assert int(several["amount"]) == 12 and all(int(row["fee"]) > 0 for row in rows[1:])
    assert all(node.store.height_of_transaction(bytes.fromhex(row["id"])) == row["height"] for row in rows)


def test_every_proof_has_a_row(node: LoneNode, tables: Path) -> None:
    rows = read(tables, "proofs")
    assert len(rows) == 16 and sum(row["tokens"] for row in rows) == node.state.ledger.tokens
    stored = node.store.block(rows[0]["height"])
    assert stored is not None
    proof = stored.block.body.proofs[rows[0]["index"]]
    assert rows[0]["id"] == proof.id(node.network.chain_id).hex()
    assert (rows[0]["wallet"], rows[0]["loss_milli"]) == (WALLET, 9_000)


def test_mints_less_burns_are_what_exists_and_nothing_is_rounded(node: LoneNode, tables: Path) -> None:
    rows, supply = read(tables, "rewards"), node.state.supply
    assert (total(rows, "minted"), total(rows, "burned")) == (supply.minted, supply.burned)
    assert total(rows, "released") == supply.circulating - supply.vesting + sum(
        int(row["amount"]) for row in rows if row["reason"] in ("base_fee", "service_share")
    )
    assert {row["reason"] for row in rows if row["kind"] == "burned"} == {"base_fee", "service_share", "proof_fee"}
    assert all(isinstance(row["amount"], Decimal) for row in rows)


def test_every_round_has_a_row_the_running_one_too(node: LoneNode, tables: Path) -> None:
    rows = read(tables, "rounds")
    assert [row["round"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["phase"] for row in rows] == ["closed"] * 4 + ["training"]
    for row in rows[:4]:
        assert row["ended_height"] == node.store.height_of_round(row["round"])
        assert (row["participants"], row["committed"], row["revealed"], row["counted"]) == (1, 1, 1, 1)
    assert rows[3]["outer_root"] == rows[4]["base_outer_root"] == node.outcomes.model_root.hex()
    assert rows[4]["ended_height"] is None and rows[4]["outer_root"] is None


def test_no_column_of_any_table_is_a_float(tables: Path) -> None:
    for name in SCHEMAS:
        schema = pq.read_schema(tables / f"{name}.parquet")
        assert schema.equals(SCHEMAS[name])
        assert not any(pa.types.is_floating(field.type) for field in schema)


def test_the_largest_amounts_a_table_can_hold_are_exact_and_a_larger_one_is_an_error() -> None:
    largest = 10**38 - 1
    assert int(pa.array([nanos(largest)], NANOS)[0].as_py()) == largest
    with pytest.raises(pa.ArrowInvalid):
        pa.array([nanos(largest + 1)], NANOS)


# ---- How they are written


def test_memory_holds_one_group_of_rows_at_a_time(
    node: LoneNode, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_export, "GROUP_ROWS", 4)
    archive_export.export(node.database, node.network, tmp_path / "tables")
    for name in SCHEMAS:
        groups = pq.ParquetFile(tmp_path / "tables" / f"{name}.parquet").metadata
        assert all(groups.row_group(place).num_rows <= 4 for place in range(groups.num_row_groups))
        assert read(tmp_path / "tables", name) == read(tables, name)


def test_a_note_beside_the_tables_names_chain_height_and_rows(node: LoneNode, tables: Path) -> None:
    note = json.loads((tables / "export.json").read_text())
    assert (note["chain_id"], note["height"]) == (node.network.chain_id.hex(), node.store.height)
    assert note["state_root"] == node.view.tip.state_root.hex()
    assert note["rows"] == {name: len(read(tables, name)) for name in SCHEMAS}


def test_an_export_that_ends_early_leaves_no_folder_of_that_name_and_the_next_one_begins_anew(
    node: LoneNode, tmp_path: Path
) -> None:
    broken = MemoryKeyValue(dict(node.database.items(b"")))
    broken.write({b"b" + number(9): None})
    with pytest.raises(ArchiveDiffers):
        archive_export.export(broken, node.network, tmp_path / "tables")
    assert [path.name for path in tmp_path.iterdir()] == ["tables.partial"]
    archive_export.export(node.database, node.network, tmp_path / "tables")
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_a_ledger_whose_tip_nobody_has_made_final_is_not_exported(node: LoneNode, tmp_path: Path) -> None:
    broken = MemoryKeyValue(dict(node.database.items(b"")))
    broken.write({b"f" + number(13): b""})
    with pytest.raises(ArchiveDiffers, match="no finalization certificate"):
        archive_export.export(broken, node.network, tmp_path / "tables")


def test_an_empty_folder_is_filled_and_any_other_is_refused(node: LoneNode, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    archive_export.export(node.database, node.network, tmp_path / "tables")
    before = sorted(path.name for path in (tmp_path / "tables").iterdir())
    with pytest.raises(NodeError, match="is not empty"):
        archive_export.export(node.database, node.network, tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="is a file"):
        archive_export.export(node.database, node.network, tmp_path / "file")
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "letter.txt").write_text("mine")
    with pytest.raises(NodeError, match=r"letter\.txt, which is not ours"):
        archive_export.export(node.database, node.network, tmp_path / "other")
    assert (tmp_path / "other.partial" / "letter.txt").read_text() == "mine"


# ---- The command


def test_a_place_that_no_folder_can_be_renamed_to_is_refused_before_anything_is_written(
    node: LoneNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "disk").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    before = sorted(tmp_path.iterdir())
    for target, why in (
        (Path(), "the folder that you are in"),
        (tmp_path / "here", "the folder that you are in"),
        (tmp_path / "link", "is a link"),
        (tmp_path / "dangling", "is a link"),
        (tmp_path / "disk", "where a disk begins"),
    ):
        with pytest.raises(NodeError, match=why):
            archive_export.export(node.database, node.network, target)
    assert sorted(tmp_path.iterdir()) == before


def test_a_pruned_ledger_is_refused_before_anything_is_written(node: LoneNode, tmp_path: Path) -> None:
    pruned = MemoryKeyValue(dict(node.database.items(b"")))
    pruned.write({PRUNED: number(4)})
    with pytest.raises(NodeError, match="is pruned"):
        archive_export.export(pruned, node.network, tmp_path / "tables")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_tables_and_says_how_many_rows(node: LoneNode, tmp_path: Path) -> None:
    home = stopped_home(node, tmp_path / "home")
    found = told("export", "--format", "parquet", str(tmp_path / "tables"), home=home)
    assert found["rows"]["blocks"] == 13 and (tmp_path / "tables" / "rewards.parquet").exists()
    result = run("export", str(tmp_path / "again"), home=home)
    assert "again/rounds.parquet: 5 rows" in result.stdout
    assert "'csv'" in refused("export", "--format", "csv", str(tmp_path / "c"), home=home)
    with Opened(home) as database:
        assert dict(database.items(b"")) == dict(node.database.items(b""))
