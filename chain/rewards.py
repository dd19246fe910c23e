"""How much an epoch's verified work earns, in integers. Start reading at `epoch_rewards`.

Training sets the size of an epoch's emission: the base rate up to `base_work_batches`, above it a budget that grows as
the square root of the work. Uptime, data and audits earn their own base rates, at most a fixed share of the training
emission of the same epoch. What an epoch does not pay out is never paid: these are functions of one epoch and remember
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from chain.genesis import Params

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Work:
    """What was verified in an epoch, one number for each claim."""

    batches: Sequence[int] = ()  # standard batches trained
    milliseconds: Sequence[int] = ()  # of proven uptime
    samples: Sequence[int] = ()  # served to training that was paid
    replays: Sequence[int] = ()  # standard batches that an auditor repeated for verdicts that counted


@dataclass(frozen=True, slots=True)
class Rewards:
    """Nanos for each claim of a `Work`, in its order."""

    training: list[int]
    uptime: list[int]
    data: list[int]
    audits: list[int]

    @property
    def total(self) -> int:
        return sum(map(sum, (self.training, self.uptime, self.data, self.audits)))


def epoch_rewards(work: Work, params: Params) -> Rewards:
    """The whole emission of an epoch: each kind's budget, divided among its claims to the last nano."""
    emission = training_budget(sum(work.batches), params)
    return Rewards(
        divide(emission, work.batches),
        divide(uptime_budget(sum(work.milliseconds), emission, params), work.milliseconds),
        divide(data_budget(sum(work.samples), emission, params), work.samples),
        divide(audit_budget(sum(work.replays), emission, params), work.replays),
    )


def training_budget(work_batches: int, params: Params) -> int:
    """Nanos that an epoch mints for `work_batches` standard batches."""
    base_budget = params.base_work_batches * params.rate_batch_nanos
    if work_batches <= params.base_work_batches:
        return work_batches * params.rate_batch_nanos
    return base_budget * isqrt(work_batches * params.base_work_batches) // params.base_work_batches


def uptime_budget(milliseconds: int, training_nanos: int, params: Params) -> int:
    """Nanos for proven uptime in an epoch whose training earned `training_nanos`."""
    return min(
        milliseconds * params.rate_minute_nanos // MINUTE_MS, training_nanos * params.uptime_basis_points // 10_000
    )


def data_budget(samples: int, training_nanos: int, params: Params) -> int:
    """Nanos for served samples in an epoch whose training earned `training_nanos`."""
    return min(samples * params.rate_sample_nanos, training_nanos * params.data_basis_points // 10_000)


def audit_budget(replays: int, training_nanos: int, params: Params) -> int:
    """Nanos for audits in an epoch whose training earned `training_nanos`: a batch is a batch, up to a share."""
    return min(replays * params.rate_batch_nanos, training_nanos * params.audit_pay_basis_points // 10_000)


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
