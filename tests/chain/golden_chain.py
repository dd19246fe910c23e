"""A history of fixed keys, and the bytes it must lead to for ever.

Run as a program it prints them as JSON. New ones are approved by writing that over tests/vectors/chain.json.
"""

import json
import os
import sys
from hashlib import sha256
from typing import Any

from chain import codec
from chain.codec import Wire
from consensus.committee import Committee
from node.backends import choose
from tests.builders import (
    ALICE,
    BOB,
    NODE,
    OTHER_NODE,
    Chain,
    a_full_round,
    a_network,
    a_service_payment,
    a_training_chain,
    a_transfer,
    train,
)
from tests.chain.wire_strategies import wire_types


def golden_chain() -> Chain:
    """Two nodes, three validators, closed and void rounds, rewards, payments: every record and receipt occurs."""
    chain = a_training_chain(NODE, OTHER_NODE, network=a_network(validators=3, vest_rounds=1, base_work_batches=10))
    a_full_round(chain, NODE, OTHER_NODE)
    train(chain, NODE, segments=1)
    while not chain.balance(ALICE):
        chain.empty_blocks(1)
    chain.block([a_transfer(chain, 1_000_000, tip=3, max_fee=200), a_service_payment(chain, 12_345, nonce=3)])
    chain.block([a_transfer(chain, 7, payee=ALICE, sender=BOB)])
    chain.end_epoch()
    return chain


def filled(field: Any, seed: bytes) -> Any:
    """A value of a field that depends on `seed` only."""
    seed = sha256(seed).digest()
    match field:
        case codec.Int(size=size):
            return int.from_bytes(seed[:size], "big")
        case codec.AddressField():
            return b"\x00" + seed[:20]
        case codec.Fixed(size=size):
            return (seed * 6)[:size]
        case codec.Bool():
            return bool(seed[0] & 1)
        case codec.Var(maximum=maximum):
            return seed[: min(maximum, 5)]
        case codec.Many(item=item, maximum=maximum):
            return tuple(filled(item, seed + bytes((i,))) for i in range(min(maximum, 2)))
        case codec.OneOf(kinds=kinds):
            return example(kinds[max(kinds)], seed)
        case codec.Nested(kind=kind):
            return example(kind, seed)
    raise TypeError(field)


def example(kind: type[Wire], seed: bytes = b"") -> Wire:
    return kind(*(filled(field, seed + name.encode()) for name, field in codec._layout(kind)))


def vectors() -> dict[str, Any]:
    chain = golden_chain()
    last = chain.blocks[-1].block
    return {
        "chain_id": chain.network.chain_id.hex(),
        "params_hash": chain.network.params_hash.hex(),
        "height": chain.height,
        "state_root": chain.parent.state_root.hex(),
        "last_block": last.header.hash().hex(),
        "blocks_sha256": sha256(b"".join(applied.block.encode() for applied in chain.blocks)).hexdigest(),
        "objects": {kind.__name__: example(kind).encode().hex() for kind in wire_types() if kind is not Committee},
    }


if __name__ == "__main__":
    choose(os.environ)
    json.dump(vectors(), sys.stdout, indent=1)
    sys.stdout.write("\n")
