"""Invented rounds for the tests of the rules: payloads with a common direction, liars, steps, and records of trust."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tests.training import oracle, oracle_robust
from tests.training.pseudo_gradients import deltas
from training.outer import Entry, OuterSpec
from training.payload import encode_payload
from training.trust import Trust

SIZES = (300, 17)
KINDS = ("zeros", "denormals", "half a unit", "ties", "saturating", "trained", "any size")


def node(number: int) -> bytes:
    return number.to_bytes(32, "big")


def published(delta: np.ndarray, sizes: Sequence[int] = SIZES) -> bytes:
    """The payload of a node whose pseudo-gradient this is."""
    return encode_payload(delta.astype(np.float32), np.zeros(sum(sizes), np.float32), sizes)


def honest(count: int, seed: int, sizes: Sequence[int] = SIZES, noise: float = 1.0) -> list[np.ndarray]:
    """Pseudo-gradients that share a direction."""
    chance = np.random.default_rng(seed)
    common = chance.standard_normal(sum(sizes))
    return [0.003 * (common + noise * chance.standard_normal(sum(sizes))) for _ in range(count)]


def entries_of(payloads: Sequence[bytes], steps: Sequence[int]) -> list[Entry]:
    """Nodes 0, 1, ..."""
    return [
        Entry(node(place), payload, each) for place, (payload, each) in enumerate(zip(payloads, steps, strict=True))
    ]


@st.composite
def records(draw: st.DrawFn, nodes: int) -> tuple[Trust, ...]:
    """Records of some of these nodes and of others."""
    chosen = draw(st.sets(st.integers(0, nodes + 2)))
    score = st.one_of(st.integers(-3, 3), st.integers(-(1 << 16), 1 << 16), st.integers(30_000, 60_000))
    return tuple(
        Trust(node(each), draw(score), draw(st.integers(1, 9)), draw(st.sampled_from((0, 1, 62, 63))), 0)
        for each in sorted(chosen)
    )


@st.composite
def counted(draw: st.DrawFn, steps: int, most: int = 12) -> list[Entry]:
    """1 to `most` payloads: related, zero, alike, or of any scale."""
    count = draw(st.integers(1, most))
    kind = draw(st.sampled_from(("related", "alike", "edges", "liars")))
    if kind == "edges":
        bodies = [draw(deltas(SIZES, ("zeros", "half a unit", "saturating", "trained"))) for _ in range(count)]
    else:
        bodies = honest(count, draw(st.integers(0, 1 << 32)), noise=0.0 if kind == "alike" else 1.0)
    if kind == "liars":
        for place in range(draw(st.integers(0, count // 2))):
            bodies[place] = bodies[place] * draw(st.sampled_from((0.0, -1.0, -10.0, 1e-4, 1e6)))
    some = st.integers(1, steps) if draw(st.booleans()) else st.just(steps)
    return entries_of([published(body) for body in bodies], [draw(some) for _ in range(count)])


def by_oracle(entries: Sequence[Entry], trust: Sequence[Trust], spec: OuterSpec) -> tuple[bytes, bytes]:
    """The aggregate and the bytes of the records after the round, as the oracle has them."""
    given = [(each.node, each.steps, oracle.decode(each.payload, SIZES, 7)) for each in entries]
    known = {each.node: (each.score, each.rounds, each.absent, each.weight_ppm) for each in trust}
    found, after = oracle_robust.outer_input(given, known, (spec.rule, spec.round_steps, spec.length_eighths))
    encoded = oracle.encode([oracle.Fraction(value) for value in found], SIZES, 127)
    return encoded, oracle_robust.records_bytes(after)
