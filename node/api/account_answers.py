"""An account with the proof that the ledger holds it so."""

from chain.address import to_text
from chain.state import NodeRecord, account_key
from chain.tree import prove
from node.api.block_answers import Json
from node.facts import vesting_of
from node.store import Store

# There is no index of nodes by wallet: beyond this many on the whole ledger they are not searched.
NODES_SEARCHED = 10_000


def account_of(store: Store, address: bytes) -> Json:
    """What an address owns, at the last finalized block."""
    state, tip = store.state(), store.tip()
    account = state.account(address)
    header = store.header(tip.height)
    key = account_key(address)
    value = state.get(key)
    proof = prove(tip.state_root, key, store.node)
    return {
        "address": to_text(address),
        "height": tip.height,
        "balance_nanos": str(account.balance),
        "vesting_nanos": str(vesting_of(state, address)),
        "nonce": account.nonce,
        "nodes": nodes_of(store, address) if state.ledger.nodes <= NODES_SEARCHED else None,
        "proof": {
            "key": key.hex(),
            "value": None if value is None else value.hex(),
            "state_root": tip.state_root.hex(),
            "state_proof": proof.encode().hex(),
            "header": None if header is None else header.encode().hex(),
            "certificate": None if header is None else store.certificate(tip.height).hex(),
        },
    }


def nodes_of(store: Store, address: bytes) -> list[str]:
    """The nodes that earn for this address."""
    return [
        key[2:].hex()
        for key, value in store.database.items(b"sn")
        if (record := NodeRecord.decode(value)).wallet == address and not record.retired_height
    ]
