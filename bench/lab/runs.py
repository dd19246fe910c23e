"""Rounds of many runs in one fleet: local steps, then each group of runs closes its round by its own rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.lab.codec import Codec, mean, nesterov, nesterov_real
from bench.lab.fleet import Fleet
from training.blocks import UNITS_PER_ONE


class Rule(Protocol):
    """How the k runs of a group turn a round into the next weights. It may hold momentum, trust or lies of its own."""

    def close(self, number: int, base: Tensor, deltas: Tensor) -> Tensor:
        """Weights [k, P] after round `number` (from 0) from base - theta, fp32 [k, M, P], and the base, fp32 [k, P]."""
        ...


@dataclass
class Group:
    """Runs of a fleet that end their rounds together. `keep`: bool [k], who carries m, and who carries v.

    `weights` [k, P] are the outer weights, those that the next round began from.
    """

    runs: Tensor
    round_steps: int
    rule: Rule
    keep: tuple[Tensor, Tensor]
    weights: Tensor

    @classmethod
    def of(
        cls, fleet: Fleet, runs: Sequence[int], round_steps: int, rule: Rule, keep: Sequence[tuple[bool, bool]]
    ) -> "Group":
        """A group whose runs begin from what the fleet holds. `keep`: for each run whether m and v are carried."""
        indices = torch.tensor(list(runs), device=fleet.device)
        kept = torch.tensor(list(keep), device=fleet.device)
        return cls(indices, round_steps, rule, (kept[:, 0], kept[:, 1]), fleet.weights()[indices, 0].clone())

    def close_round(self, fleet: Fleet, number: int) -> None:
        """Apply the rule and begin the next round."""
        deltas = self.weights[:, None, :] - fleet.weights()[self.runs]
        self.weights = self.rule.close(number, self.weights, deltas)
        fleet.restart(self.runs, self.weights, self.keep)


class MeanInIntegers:
    """The protocol: 4-bit payloads, their 8-bit mean, Nesterov in integers. `milli`: rate and momentum, int64 [k]."""

    def __init__(self, codec: Codec, milli: tuple[Tensor, Tensor]) -> None:
        self.codec, self.milli = codec, milli
        self.momentum: Tensor | None = None

    def close(self, number: int, base: Tensor, deltas: Tensor) -> Tensor:
        aggregate = self.codec.aggregate(mean(self.codec.payload(deltas)))
        if self.momentum is None:
            self.momentum = torch.zeros_like(aggregate)
        weights, self.momentum = nesterov(base, self.momentum, aggregate, self.milli)
        return weights


class MeanInReals:
    """DiLoCo without compression: the mean of the deltas and Nesterov in 64 bits.

    With a codec the payloads are at 4 bits, the aggregate is not: what the payload alone costs.
    """

    def __init__(self, milli: tuple[Tensor, Tensor], codec: Codec | None = None) -> None:
        self.milli, self.codec = milli, codec
        self.momentum: Tensor | None = None

    def close(self, number: int, base: Tensor, deltas: Tensor) -> Tensor:
        exact = deltas.double() if self.codec is None else self.codec.payload(deltas).double() / UNITS_PER_ONE
        gradient = exact.mean(1)
        if self.momentum is None:
            self.momentum = torch.zeros_like(gradient)
        weights, self.momentum = nesterov_real(base, self.momentum, gradient, self.milli)
        return weights


def train_runs(fleet: Fleet, groups: Sequence[Group], steps: int, every: int) -> Iterator[tuple[int, Tensor]]:
    """Train all runs for `steps` steps; after every `every` of them yield the step and the held-out losses [K].

    A run in no group is measured as its first replica stands, one in a group at its outer weights, so every round must
    end where losses are measured.
    """
    assert steps % every == 0 and all(every % group.round_steps == 0 for group in groups)
    done = 0
    while done < steps:
        stops = [group.round_steps for group in groups] or [every]
        stop = min((done // length + 1) * length for length in [*stops, every])
        fleet.train(stop - done)
        done = stop
        for group in groups:
            if done % group.round_steps == 0:
                group.close_round(fleet, done // group.round_steps - 1)
        if done % every == 0:
            yield done, fleet.held_out(fleet.weights()[:, 0])
