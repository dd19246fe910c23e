"""The ledger as Parquet tables. Start reading at `export`.

Receipts are no part of a block, so every block is executed again from the genesis. Rows are written a group at a time:
memory follows the size of the state and not the length of the ledger.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chain.genesis import Network
from chain.receipts import RoundClosed, RoundVoid
from chain.transition import Applied
from node.archive import Replay, check_whole
from node.archive_stored import Progress, silent, tip_of
from node.archive_tables import SCHEMAS, Row, block_row, ended_row, proof_rows, reward_rows, round_row, transaction_rows
from node.errors import NodeError, disk_advice
from node.finished_folder import finish, new_draft
from node.key_value import KeyValue

GROUP_ROWS = 16_384
NOTE = "export.json"
FORM = {"version": "2.6", "compression": "zstd"}


@dataclass(slots=True)
class Table:
    """One file and the rows that are not written yet."""

    writer: pq.ParquetWriter
    schema: pa.Schema
    rows: list[Row] = field(default_factory=list)
    count: int = 0

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.count += 1
        if len(self.rows) == GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a row group."""
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
            self.rows = []


class Export:
    """The open tables of one export."""

    def __init__(self, folder: Path, network: Network, stack: ExitStack) -> None:
        self.network = network
        self.tables = {
            name: Table(stack.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema, **FORM)), schema)
            for name, schema in SCHEMAS.items()
        }

    def hear(self, applied: Applied) -> None:
        """Add what a block says and brings about."""
        block, chain_id, tables = applied.block, self.network.chain_id, self.tables
        height = block.header.height
        tables["blocks"].add(block_row(block))
        for row in transaction_rows(applied, chain_id):
            tables["transactions"].add(row)
        for row in proof_rows(block, chain_id):
            tables["proofs"].add(row)
        for row in reward_rows(height, applied.receipts):
            tables["rewards"].add(row)
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed | RoundVoid):
                tables["rounds"].add(ended_row(applied.state, receipt, height))

    def end(self, replay: Replay) -> dict[str, int]:
        """Add the rounds that have not ended; rows of each table."""
        state = replay.state
        for number in range(state.ledger.ended_round + 1, state.ledger.round + 1):
            current = state.round(number)
            if current is not None:
                self.tables["rounds"].add(round_row(state, current, None))
        for table in self.tables.values():
            table.flush()
        return {name: table.count for name, table in self.tables.items()}


def export(database: KeyValue, network: Network, target: Path, progress: Progress = silent) -> dict[str, int]:
    """Write the tables of the whole ledger into a new folder; rows of each. Raises ArchiveDiffers or NodeError."""
    check_whole(database)
    folder = new_draft(target, "*.parquet", NOTE)
    try:
        with ExitStack() as stack:
            tables = Export(folder, network, stack)
            replay = Replay(database, network, None, every_certificate=False)
            replay.hear.append(tables.hear)
            tip = tip_of(database)
            replay.follow(tip, progress)
            rows = tables.end(replay)
        note = {
            "chain_id": network.chain_id.hex(),
            "height": tip,
            "state_root": replay.counts.state_root,
            "rows": rows,
        }
        (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n")
    except OSError as error:
        raise NodeError(f"cannot write the tables in {folder}: {disk_advice(error)}") from error
    except pa.ArrowInvalid as error:
        raise NodeError(f"an amount does not fit a table: {error}") from error
    finish(target)
    return rows
