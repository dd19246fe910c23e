"""A tiny model whose roots stand in a genesis, and proofs that somebody holds it."""

from dataclasses import replace
from functools import cache
from hashlib import shake_256
from typing import Any

from chain.audit_messages import LEAF_BYTES, StorageProof
from chain.crypto.hashing import ZERO, leaf_hash, merkle_root, root_of_hashes
from chain.crypto.merkle_path import inclusion_path
from chain.genesis import Network, Parameter, genesis_state, parse_network
from chain.services import STORAGE_KEY, Storage, fragment_leaves, holder_key
from chain.state import NodeRecord, State, node_key
from chain.storage import holders_of, open_storage, storage, storage_seat
from tests.builders import ALICE, NO_SIGNATURE, Key, a_network, named

MODEL = {
    "vocabulary": 40, "width": 16, "layers": 2, "heads": 2, "kv_heads": 1, "ffn_width": 24, "context": 8,
    "rope_base": 10_000,
}  # fmt: skip


@cache
def fragments() -> tuple[bytes, ...]:
    """The bytes of each fragment: the last leaf of each is short, as in a real model."""
    return tuple(
        shake_256(bytes([place])).digest(LEAF_BYTES * count - 100) for place, count in enumerate(fragment_leaves(MODEL))
    )


def leaves_of(fragment: bytes) -> list[bytes]:
    return [fragment[at : at + LEAF_BYTES] for at in range(0, len(fragment), LEAF_BYTES)]


def hashes_of(fragment: bytes) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in leaves_of(fragment)]


def roots() -> list[bytes]:
    return [root_of_hashes(hashes_of(fragment)) for fragment in fragments()]


def a_model_network(**params: int) -> Network:
    """Its genesis's model is `fragments()`."""
    network = a_network(**params)
    numbers = tuple(Parameter(f"model.{name}".encode(), MODEL[name]) for name in MODEL)
    parameters = tuple(sorted((*network.parameters, *numbers), key=lambda each: each.name))
    start = replace(network.start, model_root=merkle_root(roots()))
    return parse_network(replace(network, parameters=parameters, start=start).file_bytes())


def with_nodes(network: Network, known: list[Key], idle: list[Key]) -> State:
    """An epoch in which these are registered; the known ones have worked and stood an audit."""
    state = genesis_state(network)
    for key in (*known, *idle):
        worked = int(key in known)
        record = NodeRecord(key.public, ALICE.address, 1, 0, False, 0, worked, worked, 0, 0, ZERO, 0, ZERO, 0, 0)
        state.put(node_key(key.node), record)
    state.update_ledger(nodes=len(known) + len(idle), veterans=len(known))
    next_epoch(state, 1)
    return state


def next_epoch(state: State, number: int) -> None:
    for node, _ in list(holders_of(state)):
        state.delete(holder_key(node))  # as settlement does
    state.update_ledger(mix=named(f"epoch {number}"))
    open_storage(state, number, 8 * number, 1_000_000 + 8_000 * number)


def opened(state: State) -> Storage:
    return state.need(Storage, STORAGE_KEY)


def a_storage_proof(state: State, chain_id: bytes, key: Key, params: Any, **changes: Any) -> StorageProof:
    """Signed over what is named; without a seat it shows some leaf."""
    seat = storage_seat(state, key.node, params)
    fragment, leaf = (0, 0) if seat is None else (seat.fragment, seat.leaf)
    held = fragments()[fragment]
    draft = StorageProof(
        round=state.ledger.round,
        epoch=storage(state).epoch,
        node=key.node,
        leaf=leaves_of(held)[leaf],
        leaf_path=inclusion_path(hashes_of(held), leaf),
        fragment_path=inclusion_path([leaf_hash(root) for root in roots()], fragment),
        signature=NO_SIGNATURE,
    )
    draft = replace(draft, **changes)
    if "signature" in changes:
        return draft
    return replace(draft, signature=key.sign(draft.digest(chain_id)))
