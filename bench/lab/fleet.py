"""R replicas in lockstep: parameters, gradients and AdamW's averages are stacked [R, P] in canonical flat order.

The mathematics is that of training.model and training.inner; only the order of some sums differs. `train` never looks
at a value on the host, so on a GPU its step is recorded once as a CUDA graph and then replayed.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.lab.data import Tokens, cut_batches, draw_starts
from bench.lab.model import Forward
from training.inner import EPSILON, NORM_GUARD
from training.layout import ModelConfig, parameter_layout

# Losses of that many windows are measured at a time.
WINDOWS_PER_PASS = 8


@dataclass(frozen=True)
class FleetSpec:
    """What all replicas of a fleet share.

    `replicas`: per run; `budget`: logits that may exist at a time; `compiled`: let torch.compile fuse the optimizer.
    """

    config: ModelConfig
    replicas: int
    sequences: int
    length: int
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.1
    clip: float = 1.0
    budget: int = 1 << 20
    compiled: bool = False


@dataclass(frozen=True)
class Rows:
    """One number or switch per run [K]: data seed, peak learning rate, curve; `curves` is [C, steps], times the peak.

    The first `synchronous` runs average their replicas' gradients in every step: synchronous data parallel. `flipped`
    [K * replicas] marks replicas that learn wrong labels (token t becomes vocabulary - 1 - t), None if nobody does.
    `epsilons` [K]: what keeps AdamW's divisor from zero, if not as in training.inner.
    """

    seeds: Tensor
    peaks: Tensor
    curve: Tensor
    curves: Tensor
    synchronous: int = 0
    flipped: Tensor | None = None
    epsilons: Tensor | None = None


class Fleet:
    """K runs of M replicas, R = K * M rows, the replicas of a run together. `births` is fp32 [K, P]."""

    def __init__(self, spec: FleetSpec, rows: Rows, births: Tensor, tokens: Tokens) -> None:
        self.spec, self.tokens, self.device = spec, tokens, births.device
        self.runs, count = births.shape
        each = spec.replicas
        self.forward = Forward(spec.config, self.device, spec.budget)
        self.flat = births.repeat_interleave(each, dim=0).requires_grad_()
        self.m, self.v = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        replicas = self.runs * each
        # Steps since the averages were empty; counted apart, since v may outlive m.
        self.m_age = torch.zeros(replicas, dtype=torch.float64, device=self.device)
        self.v_age = torch.zeros_like(self.m_age)
        self.step_number = torch.zeros((), dtype=torch.int64, device=self.device)
        self.losses = torch.zeros(replicas, device=self.device)
        self.seeds = rows.seeds.repeat_interleave(each)
        self.peaks = rows.peaks.float().repeat_interleave(each)
        self.curve = rows.curve.repeat_interleave(each)
        usual = torch.full((self.runs,), EPSILON, device=self.device)
        self.epsilons = (usual if rows.epsilons is None else rows.epsilons.float()).repeat_interleave(each)
        self.curves, self.synchronous, self.flipped = rows.curves.float(), rows.synchronous, rows.flipped
        self.replica = torch.arange(each, device=self.device).repeat(self.runs)
        decayed = np.zeros(count, dtype=np.float32)
        for fragment in parameter_layout(spec.config):
            for place in fragment.tensors:
                decayed[place.start : place.end] = place.kind != "norm"
        self.decayed = torch.from_numpy(decayed).to(self.device)
        self.update = torch.compile(adamw, dynamic=True) if spec.compiled else adamw
        self.graph: torch.cuda.CUDAGraph | None = None

    def train(self, steps: int) -> None:
        """Take some steps with every replica."""
        if self.device.type != "cuda":
            for _ in range(steps):
                self._step()
            return
        if self.graph is None and steps > 4:
            # A recording needs kernels that are loaded and memory that is settled.
            self._record(warm_up=3)
            steps -= 3
        for _ in range(steps):
            if self.graph is None:
                self._step()
            else:
                self.graph.replay()

    def weights(self) -> Tensor:
        """What the replicas hold, [K, M, P]; a view."""
        return self.flat.detach().view(self.runs, self.spec.replicas, -1)

    @torch.no_grad()
    def restart(self, runs: Tensor, weights: Tensor, keep: tuple[Tensor, Tensor]) -> None:
        """Begin a round of some runs (indices [k]) from weights [k, P]. `keep`: bool [k] for m, then for v."""
        self.weights()[runs] = weights[:, None, :].expand(-1, self.spec.replicas, -1)
        rows = (runs[:, None] * self.spec.replicas + torch.arange(self.spec.replicas, device=self.device)).flatten()
        for kept, average, age in ((keep[0], self.m, self.m_age), (keep[1], self.v, self.v_age)):
            emptied = rows[~kept.repeat_interleave(self.spec.replicas)]
            average[emptied] = 0
            age[emptied] = 0

    @torch.no_grad()
    def held_out(self, weights: Tensor) -> Tensor:
        """Loss [k] on the held-out windows of weights [k, P]."""
        windows = self.tokens.windows
        total = torch.zeros(len(weights), dtype=torch.float64, device=self.device)
        for low in range(0, len(windows), WINDOWS_PER_PASS):
            batch = windows[low : low + WINDOWS_PER_PASS].expand(len(weights), -1, -1)
            total += self.forward.losses(weights, batch[..., :-1], batch[..., 1:]).double() * batch.shape[1]
        return total / len(windows)

    def batch(self) -> Tensor:
        """The batches that the next step trains on, int64 [R, sequences, length + 1]."""
        spec = self.spec
        number = self.step_number * spec.replicas + self.replica
        starts = draw_starts(self.seeds, number, spec.sequences, len(self.tokens.train) - spec.length)
        return cut_batches(self.tokens.train, starts, spec.length)

    def gradients(self, batch: Tensor) -> Tensor:
        """Gradients [R, P] of the replicas' losses on `batch`; sets `losses`."""
        targets = batch[..., 1:]
        if self.flipped is not None:
            wrong = self.spec.config.vocabulary - 1 - targets
            targets = torch.where(self.flipped[:, None, None], wrong, targets)
        losses = self.forward.losses(self.flat, batch[..., :-1], targets)
        (gradient,) = torch.autograd.grad(losses.sum(), self.flat)
        self.losses.copy_(losses.detach())
        return gradient

    def _step(self) -> None:
        gradient = self.gradients(self.batch())
        with torch.no_grad():
            if self.synchronous:
                shared = gradient[: self.synchronous * self.spec.replicas].view(
                    self.synchronous, self.spec.replicas, -1
                )
                shared.copy_(shared.mean(1, keepdim=True).expand_as(shared))
            self.m_age += 1
            self.v_age += 1
            # Not by indexing with a tensor of one number: that would read it on the host.
            now = self.curves.index_select(1, self.step_number.view(1))[:, 0]
            rate = self.peaks * now[self.curve]
            ages = (1 - self.spec.beta1**self.m_age).float(), (1 - self.spec.beta2**self.v_age).sqrt().float()
            self.update(
                self.spec, (self.flat.detach(), gradient, self.m, self.v), (rate, *ages, self.epsilons), self.decayed
            )
            self.step_number += 1

    def _record(self, warm_up: int) -> None:
        """Take `warm_up` steps, then record one without taking it."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(warm_up):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        self.graph = graph


def adamw(
    spec: FleetSpec,
    stacks: tuple[Tensor, Tensor, Tensor, Tensor],
    rows: tuple[Tensor, Tensor, Tensor, Tensor],
    decayed: Tensor,
) -> None:
    """Clip each row's gradient and take one AdamW step in place, as training.inner does.

    `stacks`: weights, gradient, m, v [R, P]; `rows` [R]: rate, 1 - beta1^age of m, sqrt(1 - beta2^age of v), epsilon.
    """
    weights, gradient, m, v = stacks
    rate, m_filled, v_filled, epsilon = (each[:, None] for each in rows)
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient = gradient * torch.clamp(spec.clip / (norm + NORM_GUARD), max=1.0)
    m.mul_(spec.beta1).add_(gradient, alpha=1 - spec.beta1)
    v.mul_(spec.beta2).addcmul_(gradient, gradient, value=1 - spec.beta2)
    root = v.sqrt() / v_filled + epsilon
    weights.sub_(weights * decayed * (rate * spec.weight_decay)).sub_(m / root * (rate / m_filled))
