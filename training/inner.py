"""The inner loop of one node: AdamW steps on flat vectors, whose state can be handed over and taken up bit for bit.

Source: Loshchilov and Hutter 2019, decoupled weight decay; the norms' gains are not decayed.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray

from training.layout import parameter_layout
from training.model import FlatVector, NeuroLLM, load_flat, to_numpy
from training.schedule import InnerSpec, learning_rate

EPSILON = 1e-8
# Keeps the clip factor finite for a zero gradient.
NORM_GUARD = 1e-6


@dataclass(frozen=True, slots=True)
class InnerState:
    """All that the next step depends on besides its batch: weights and both averages, fp32 [P] each.

    `v_steps` were behind `v` when the round began.
    """

    theta: FlatVector
    m: FlatVector
    v: FlatVector
    steps_done: int
    v_steps: int = 0


class InnerLoop:
    """Trains `model` within one round. Begin with `start` or `restore`."""

    def __init__(self, model: NeuroLLM, spec: InnerSpec) -> None:
        assert spec.length <= model.config.context
        self.model = model
        self.spec = spec
        self.steps_done = 0
        self.v_steps = 0
        self._m = torch.zeros_like(model.flat)
        self._v = torch.zeros_like(model.flat)
        decayed = np.zeros(model.flat.numel(), dtype=np.float32)
        for fragment in parameter_layout(model.config):
            for place in fragment.tensors:
                decayed[place.start : place.end] = place.kind != "norm"
        self._decayed = torch.from_numpy(decayed).to(model.flat.device)

    def start(self, flat: FlatVector, v: FlatVector | None = None, v_steps: int = 0) -> None:
        """Begin a round from the outer weights. `v`: the second moments to go on with, `v_steps` steps old.

        The first moments begin at zero: carrying them as well gains nothing that could be measured.
        """
        empty = np.zeros(flat.size, dtype=np.float32)
        self.restore(InnerState(flat, empty, empty if v is None else v, 0, 0 if v is None else v_steps))

    def state(self) -> InnerState:
        """A copy of the present state."""
        vectors = to_numpy(self.model.flat), to_numpy(self._m), to_numpy(self._v)
        return InnerState(*vectors, self.steps_done, self.v_steps)

    def restore(self, state: InnerState) -> None:
        """Go on exactly where `state` was copied."""
        load_flat(self.model, state.theta)
        self._m.copy_(torch.from_numpy(np.ascontiguousarray(state.m)))
        self._v.copy_(torch.from_numpy(np.ascontiguousarray(state.v)))
        self.steps_done = state.steps_done
        self.v_steps = state.v_steps

    def step(self, batch: NDArray[np.int64], round_number: int) -> float:
        """Train on one batch int64 [sequences, length + 1]; return its loss in nats per token, before the step."""
        rate = learning_rate(self.spec, round_number, self.steps_done)
        self.model.flat_gradient.zero_()
        loss = self.model.loss(torch.from_numpy(batch).to(self.model.flat.device))
        loss.backward()  # type: ignore[no-untyped-call]
        self.steps_done += 1
        self._apply_gradient(rate)
        return loss.item()

    @torch.no_grad()
    def _apply_gradient(self, rate: float) -> None:
        """Clip the gradient's norm and take one AdamW step."""
        spec, gradient, weights = self.spec, self.model.flat_gradient, self.model.flat
        beta1, beta2 = spec.beta1_milli / 1000, spec.beta2_milli / 1000
        norm = torch.linalg.vector_norm(gradient)
        gradient.mul_(torch.clamp(spec.clip_milli / 1000 / (norm + NORM_GUARD), max=1.0))
        self._m.mul_(beta1).add_(gradient, alpha=1 - beta1)
        self._v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        weights.addcmul_(weights, self._decayed, value=-rate * spec.weight_decay_micros / 1_000_000)
        # An average that began at zero is too small by what its age lets it lack; v may be older than the round.
        root = self._v.sqrt().div_(sqrt(1 - beta2 ** (self.v_steps + self.steps_done))).add_(EPSILON)
        weights.addcdiv_(self._m, root, value=-rate / (1 - beta1**self.steps_done))
