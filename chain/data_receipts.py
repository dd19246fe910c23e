"""Data: a newcomer's drawn provider serves it the corpus, and its trainer says so. Start at `apply_data_receipt`.

Trainer and provider may be one person under two names, and nobody can tell. So a trainer has one provider for ever,
drawn by the mix of its first round from nodes that had committed before that; each shard counts once; and all that a
trainer's receipts of a round can earn is bounded by the sequences of that round's paid training.
"""

from dataclasses import dataclass

from chain.audit_messages import DataReceipt
from chain.crypto import ecdsa
from chain.crypto.hashing import tagged_hash
from chain.errors import BadSignature, InvalidRoundInput
from chain.genesis import Params
from chain.services import Fetched, Served, fetched_key, served_key
from chain.state import (
    RESULT,
    TRAINING,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
)

DATA_ROUNDS = 8  # a node's first ones, in which its receipts count: it needs the corpus once
DRAWS = 64  # tries to find a node of another wallet


def first_round(state: State, number: int, record: NodeRecord) -> Round | None:
    """The first round that a node could take part in, looking back from round `number`; None: that was too long ago."""
    current = state.round(number)
    if current is None or current.opened_height < record.registered_height:
        return None
    for _ in range(DATA_ROUNDS):
        before = state.round(current.number - 1)
        if before is None:
            return None
        if before.opened_height < record.registered_height:
            return current
        current = before
    return None


def provider_of(state: State, number: int, trainer: bytes) -> bytes | None:
    """The node whose service of data to `trainer` is paid, seen from round `number`; None: nobody's."""
    record = state.find(NodeRecord, node_key(trainer))
    first = None if record is None else first_round(state, number, record)
    if record is None or first is None or first.phase < TRAINING:
        return None
    before = state.round(first.number - 1)
    candidates = () if before is None else before.committed
    for attempt in range(DRAWS if candidates else 0):
        digest = tagged_hash("provider", first.mix, trainer, attempt.to_bytes(4, "big"))
        drawn = candidates[int.from_bytes(digest[:8], "big") % len(candidates)]
        if state.need(NodeRecord, node_key(drawn)).wallet != record.wallet:
            return drawn
    return None


def has_fetched(state: State, trainer: bytes, shard: int) -> bool:
    """Whether the ledger has a receipt of this trainer for this shard."""
    known = state.find(Fetched, fetched_key(trainer))
    if known is None or shard >> 3 >= len(known.shards):
        return False
    return bool(known.shards[shard >> 3] >> (shard & 7) & 1)


def forget_fetched(state: State, trainer: bytes) -> None:
    """When a reward of the trainer is released: forget its receipts, unless it may still give some."""
    if state.get(fetched_key(trainer)) is None:
        return
    record = state.find(NodeRecord, node_key(trainer))
    if record is None or first_round(state, state.ledger.round, record) is None:
        state.delete(fetched_key(trainer))


def apply_data_receipt(state: State, item: DataReceipt, chain_id: bytes, params: Params) -> None:
    """Record a receipt. Raises InvalidRoundInput or BadSignature, and then nothing has changed."""
    name, current = f"node {item.trainer.hex()[:16]}", state.round(item.round)
    if item.round != state.ledger.round or current is None or not TRAINING <= current.phase <= RESULT:
        raise InvalidRoundInput(f"round {item.round} takes no receipts")
    if item.shard >= params.corpus_shards:
        raise InvalidRoundInput(f"shard {item.shard} of {params.corpus_shards}")
    record = state.find(NodeRecord, node_key(item.trainer))
    if record is None or state.find(Claim, claim_key(item.round, item.trainer)) is None:
        raise InvalidRoundInput(f"{name} has proven no segment in round {item.round}")
    if has_fetched(state, item.trainer, item.shard):
        raise InvalidRoundInput(f"{name} has given a receipt for shard {item.shard} before")
    if provider_of(state, item.round, item.trainer) != item.provider:
        raise InvalidRoundInput(f"node {item.provider.hex()[:16]} was not drawn to serve {name}")
    if not ecdsa.verify(record.public_key, item.digest(chain_id), item.signature):
        raise BadSignature(f"{name} did not sign this receipt")
    _note(state, item, params)


def _note(state: State, item: DataReceipt, params: Params) -> None:
    known = state.find(Fetched, fetched_key(item.trainer))
    shards = bytearray(-(-params.corpus_shards // 8)) if known is None else bytearray(known.shards)
    shards[item.shard >> 3] |= 1 << (item.shard & 7)
    state.put(fetched_key(item.trainer), Fetched(bytes(shards)))
    served = state.find(Served, served_key(item.round, item.trainer))
    count = 1 if served is None else served.shards + 1
    wallet = state.need(NodeRecord, node_key(item.provider)).wallet
    state.put(served_key(item.round, item.trainer), Served(item.provider, wallet, count))


@dataclass(frozen=True, slots=True)
class Provided:
    """What a provider is paid for."""

    node: bytes
    wallet: bytes
    samples: int


def take_served(state: State, number: int, trainer: bytes, batches: int, params: Params) -> Provided | None:
    """What was served to a claim of a round that is settled, and forgotten by this. `batches`: those that are paid."""
    served = state.find(Served, served_key(number, trainer))
    if served is None:
        return None
    state.delete(served_key(number, trainer))
    # All shards together are worth the sequences that the trainer was paid for.
    return Provided(served.provider, served.wallet, served.shards * batches * params.sequences // params.corpus_shards)
