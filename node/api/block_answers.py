"""Blocks and transactions of the finalized ledger as JSON objects."""

from typing import Any

from chain.address import address_of, to_text
from chain.audit_messages import (
    AuditVote,
    DataReceipt,
    PlantReveal,
    SegmentOpening,
    StorageProof,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import AvailabilityVote, Block, Header, PayloadCommit, PayloadReveal, Proof, ResultVote, RoundInput
from chain.transactions import Transaction
from node.api.action_answers import action_fields
from node.api.faults import Refusal
from node.store import Store, Stored

Json = dict[str, Any]
INDEX_HEAD = 1 + 21  # the namespace and the address of an entry of the index by address
READ_BYTES_MAXIMUM = 2_000_000  # of blocks for one page of a wallet: whose are large gets fewer entries at once


def block_page(store: Store, limit: int, cursor: int | None) -> Json:
    """Blocks below the cursor's height, newest first."""
    newest = store.height if cursor is None else min(cursor - 1, store.height)
    lowest = store.pruned_height
    heights = range(newest, max(newest - limit, lowest), -1)
    blocks = [summary(need(store, height).block) for height in heights]
    return {"blocks": blocks, "next_cursor": str(heights[-1]) if heights and heights[-1] > lowest + 1 else None}


def need(store: Store, height: int) -> Stored:
    stored = store.block(height)
    if stored is None and 1 <= height <= store.pruned_height:
        raise Refusal(404, f"this node keeps no blocks up to {store.pruned_height}; ask an archive for block {height}")
    if stored is None:
        raise Refusal(404, f"there is no finalized block {height}; the newest is {store.height}")
    return stored


def summary(block: Block) -> Json:
    header = block.header
    return {
        "height": header.height,
        "hash": header.hash().hex(),
        "time_ms": header.time_ms,
        "state_root": header.state_root.hex(),
        "minted_nanos": str(header.minted),
        "burned_nanos": str(header.burned),
        "proofs": len(block.body.proofs),
        "transactions": len(block.body.transactions),
        "round_inputs": len(block.body.rounds),
    }


def whole_block(store: Store, name: int | bytes) -> Json:
    """A block by height or hash, with everything in it."""
    height = store.height_of(name) if isinstance(name, bytes) else name
    if height is None:
        raise Refusal(404, "there is no finalized block of this hash")
    stored = need(store, height)
    header, body = stored.block.header, stored.block.body
    chain_id = store.network.chain_id
    return {
        **header_fields(header),
        "header": header.encode().hex(),
        "certificate": stored.certificate.hex(),
        "transactions": [
            transaction_fields(transaction, chain_id, header, index)
            for index, transaction in enumerate(body.transactions)
        ],
        "proofs": [proof_fields(proof, chain_id, height, index) for index, proof in enumerate(body.proofs)],
        "round_inputs": [input_fields(item) for item in body.rounds],
    }


def header_fields(header: Header) -> Json:
    return {
        "height": header.height,
        "hash": header.hash().hex(),
        "epoch": header.epoch,
        "view": header.view,
        "parent_hash": header.parent_hash.hex(),
        "time_ms": header.time_ms,
        "proposer": header.proposer,
        "state_root": header.state_root.hex(),
        "minted_nanos": str(header.minted),
        "burned_nanos": str(header.burned),
    }


def proof_fields(proof: Proof, chain_id: bytes, height: int, index: int) -> Json:
    return {
        "id": proof.id(chain_id).hex(),
        "height": height,
        "index": index,
        "node": proof.node.hex(),
        "wallet": to_text(proof.wallet),
        "round": proof.round,
        "segment": proof.segment,
        "batches": proof.batches,
        "tokens": proof.tokens,
        "loss_milli": proof.loss_milli,
        "base_root": proof.base_root.hex(),
        "state_before": proof.state_before.hex(),
        "state_after": proof.state_after.hex(),
        "time_ms": proof.time_ms,
    }


def input_fields(item: RoundInput) -> Json:
    """What an input says; null where its kind says nothing of the sort."""
    root: bytes | None = None
    match item:
        case PayloadCommit():
            kind, who, root = "commit", item.node.hex(), item.commitment
        case PayloadReveal():
            kind, who, root = "reveal", item.node.hex(), item.payload_root
        case AvailabilityVote():
            kind, who = "availability_vote", str(item.validator)
        case ResultVote():
            kind, who, root = "result_vote", str(item.validator), item.outcome.outer_root
        case SegmentOpening():
            kind, who, root = "segment_opening", item.node.hex(), item.after.theta_root
        case VerdictCommit():
            kind, who, root = "verdict_commit", str(item.validator), item.commitment
        case VerdictReveal():
            kind, who = "verdict_reveal", str(item.validator)
        case PlantReveal():
            kind, who = "plant_reveal", item.node.hex()
        case AuditVote():
            kind, who = "audit_vote", str(item.validator)
        case StorageProof():
            kind, who = "storage_proof", item.node.hex()
        case DataReceipt():
            kind, who = "data_receipt", item.trainer.hex()
    return {"kind": kind, "round": item.round, "by": who, "root": None if root is None else root.hex()}


def transaction_fields(
    transaction: Transaction, chain_id: bytes, header: Header | None = None, index: int | None = None
) -> Json:
    """A transaction that stands in a block, or waits for one."""
    return {
        "id": transaction.id(chain_id).hex(),
        "status": "waiting" if header is None else "final",
        "height": None if header is None else header.height,
        "index": index,
        "time_ms": None if header is None else header.time_ms,
        "sender": to_text(address_of(transaction.sender)),
        "nonce": transaction.nonce,
        "max_fee_nanos": str(transaction.max_fee),
        "tip_nanos": str(transaction.tip),
        "action": action_fields(transaction.action),
        "transaction": transaction.encode().hex(),
    }


def transaction_of(store: Store, identity: bytes) -> Json | None:
    """A finalized transaction by its id."""
    height = store.height_of_transaction(identity)
    return None if height is None else _transactions(store, height, {identity})[identity]


def _transactions(store: Store, height: int, wanted: set[bytes]) -> dict[bytes, Json]:
    """These of one block, by id: the others may be thousands."""
    block, chain_id = need(store, height).block, store.network.chain_id
    identified = ((each.id(chain_id), each, index) for index, each in enumerate(block.body.transactions))
    return {
        identity: transaction_fields(transaction, chain_id, block.header, index)
        for identity, transaction, index in identified
        if identity in wanted
    }


def transactions_page(store: Store, address: bytes, limit: int, cursor: bytes | None) -> Json:
    """What an address sent or received, newest first. The cursor is the end of the last entry's key in the index."""
    head = b"i" + address
    end = head + (cursor or b"\xff" * 41)
    found: list[bytes] = []
    for key, _ in store.database.descending(head, end):
        found.append(key[INDEX_HEAD:])
        if len(found) > limit:
            break
    blocks: dict[int, dict[bytes, Json]] = {}
    entries, read_bytes = [], 0
    for place in found[:limit]:
        height, identity = int.from_bytes(place[:8], "big"), place[8:]
        if height not in blocks:
            shown = {each[8:] for each in found[:limit] if each[:8] == place[:8]}
            if read_bytes > READ_BYTES_MAXIMUM:
                break
            blocks = {height: _transactions(store, height, shown)}
            read_bytes += len(store.encoded_block(height) or b"")
        entries.append(blocks[height][identity])
    return {
        "transactions": entries,
        "next_cursor": found[len(entries) - 1].hex() if len(found) > len(entries) else None,
    }
