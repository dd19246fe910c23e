"""The 4-bit payload, the 8-bit aggregate and the outer step of training.*, for many runs at once on any device.

Every number equals that of training.payload, training.aggregate and training.outer to the bit, because here too all is
integers or single IEEE operations on 64-bit numbers; tests/bench compares them. Only the block size may differ.
Unlike there, a delta that is not finite counts as zero: a diverged run must not end those beside it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.blocks import EXPONENT_LIMIT, MANTISSA_LIMIT, UNITS_PER_ONE

PAYLOAD_LIMIT, AGGREGATE_LIMIT = 7, 127


class Codec:
    """Blocks of `block` numbers with one scale each, never across a fragment's end."""

    def __init__(self, fragment_sizes: Sequence[int], block: int = 256) -> None:
        self.sizes, self.block = tuple(fragment_sizes), block

    def payload(self, delta: Tensor) -> Tensor:
        """The numbers that the payload of `delta` = W - theta, fp32 [..., P], says: int64 [..., P], units of 2^-24."""
        return self._quantised(delta.double() * UNITS_PER_ONE, PAYLOAD_LIMIT)

    def aggregate(self, numbers: Tensor) -> Tensor:
        """The numbers that the published aggregate of `numbers` int64 [..., P] says."""
        return self._quantised(numbers.double(), AGGREGATE_LIMIT)

    def _quantised(self, units: Tensor, limit: int) -> Tensor:
        units = torch.nan_to_num(units, nan=0.0, posinf=0.0, neginf=0.0)
        parts = []
        for part, size in zip(torch.split(units, self.sizes, dim=-1), self.sizes, strict=True):
            blocks = F.pad(part, (0, -size % self.block)).unflatten(-1, (-1, self.block))
            parts.append(_quantise(blocks, limit).flatten(-2)[..., :size])
        return torch.cat(parts, dim=-1)


def _quantise(units: Tensor, limit: int) -> Tensor:
    """training.blocks.quantise and read_numbers in one: units float64 [..., blocks, block] -> int64 numbers."""
    peaks = units.abs().amax(-1)
    reach = limit * MANTISSA_LIMIT
    ceilings = peaks.ceil().clamp(max=(reach << EXPONENT_LIMIT) + 1).long()
    limits = torch.tensor([reach << e for e in range(EXPONENT_LIMIT)], device=units.device)
    exponents = torch.searchsorted(limits, ceilings.contiguous())
    unit = limit * (1 << exponents)
    mantissas = torch.div(ceilings + unit - 1, unit, rounding_mode="floor").clamp(max=MANTISSA_LIMIT)
    steps = mantissas << exponents
    divisors = steps.clamp(min=1).double()
    steps = torch.where((peaks / divisors).round() == 0, 0, steps)
    codes = (units / divisors[..., None]).round().clamp(-limit, limit).long()
    return codes * steps[..., None]


def divide_half_even(numbers: Tensor, divisor: int) -> Tensor:
    """numbers / divisor in whole numbers, ties to even; any positive divisor."""
    low = torch.div(numbers, divisor, rounding_mode="floor")
    twice = 2 * (numbers - low * divisor)
    return low + ((twice > divisor) | ((twice == divisor) & (low % 2 == 1))).long()


def mean(numbers: Tensor) -> Tensor:
    """The mean rule: payloads int64 [..., n, P] -> [..., P]."""
    return divide_half_even(numbers.sum(-2), numbers.shape[-2])


def nesterov(
    weights: Tensor, momentum: Tensor, gradient: Tensor, milli: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The outer step of training.outer: weights fp32, momentum and gradient int64, all [k, P] -> new ones.

    `milli`: rate and momentum factor in thousandths, int64 [k].
    """
    rate, factor = (each[:, None] for each in milli)
    velocity = divide_half_even(factor * momentum, 1000) + gradient
    step = rate * (1000 * gradient + factor * velocity)
    move = step.double() / 1e6 * (1 / UNITS_PER_ONE)
    return (weights.double() - move).float(), velocity


def nesterov_real(
    weights: Tensor, momentum: Tensor, gradient: Tensor, milli: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The same with real numbers in 64 bits: momentum and gradient float64 [k, P]. What uncompressed DiLoCo does."""
    rate, factor = (each[:, None].double() / 1000 for each in milli)
    velocity = factor * momentum + gradient
    return (weights.double() - rate * (gradient + factor * velocity)).float(), velocity
