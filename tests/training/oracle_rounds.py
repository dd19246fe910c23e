"""Rounds of every rule, computed by the oracle and kept in tests/vectors.

Run as a program it rewrites them: `python -m tests.training.oracle_rounds`.
"""

import json
from fractions import Fraction
from hashlib import shake_256
from pathlib import Path
from struct import pack

from tests.training.oracle import State, encode_payload, fl32, floats, outer_root, step

VECTORS = Path(__file__).parents[1] / "vectors"
SIZES = (700, 256, 1, 257)
RULES = {"mean": 0, "trimmed_mean": 1, "krum": 2, "coordinate_median": 3, "clip_trust": 4}
WHOLE, EIGHTHS = 8, 7
# Who is counted in each round. Nodes come late, stay away and return; node 2 is slow and node 4 lies.
ROUNDS = (
    (0,),
    (0, 1),
    (0, 1, 2),
    (0, 1, 2, 3),
    (0, 1, 2, 3, 4),
    (1, 2, 3, 4, 5),
    (0, 1, 2, 3, 4, 5, 6, 7),
    (0, 1, 2, 5, 6, 8),
)
STEPS = {2: 5}
# What all share lies less than 2^(24 - 1 + exponent) away from the weights; in the last round that saturates blocks.
EXPONENTS = (-28, -28, -30, -26, -32, -27, -28, -21)

# node, steps, what training added to the weights, one after the other
Trained = tuple[bytes, int, tuple[bytes, bytes]]


def born(name: str, exponents: range) -> bytes:
    """Single-precision numbers of both signs from SHAKE-256(name), spread over these powers of two."""
    count = sum(SIZES)
    draw = shake_256(name.encode()).digest(8 * count)
    words = [int.from_bytes(draw[i : i + 8], "big") for i in range(0, 8 * count, 8)]
    return b"".join(
        pack("<f", (-1) ** (w & 1) * (w >> 40) * 2.0 ** exponents[(w >> 1) % len(exponents)]) for w in words
    )


def recorded_inputs() -> tuple[bytes, list[list[Trained]]]:
    """The first weights, and for each round who trained, for how long, and by what: what all share, and their own."""
    rounds = []
    for number, (nodes, top) in enumerate(zip(ROUNDS, EXPONENTS, strict=True)):
        shared = born(f"round {number}", range(-44, top))
        against = b"".join(pack("<f", -each) for each in floats(shared))
        rounds.append(
            [
                (
                    node.to_bytes(32, "big"),
                    STEPS.get(node, WHOLE),
                    (against if node == 4 else shared, born(f"round {number} node {node}", range(-44, top))),
                )
                for node in nodes
            ]
        )
    return born("weights", range(-32, -24)), rounds


def trained(weights: bytes, offset: bytes) -> bytes:
    """Where an inner loop ended: fl32(W + offset)."""
    pairs = zip(floats(weights), floats(offset), strict=True)
    return b"".join(pack("<f", float(fl32(Fraction(w) + Fraction(o)))) for w, o in pairs)


def recorded(rule: int) -> tuple[bytes, State, list[str]]:
    """All payloads joined, the last state, and the outer root before each round and after the last."""
    weights, rounds = recorded_inputs()
    state: State = (weights, [0] * sum(SIZES), b"", {})
    roots, kept = [outer_root(state, SIZES).hex()], b""
    for round_trained in rounds:
        counted = []
        for node, steps, (shared, own) in round_trained:
            end = trained(trained(state[0], shared), own)
            counted.append((node, steps, encode_payload(floats(state[0]), floats(end), SIZES)))
        kept += b"".join(payload for _, _, payload in counted)
        state = step(state, counted, SIZES, (rule, WHOLE, EIGHTHS))
        roots.append(outer_root(state, SIZES).hex())
    return kept, state, roots


def record() -> None:
    """Write the roots of every rule, and payloads and last aggregate of clip_trust."""
    found = {name: recorded(rule) for name, rule in RULES.items()}
    payloads, state, _ = found["clip_trust"]
    (VECTORS / "payload_rounds.bin").write_bytes(payloads)
    (VECTORS / "round_aggregate.bin").write_bytes(state[2])
    roots = {name: each for name, (_, _, each) in found.items()}
    (VECTORS / "round_roots.json").write_text(json.dumps({"outer_roots": roots}, indent=1) + "\n")


if __name__ == "__main__":
    record()
