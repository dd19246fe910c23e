"""The recorded round with the fast code. As a program it prints the roots, for runs under other processor features."""

from collections.abc import Sequence

import numpy as np

from chain.crypto.hashing import merkle_root, tagged_hash
from tests.training import oracle
from training.outer import Entry, OuterRate, OuterSpec, OuterState, genesis_state, outer_step, roots
from training.payload import encode_payload

RATES = tuple(OuterRate(*entry) for entry in oracle.RATES)
SPEC = OuterSpec(round_steps=1, rates=RATES)


def entries(payloads: Sequence[bytes]) -> list[Entry]:
    """Payloads of nodes that have done the whole round, in the order of their ids."""
    return [Entry(index.to_bytes(32, "big"), payload, 1) for index, payload in enumerate(payloads)]


def replay() -> tuple[bytes, OuterState, list[str]]:
    """All payloads joined, the last state, and the outer root before each round and after the last."""
    first, offsets = oracle.recorded_inputs()
    state = genesis_state(np.frombuffer(first, dtype="<f4"))
    found, joined = [root_of(state).hex()], b""
    for round_offsets in offsets:
        ends = [state.weights + np.frombuffer(offset, dtype="<f4") for offset in round_offsets]
        payloads = [encode_payload(state.weights, end, oracle.ROUND_SIZES) for end in ends]
        state = outer_step(state, entries(payloads), oracle.ROUND_SIZES, SPEC)
        joined += b"".join(payloads)
        found.append(root_of(state).hex())
    return joined, state, found


def root_of(state: OuterState) -> bytes:
    """The outer root of a state of the recorded model."""
    return roots(state, oracle.ROUND_SIZES, merkle_root, tagged_hash).outer_root


if __name__ == "__main__":
    print("\n".join(replay()[2]))
