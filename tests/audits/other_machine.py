"""An honest node on a machine of another make: its products sum in another order, so its last bits differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from chain.state import Round
from tests.audits.school import Draw
from tests.audits.trainer import Trainer
from training import products
from training.inner import InnerState


@dataclass
class OtherMachine(Trainer):
    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        with _other_products():
            return super().segment(before, current, segment, draw)


@dataclass
class EdgeMachine(Trainer):
    """Its weights end so many bounds away from where they should: no calibrated machine does that."""

    bounds: float = 2.0

    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        after = super().segment(before, current, segment, draw)
        away = np.random.default_rng(segment).standard_normal(after.theta.size)
        moved = np.linalg.norm(after.theta.astype(np.float64) - before.theta)
        length = self.bounds * self.school.params.tolerance_theta_billionths / 1e9 * moved
        return replace(after, theta=(after.theta + away * length / np.linalg.norm(away)).astype(np.float32))


@contextmanager
def _other_products() -> Iterator[None]:
    usual = products.product

    def other(x: Tensor, weight: Tensor) -> Tensor:
        half = x.shape[1] // 2
        return usual(x[:, half:].contiguous(), weight[:, half:].contiguous()) + usual(
            x[:, :half].contiguous(), weight[:, :half].contiguous()
        )

    products.product = other
    try:
        yield
    finally:
        products.product = usual
