"""The forward pass of training.model for R replicas at once: every tensor has the replicas in front.

Matrix products are batched over the replicas; the tied head never holds more logits than `budget` values.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from training.layout import ModelConfig
from training.model import NORM_EPSILON, _rotary_table

Shape = tuple[str, tuple[int, ...]]


def tensor_shapes(config: ModelConfig) -> list[Shape]:
    """Names and shapes in canonical order, neighbours that are multiplied together joined as in training.model."""
    width, ffn = config.width, config.ffn_width
    qkv_rows = (config.heads + 2 * config.kv_heads) * config.head_width
    layer: list[Shape] = [
        ("attention_norm", (width,)),
        ("qkv", (qkv_rows, width)),
        ("output", (width, width)),
        ("ffn_norm", (width,)),
        ("gate_up", (2 * ffn, width)),
        ("down", (width, ffn)),
    ]
    return [("embedding", (config.vocabulary, width)), *(layer * config.layers), ("final_norm", (width,))]


class Forward:
    """Losses of replicas whose parameters are the rows of flat [R, P]."""

    def __init__(self, config: ModelConfig, device: torch.device, budget: int) -> None:
        self.config, self.budget = config, budget
        self.shapes = tensor_shapes(config)
        self.sizes = [int(torch.Size(shape).numel()) for _, shape in self.shapes]
        cosine, sine = _rotary_table(config)
        self.cosine = torch.from_numpy(cosine).to(device)
        self.sine = torch.from_numpy(sine).to(device)

    def losses(self, flat: Tensor, batch: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of each replica [R]: batch and targets int64 [R, sequences, length]."""
        replicas, sequences, length = batch.shape
        parts = torch.split(flat, self.sizes, dim=1)
        tensors = [part.view(replicas, *shape) for part, (_, shape) in zip(parts, self.shapes, strict=True)]
        embedding, final = tensors[0], tensors[-1]
        places = batch.reshape(replicas, -1, 1).expand(-1, -1, self.config.width)
        x = torch.gather(embedding, 1, places)
        for layer in range(self.config.layers):
            x = self._layer(x, tensors[1 + 6 * layer : 7 + 6 * layer], (sequences, length))
        hidden = _norm(x, final)
        wanted = targets.reshape(replicas, -1)
        if torch.is_grad_enabled():
            out: Tensor = _Head.apply(hidden, embedding, wanted, self.budget)
            return out
        return head_losses(hidden, embedding, wanted, self.budget)

    def _layer(self, x: Tensor, weights: list[Tensor], shape: tuple[int, int]) -> Tensor:
        attention_norm, qkv, output, ffn_norm, gate_up, down = weights
        x = x + _linear(self._attend(_linear(_norm(x, attention_norm), qkv), shape), output)
        gate, up = _linear(_norm(x, ffn_norm), gate_up).chunk(2, dim=-1)
        return x + _linear(F.silu(gate) * up, down)

    def _attend(self, qkv: Tensor, shape: tuple[int, int]) -> Tensor:
        """qkv [R, N, rows] -> [R, N, width]; replicas and sequences are one dimension here."""
        (sequences, length), replicas = shape, qkv.shape[0]
        heads, kv_heads, head_width = self.config.heads, self.config.kv_heads, self.config.head_width
        qkv = qkv.view(replicas * sequences, length, heads + 2 * kv_heads, head_width).transpose(1, 2)
        cosine, sine = self.cosine[:length], self.sine[:length]
        first, second = qkv[:, : heads + kv_heads].chunk(2, dim=-1)
        rotated = qkv[:, : heads + kv_heads] * cosine + torch.cat((-second, first), dim=-1) * sine
        query, key, value = rotated[:, :heads], rotated[:, heads:], qkv[:, heads + kv_heads :]
        if kv_heads < heads:
            key, value = _repeated(key, heads // kv_heads), _repeated(value, heads // kv_heads)
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return out.transpose(1, 2).reshape(replicas, sequences * length, heads * head_width)


def _repeated(x: Tensor, times: int) -> Tensor:
    """Every head of x [B, heads, T, head_width] that many times in a row; without a look at the host."""
    return x.unsqueeze(2).expand(-1, -1, times, -1, -1).flatten(1, 2)


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    """RMSNorm of x [R, N, width] with gains [R, width]."""
    return F.rms_norm(x, (x.shape[-1],), None, NORM_EPSILON) * gain[:, None, :]


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [R, N, in] times weight [R, out, in] transposed, [R, N, out]."""
    return torch.bmm(x, weight.transpose(1, 2))


def _probabilities(x: Tensor, weight: Tensor) -> Tensor:
    """Softmax of the logits, [r, N, vocabulary]."""
    return torch.softmax(torch.bmm(x, weight.transpose(1, 2)), dim=-1)


def _chunk_rows(x: Tensor, weight: Tensor, budget: int) -> int:
    """How many replicas' logits fit `budget` values."""
    return max(1, budget // (x.shape[1] * weight.shape[1]))


def head_losses(x: Tensor, weight: Tensor, targets: Tensor, budget: int) -> Tensor:
    """Mean cross-entropy [R] of x [R, N, width] with head weights [R, vocabulary, width]; no gradient."""
    rows = _chunk_rows(x, weight, budget)
    losses = []
    for low in range(0, len(x), rows):
        logits = torch.bmm(x[low : low + rows], weight[low : low + rows].transpose(1, 2))
        chosen = logits.gather(2, targets[low : low + rows, :, None])[..., 0]
        losses.append((torch.logsumexp(logits, dim=-1) - chosen).mean(1))
    return torch.cat(losses)


class _Head(torch.autograd.Function):
    """The gradients are made on the way forward, chunk by chunk, so that the logits never exist all at once."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, targets: Tensor, budget: int) -> Tensor:
        rows, count = _chunk_rows(x, weight, budget), x.shape[1]
        x_gradient = torch.empty_like(x)
        weight_gradient = torch.empty(weight.shape, device=x.device, dtype=x.dtype)
        losses = torch.empty(len(x), device=x.device, dtype=x.dtype)
        minus = torch.full((1, 1, 1), -1.0, device=x.device, dtype=x.dtype).expand(min(rows, len(x)), count, 1)
        scaled = x / count
        for low in range(0, len(x), rows):
            here = slice(low, low + rows)
            wanted = targets[here, :, None]
            gradient = _probabilities(x[here], weight[here])
            losses[here] = gradient.gather(2, wanted)[..., 0].log().mean(1).neg()
            # The derivative by a logit: its probability, less one for the right token.
            gradient.scatter_add_(2, wanted, minus[: len(wanted)])
            torch.bmm(gradient, weight[here], out=x_gradient[here])
            torch.bmm(gradient.transpose(1, 2), scaled[here], out=weight_gradient[here])
        context.save_for_backward(x_gradient.div_(count), weight_gradient)
        return losses

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x_gradient, weight_gradient = context.saved_tensors
        return x_gradient * gradient[:, None, None], weight_gradient * gradient[:, None, None], None, None
