"""How much an epoch's verified work earns, in integers.

The base rate is paid up to `base_work_batches`; above it the budget grows with the square root of the work.
"""

from collections.abc import Sequence
from math import isqrt

from chain.genesis import Params


def training_budget(work_batches: int, params: Params) -> int:
    """Nanos that an epoch mints for `work_batches` standard batches."""
    base_budget = params.base_work_batches * params.rate_batch_nanos
    if work_batches <= params.base_work_batches:
        return work_batches * params.rate_batch_nanos
    return base_budget * isqrt(work_batches * params.base_work_batches) // params.base_work_batches


def divide(budget: int, shares: Sequence[int]) -> list[int]:
    """Split `budget` in proportion to `shares`, exactly: largest remainders get the odd nanos, earlier shares first."""
    total = sum(shares)
    if total == 0:
        return [0 for _ in shares]
    parts = [budget * share // total for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: (-(budget * shares[i] % total), i))
    for i in by_remainder[: budget - sum(parts)]:
        parts[i] += 1
    return parts
