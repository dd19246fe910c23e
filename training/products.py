"""The two operations that most of the training time goes into: a linear map, and the output head with its loss.

On a CPU they run on oneDNN's kernels, which serve every make of CPU alike; PyTorch's own fp32 products go through a
library that keeps AMD processors below half of their speed. Every call is single precision throughout.
Source of the chunked head: Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models".
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits of that many tokens exist at a time: a few MiB that stay in the cache, whatever the batch.
HEAD_ROWS = 256


def _has_onednn() -> bool:
    return torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")


HAS_ONEDNN = _has_onednn()


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, in] times weight [out, in] transposed, [N, out]; no gradient flows through it."""
    if HAS_ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        return out
    return F.linear(x, weight)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [..., in] times weight [out, in] transposed, [..., out]."""
    if torch.is_grad_enabled():
        out: Tensor = _Linear.apply(x, weight)  # type: ignore[no-untyped-call]
        return out
    return _like(product(x.flatten(0, -2), weight), x)


def _like(flat: Tensor, x: Tensor) -> Tensor:
    """flat [N, n] in the shape of `x` [..., m]: [..., n]."""
    return flat.view(*x.shape[:-1], flat.shape[-1])


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        context.save_for_backward(flat, weight)
        return _like(product(flat, weight), x)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = context.saved_tensors
        flat = gradient.flatten(0, -2)
        x_gradient = _like(product(flat, weight.t()), gradient)
        # The kernel copies a transposed first operand: let it be the smaller one.
        if flat.shape[1] > x.shape[1]:
            return x_gradient, product(x.t(), flat.t()).t()
        return x_gradient, product(flat.t(), x.t())


def head_loss(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats of x [N, width] against targets int64 [N], with head weight [vocabulary, width]."""
    if torch.is_grad_enabled():
        out: Tensor = _HeadLoss.apply(x, weight, targets)  # type: ignore[no-untyped-call]
        return out
    losses = [_rows_loss(product(rows, weight), wanted)[0] for rows, wanted in _chunks(x, targets)]
    return torch.stack(losses).sum() / len(targets)


class _HeadLoss(torch.autograd.Function):
    """The gradients are made on the way forward, chunk by chunk, so that the logits never exist all at once."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        count = len(targets)
        x_gradient, losses = [], []
        # Transposed, since the kernel copies a transposed first operand and the logits are the large one.
        weight_gradient = torch.zeros_like(weight.t(), memory_format=torch.contiguous_format)
        for rows, wanted in _chunks(x, targets):
            logits = product(rows, weight)
            loss, scales = _rows_loss(logits, wanted)
            losses.append(loss)
            # The derivative by a logit: its probability, less one for the right token.
            gradient = logits.div_(scales * count)
            gradient.scatter_add_(1, wanted, torch.full_like(scales, -1 / count))
            x_gradient.append(product(gradient, weight.t()))
            weight_gradient.add_(product(rows.t(), gradient.t()))
        context.save_for_backward(torch.cat(x_gradient), weight_gradient)
        return torch.stack(losses).sum() / count

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x_gradient, weight_gradient = context.saved_tensors
        return x_gradient * gradient, weight_gradient.t() * gradient, None


def _chunks(x: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(torch.split(x, HEAD_ROWS), torch.split(targets.unsqueeze(1), HEAD_ROWS), strict=True))


def _rows_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Turn logits [n, vocabulary] into their exponentials in place; return the summed loss and the sums [n, 1]."""
    logits.sub_(logits.amax(1, keepdim=True))
    chosen = logits.gather(1, targets)
    scales = logits.exp_().sum(1, keepdim=True)
    return (scales.log() - chosen).sum(), scales
