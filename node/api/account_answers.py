"""An account and its stake, with the proofs that the ledger holds them so; its nodes, and what it earned by the day."""

from collections.abc import Sequence
from datetime import date
from itertools import islice, pairwise

from chain.address import to_text
from chain.audit_records import held_rounds
from chain.stakes import NO_KEY, Stake, stake_key, stake_of
from chain.state import NodeRecord, State, Vesting, account_key, node_key, vesting_key
from chain.tree import prove
from node.api.block_answers import Json
from node.facts import unbonding_of, vesting_of
from node.receipt_index import SUMS, Sums, day_at
from node.store import Store

NODES_TOLD = 256  # of a wallet in its account; `/nodes` pages through all
VESTING_TOLD = 64
LAST_DATE = date.max.toordinal() - date(1970, 1, 1).toordinal()


def account_of(store: Store, address: bytes, waiting: Sequence[tuple[int, bytes]] = ()) -> Json:
    """What an address owns and has at stake, at the last finalized block.

    `waiting`: nonce and id of the transactions that it has in the mempool, by nonce.
    """
    state, height = store.state(), store.height
    account, stake = state.account(address), stake_of(state, address)
    header = store.header(height)
    nodes = list(islice(store.nodes_of(address), NODES_TOLD + 1))
    is_told = len(nodes) <= NODES_TOLD
    parts = vesting_parts(state, nodes) if is_told else []
    ahead = [(nonce, identity) for nonce, identity in waiting if nonce >= account.nonce]
    return {
        "address": to_text(address),
        "height": height,
        "balance_nanos": str(account.balance),
        "vesting_nanos": str(sum(amount for *_, amount in parts) if is_told else vesting_of(state, address)),
        "vesting": [vesting_fields(store, *part) for part in parts[:VESTING_TOLD]],
        "earned_nanos": str(store.sums_of(address, day_at(header.time_ms) if header else None).minted),
        "nonce": account.nonce,
        "next_nonce": ahead[-1][0] + 1 if ahead else account.nonce,
        "waiting": [identity.hex() for _, identity in ahead],
        "nodes": [node.hex() for node in nodes if _is_active(state, node)] if is_told else None,
        "stake": stake_fields(state, address, stake) | {"proof": proven(store, state, stake_key(address))},
        "proof": proven(store, state, account_key(address))
        | {
            "header": None if header is None else header.encode().hex(),
            "certificate": None if header is None else store.certificate(height).hex(),
        },
    }


def _is_active(state: State, node: bytes) -> bool:
    return not state.need(NodeRecord, node_key(node)).retired_height


def vesting_parts(state: State, nodes: Sequence[bytes]) -> list[tuple[int, bytes, int]]:
    """(round, node, nanos) of the rewards of these nodes that are not released, also of those that an audit holds."""
    ledger, found = state.ledger, []
    for node in nodes:
        for number in (*held_rounds(state, node), *range(ledger.released_round + 1, ledger.settled_round + 1)):
            record = state.find(Vesting, vesting_key(number, node))
            if record is not None and record.amount:
                found.append((number, node, record.amount))
    return sorted(found)


def vesting_fields(store: Store, number: int, node: bytes, amount: int) -> Json:
    release = number + store.network.params.vest_rounds
    return {"round": number, "node": node.hex(), "amount_nanos": str(amount), "releases_after_round": release}


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


# ---- By the day


def earnings_of(store: Store, address: bytes, days: int) -> Json:
    """What an address was paid and lost on each of the last days, the newest block's among them."""
    today = day_at(store.tip().time_ms)
    before_first = today - days
    records: list[tuple[int, Sums]] = []  # newest first, and one from before these days
    for record in store.sums_by_day(address):
        records.append(record)
        if record[0] <= before_first:
            break
    else:
        records.append((-1, Sums()))
    found = [(day, _less(after, before)) for (day, after), (_, before) in pairwise(records)]
    return {
        "address": to_text(address),
        "from_height": store.receipts_from,
        "last_day": day_name(today),
        "days": [{"day": day_name(day), **sums_fields(sums)} for day, sums in reversed(found)],
        "total": sums_fields(_less(records[0][1], records[-1][1])),
    }


def _less(after: Sums, before: Sums) -> Sums:
    return Sums(**{name: getattr(after, name) - getattr(before, name) for name in SUMS})


def sums_fields(sums: Sums) -> Json:
    return {f"{name}_nanos": str(getattr(sums, name)) for name in SUMS}


def day_name(day: int) -> str:
    """As the calendar has it, which knows only so many."""
    return date.fromordinal(min(day, LAST_DATE) + date(1970, 1, 1).toordinal()).isoformat()
