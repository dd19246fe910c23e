"""Rules on trial, in floating point: what was tried before one became exact in training.robust.

Each maps (inner products of the payloads and, last, of the last aggregate; memory; liars allowed for) to (coefficients
of payloads and last aggregate; memory).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.aggregate import decode8, encode8
from training.outer import Entry, OuterSpec, OuterState, apply_aggregate, rate_for
from training.payload import decode_payload
from training.trust import Trust

Doubles = NDArray[np.float64]
Rule = Callable[[Doubles, Doubles | None, int], tuple[Doubles, Doubles | None]]
TINY = 1e-300


def low_median(x: Doubles) -> float:
    return float(np.sort(x)[(len(x) - 1) // 2])


def length_scale(gram: Doubles, longer: float = 0.0) -> Doubles:
    """What brings payloads to the median norm: shorter in any case, longer by at most a factor."""
    n = len(gram) - 1
    norms = np.sqrt(np.diag(gram)[:n])
    return np.minimum(max(1.0, longer), low_median(norms) / np.maximum(norms, TINY))


def capped(weights: Doubles, cap: float) -> Doubles:
    weights = weights / weights.sum()
    for _ in range(20):
        over = weights > cap + 1e-12
        free = weights < cap - 1e-12
        if not over.any() or not weights[free].sum() > 0:
            break
        spare = (weights[over] - cap).sum()
        weights = np.where(over, cap, weights)
        weights[free] *= 1 + spare / weights[free].sum()
    return weights


def distances(products: Doubles) -> Doubles:
    squares = np.diag(products)
    return np.maximum(squares[:, None] + squares[None] - 2 * products, 0)


def mix_nearest(rows: Doubles, gram: Doubles, count: int, weights: Doubles) -> Doubles:
    apart = distances(rows @ gram @ rows.T)
    np.fill_diagonal(apart, -1)
    out = np.zeros_like(rows)
    for i in range(len(rows)):
        near = np.argsort(apart[i], kind="stable")[:count]
        w = weights[near] if weights[near].sum() > 0 else np.ones(count)
        out[i] = (w[:, None] * rows[near]).sum(0) / w.sum()
    return out


def clip_around(centre: Doubles, rows: Doubles, gram: Doubles, weights: Doubles) -> Doubles:
    for _ in range(3):
        ways = rows - centre
        apart = np.sqrt(np.maximum(np.einsum("ia,ab,ib->i", ways, gram, ways), 0))
        pull = weights * np.minimum(1, low_median(apart) / np.maximum(apart, TINY))
        centre = centre + (pull[:, None] * ways).sum(0)
    return centre


def classic(
    gram: Doubles, memory: Doubles | None, liars: int, neighbours: bool = True, centred: bool = True, trust: bool = True
) -> tuple[Doubles, Doubles | None]:
    """Clip to the median norm, mix neighbours, clip around the last aggregate, trust by cosine with the others' sum."""
    n = len(gram) - 1
    rows = np.zeros((n, n + 1))
    rows[np.arange(n), np.arange(n)] = length_scale(gram)
    score = np.zeros(n) if memory is None else memory
    weights = np.ones(n) / n
    if trust and memory is not None:
        standing = np.clip((score / max(low_median(score), TINY) - 0.25) / 0.5, 0, 1)
        weights = capped(standing if standing.sum() > 0 else np.ones(n), 1.5 / n)
    mixed = mix_nearest(rows, gram, n - liars, weights) if neighbours else rows
    centre = (weights[:, None] * mixed).sum(0)
    if centred:
        start = np.zeros(n + 1)
        start[n] = 1.0
        centre = clip_around(start if gram[n, n] > 0 else mixed[0], mixed, gram, weights)
    cosines = np.zeros(n)
    for i in range(n):
        others = weights.copy()
        others[i] = 0
        rest = others @ rows
        cosines[i] = (
            rows[i] @ gram @ rest / np.sqrt(max(rows[i] @ gram @ rows[i], TINY) * max(rest @ gram @ rest, TINY))
        )
    return centre, cosines if memory is None else 0.875 * score + 0.125 * cosines


