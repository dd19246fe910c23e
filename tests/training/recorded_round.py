"""The recorded rounds with the fast code. As a program it prints the roots, for runs under other processor features."""

import sys
from collections.abc import Sequence

import numpy as np

from chain.crypto.hashing import merkle_root, tagged_hash
from tests.training import oracle, oracle_rounds
from training.outer import Entry, OuterRate, OuterSpec, OuterState, genesis_state, outer_step, roots
from training.payload import encode_payload
from training.robust import RULE_NAMES

RATES = tuple(OuterRate(*entry) for entry in oracle.RATES)
SPEC = OuterSpec(round_steps=1, rates=RATES)


def entries(payloads: Sequence[bytes]) -> list[Entry]:
    """Payloads of nodes that have done the whole round, in the order of their ids."""
    return [Entry(index.to_bytes(32, "big"), payload, 1) for index, payload in enumerate(payloads)]


def replay(rule: int) -> tuple[bytes, OuterState, list[str]]:
    """All payloads joined, the last state, and the outer root before each round and after the last."""
    first, rounds = oracle_rounds.recorded_inputs()
    spec = OuterSpec(oracle_rounds.WHOLE, RATES, rule, oracle_rounds.EIGHTHS)
    state = genesis_state(np.frombuffer(first, dtype="<f4"))
    found, joined = [root_of(state).hex()], b""
    for trained in rounds:
        counted = []
        for node, steps, (shared, own) in trained:
            end = state.weights + np.frombuffer(shared, dtype="<f4") + np.frombuffer(own, dtype="<f4")
            counted.append(Entry(node, encode_payload(state.weights, end, oracle_rounds.SIZES), steps))
        state = outer_step(state, counted, oracle_rounds.SIZES, spec)
        joined += b"".join(bytes(entry.payload) for entry in counted)
        found.append(root_of(state).hex())
    return joined, state, found


def root_of(state: OuterState) -> bytes:
    """The outer root of a state of the recorded model."""
    return roots(state, oracle_rounds.SIZES, merkle_root, tagged_hash).outer_root


def all_roots() -> dict[str, list[str]]:
    """Of every rule."""
    return {name: replay(rule)[2] for rule, name in enumerate(RULE_NAMES)}


if __name__ == "__main__":
    for name, found in all_roots().items():
        sys.stdout.write(" ".join([name, *found]) + "\n")
