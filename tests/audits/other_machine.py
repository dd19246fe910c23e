"""An honest node on a machine of another make: its products sum in another order, so its last bits differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
