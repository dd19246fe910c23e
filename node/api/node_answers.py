"""Nodes as the ledger knows them: whose they are, what audits made of them, what of their rewards vests."""

from itertools import islice

from chain.address import to_text
from chain.audit_draw import audit_share
from chain.state import NodeRecord, State, node_key
from node.api.account_answers import vesting_parts
from node.api.block_answers import Json
from node.api.faults import Refusal
from node.store import Store

NAMED = 5  # nodes that begin alike, in the words of a refusal
ID_BYTES = 32


def nodes_page(store: Store, address: bytes, limit: int, cursor: bytes | None) -> Json:
    """The nodes that a wallet registered, by id, from the cursor's on."""
    wanted = (node for node in store.nodes_of(address) if cursor is None or node >= cursor)
    found, state = list(islice(wanted, limit + 1)), store.state()
    return {
        "address": to_text(address),
        "nodes": [node_fields(store, state, node) for node in found[:limit]],
        "next_cursor": found[limit].hex() if len(found) > limit else None,
    }


def node_of(store: Store, prefix: str) -> Json:
    """The node whose id begins so. Raises Refusal if none does, or several do."""
    whole = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
    keys = (key[-ID_BYTES:] for key, _ in store.database.items(b"s" + node_key(whole)))
    found = list(islice((node for node in keys if node.hex().startswith(prefix)), NAMED))
    if not found:
        raise Refusal(404, f"no node is registered whose id begins with {prefix}")
    if len(found) > 1:
        named = ", ".join(node.hex()[: len(prefix) + 8] for node in found)
        raise Refusal(409, f"several nodes begin with {prefix}: write more of the id ({named})", "ambiguous")
    return node_fields(store, store.state(), found[0])


def node_fields(store: Store, state: State, node: bytes) -> Json:
    record = state.need(NodeRecord, node_key(node))
    return {
        "node": node.hex(),
        "wallet": to_text(record.wallet),
        "public_key": record.public_key.hex(),
        "registered_height": record.registered_height,
        "retired": bool(record.retired_height),
        "retired_height": record.retired_height or None,
        "validator_intent": bool(record.validator_intent),
        "proofs": record.proofs,
        "counted_rounds": record.counted_rounds,
        "last_round": record.committed_round or None,
        "passes": record.audited_rounds,
        "audit_share_basis_points": audit_share(record, store.network.params),
        "suspended_until_round": record.suspended_round or None,
        "vesting_nanos": str(sum(amount for *_, amount in vesting_parts(state, [node]))),
    }
