"""Multiplies in bfloat16, with sums in fp32: as fast hardware would, in a network that is registered as fp32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from chain.state import Round
from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Draw
from training import products
from training.inner import InnerState


@dataclass
class LowPrecision(Cheat):
    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        if not self.cheats_in(segment):
            return super().segment(before, current, segment, draw)
        with _short_products():
            return super().segment(before, current, segment, draw)


@contextmanager
def _short_products() -> Iterator[None]:
    exact = products.product

    def short(x: Tensor, weight: Tensor) -> Tensor:
        return exact(x.bfloat16().float(), weight.bfloat16().float())

    products.product = short
    try:
        yield
    finally:
        products.product = exact
