"""An account and its stake, with the proofs that the ledger holds them so."""

from chain.address import to_text
from chain.stakes import NO_KEY, Stake, stake_key, stake_of
from chain.state import NodeRecord, State, account_key
from chain.tree import prove
from node.api.block_answers import Json
from node.facts import unbonding_of, vesting_of
from node.store import Store

# There is no index of nodes by wallet: beyond this many on the whole ledger they are not searched.
NODES_SEARCHED = 10_000


def account_of(store: Store, address: bytes) -> Json:
    """What an address owns and has at stake, at the last finalized block."""
    state, height = store.state(), store.height
    account, stake = state.account(address), stake_of(state, address)
    header = store.header(height)
    return {
        "address": to_text(address),
        "height": height,
        "balance_nanos": str(account.balance),
        "vesting_nanos": str(vesting_of(state, address)),
        "nonce": account.nonce,
        "nodes": nodes_of(store, address) if state.ledger.nodes <= NODES_SEARCHED else None,
        "stake": stake_fields(state, address, stake) | {"proof": proven(store, state, stake_key(address))},
        "proof": proven(store, state, account_key(address))
        | {
            "header": None if header is None else header.encode().hex(),
            "certificate": None if header is None else store.certificate(height).hex(),
        },
    }


def stake_fields(state: State, address: bytes, stake: Stake) -> Json:
    return {
        "bonded_nanos": str(stake.bonded),
        "leaving_nanos": str(stake.leaving),
        "power_nanos": str(stake.power),
        "unbonding": [
            {"amount_nanos": str(amount), "ready_epoch": ready} for amount, ready in unbonding_of(state, address, stake)
        ],
        "jailed_until_epoch": stake.jailed_until or None,
        "banned": bool(stake.tombstoned),
        "validator_key": None if stake.public_key == NO_KEY else stake.public_key.hex(),
    }


def proven(store: Store, state: State, key: bytes) -> Json:
    """What the state holds under a key, and why the state root says so."""
    root, value = store.tip().state_root, state.get(key)
    return {
        "key": key.hex(),
        "value": None if value is None else value.hex(),
        "state_root": root.hex(),
        "state_proof": prove(root, key, store.node).encode().hex(),
    }


def nodes_of(store: Store, address: bytes) -> list[str]:
    """The nodes that earn for this address."""
    return [
        key[2:].hex()
        for key, value in store.database.items(b"sn")
        if (record := NodeRecord.decode(value)).wallet == address and not record.retired_height
    ]