@dataclass(frozen=True)
class Agree:
    """Weight by the median cosine with the others, against its median; who says the same counts once.

    low, high: shares of the usual cosine at which a weight leaves zero and is full. once: divide by the number of
    payloads that are more alike than usual, from `apart` of the way between the usual cosine and 1 on. even: all
    payloads at the median norm, up to `even` times longer; if 0, only shortened. trust: how fast a past is forgotten.
    """

    low: float = 0.25
    high: float = 0.75
    once: bool = True
    apart: float = 0.25
    even: float = 4.0
    trust: float = 0.0
    mix: bool = False

    def __call__(self, gram: Doubles, memory: Doubles | None, liars: int) -> tuple[Doubles, Doubles | None]:
        n = len(gram) - 1
        norms = np.sqrt(np.diag(gram)[:n])
        cosines = gram[:n, :n] / np.maximum(norms[:, None] * norms[None], TINY)
        scores = np.array([low_median(np.delete(cosines[i], i)) for i in range(n)])
        usual = max(low_median(scores), 1e-6)
        standing = np.clip((scores / usual - self.low) / (self.high - self.low), 0, 1)
        weights = standing.copy()
        if self.once:
            start = usual + self.apart * (1 - usual)
            alike = np.clip((cosines - start) / (1 - start), 0, 1)
            np.fill_diagonal(alike, 0)
            weights /= 1 + alike.sum(1)
        past = np.ones(n) if memory is None else memory
        if self.trust:
            weights *= past
        weights = capped(weights if weights.sum() > 0 else np.ones(n), 1.5 / n)
        rows = np.zeros((n, n + 1))
        rows[np.arange(n), np.arange(n)] = length_scale(gram, self.even)
        if self.mix:
            rows = mix_nearest(rows, gram, n - liars, weights)
        slow = (1 - self.trust) * past + self.trust * standing
        return weights @ rows, np.where(standing < past, (past + standing) / 2, slow) if self.trust else None


TRIALS: dict[str, Rule] = {
    "try_classic": classic,
    "try_classic_uncentred": partial(classic, centred=False),
    "try_classic_unmixed": partial(classic, neighbours=False),
    "try_classic_untrusting": partial(classic, trust=False),
    "try_agree": Agree(),
    "try_agree_shorter": Agree(even=0),
    "try_agree_tight": Agree(low=0.6, high=0.95),
    "try_agree_often": Agree(once=False),
    "try_agree_apart": Agree(apart=0.5),
    "try_agree_trust": Agree(trust=0.1),
    "try_agree_mix": Agree(mix=True),
}


def trial_step(name: str) -> Callable[[OuterState, Sequence[Entry], Sequence[int], OuterSpec], OuterState]:
    """An outer step by a rule on trial. Its memory hides in the record of trust, as does what each payload weighed."""
    rule = TRIALS[name]

    def step(state: OuterState, entries: Sequence[Entry], sizes: Sequence[int], spec: OuterSpec) -> OuterState:
        entries = sorted(entries, key=lambda entry: entry.node)
        rows: list[Any] = [decode_payload(bytes(entry.payload), sizes) for entry in entries]
        rows.append(decode8(state.aggregate, sizes) if state.aggregate else np.zeros_like(rows[0]))
        numbers = np.stack(rows).astype(np.float64)
        remembered = any(each.score for each in state.trust)
        memory = np.array([each.score / 1e6 for each in state.trust]) if remembered else None
        n = len(entries)
        coefficients, after = rule(numbers @ numbers.T, memory, n // 4)
        aggregate = np.rint(coefficients @ numbers).astype(np.int32)
        kept = np.zeros(n) if after is None else after
        share = coefficients[:n] / max(coefficients[:n].sum(), TINY)
        trust = tuple(
            Trust(
                entry.node, int(1e6 * kept[i]), state.trust[i].rounds + 1 if state.trust else 1, 0, int(1e6 * share[i])
            )
            for i, entry in enumerate(entries)
        )
        if after is None:
            trust = tuple(Trust(each.node, 0, each.rounds, 0, each.weight_ppm) for each in trust)
        return apply_aggregate(state, (encode8(aggregate, sizes), trust), sizes, rate_for(spec.rates, n))

    return step
