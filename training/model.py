"""NeuroLLM: pre-norm RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied output head: the Llama family.

All parameters are views of one flat fp32 tensor in canonical order, and their gradients views of a second one: hashing,
quantising, clipping and the optimizer see one vector each. q, k, v (and gate, up) are neighbours in that order, so the
model multiplies them as one matrix.
Sources: Touvron et al. 2023 (Llama), Su et al. 2021 (RoPE), Ainslie et al. 2023 (GQA), Shazeer 2020 (SwiGLU).
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.layout import ModelConfig, parameter_count, parameter_layout
from training.products import head_loss, linear

NORM_EPSILON = 1e-5
FlatVector = NDArray[np.float32]
# Keys and values of the tokens already read, each [B, kv_heads, T, head_width]; a cache holds one pair per layer.
KeysValues = tuple[Tensor, Tensor]
Cache = list[KeysValues]


class Layer(nn.Module):
    """One block: attention and feed-forward, each added to the residual stream."""

    attention_norm: nn.Parameter  # [width]
    qkv: nn.Parameter  # [(heads + 2 * kv_heads) * head_width, width]
    output: nn.Parameter  # [width, width]
    ffn_norm: nn.Parameter  # [width]
    gate_up: nn.Parameter  # [2 * ffn_width, width]
    down: nn.Parameter  # [width, ffn_width]

    def __init__(self, config: ModelConfig, weights: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.config = config
        for name, weight in weights.items():
            self.register_parameter(name, weight)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], past: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """x [B, T, width] -> ([B, T, width], keys and values of all tokens so far)."""
        attended, present = self._attend(_norm(x, self.attention_norm), rotary, past)
        x = x + attended
        gate, up = linear(_norm(x, self.ffn_norm), self.gate_up).chunk(2, dim=-1)
        return x + linear(F.silu(gate) * up, self.down), present

    def _attend(self, x: Tensor, rotary: tuple[Tensor, Tensor], past: KeysValues | None) -> tuple[Tensor, KeysValues]:
        batch, length, width = x.shape
        heads, kv_heads, head_width = self.config.heads, self.config.kv_heads, self.config.head_width
        qkv = linear(x, self.qkv).view(batch, length, heads + 2 * kv_heads, head_width).transpose(1, 2)
        rotated = _rotate(qkv[:, : heads + kv_heads], rotary)
        query, key, value = rotated[:, :heads], rotated[:, heads:], qkv[:, heads + kv_heads :]
        if past is not None:
            key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        present = (key, value)
        if kv_heads < heads:
            key = key.repeat_interleave(heads // kv_heads, dim=1)
            value = value.repeat_interleave(heads // kv_heads, dim=1)
        # A single new token may see everything before it; a longer stretch starts from an empty cache.
        out = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        return linear(out.transpose(1, 2).reshape(batch, length, width), self.output), present


class NeuroLLM(nn.Module):
    """The language model on one device. `flat` and `flat_gradient` are its parameters and gradients, fp32 [P]."""

    cosine: Tensor  # [context, head_width]
    sine: Tensor

    def __init__(self, config: ModelConfig, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.config = config
        self.flat = torch.zeros(parameter_count(config), device=device)
        self.flat_gradient = torch.zeros_like(self.flat)
        fragments = parameter_layout(config)
        self.embedding = self._view(fragments[0].start, (config.vocabulary, config.width))
        self.layers = nn.ModuleList(Layer(config, self._layer_views(f.start)) for f in fragments[1:-1])
        self.final_norm = self._view(fragments[-1].start, (config.width,))
        cosine, sine = _rotary_table(config)
        self.register_buffer("cosine", torch.from_numpy(cosine).to(device), persistent=False)
        self.register_buffer("sine", torch.from_numpy(sine).to(device), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [B, T, vocabulary] of tokens int64 [B, T], T at most the context."""
        return self.read_on(tokens, None)[0]

    def read_on(self, tokens: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Logits of `tokens` [B, T] after what `cache` holds, and the longer cache. With a cache, T must be 1."""
        hidden, presents = self._hidden(tokens, cache)
        return linear(hidden, self.embedding), presents

    def loss(self, batch: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token of batch int64 [B, T + 1]: each token predicts the next."""
        hidden, _ = self._hidden(batch[:, :-1], None)
        return head_loss(hidden.flatten(0, 1), self.embedding, batch[:, 1:].flatten())

    def _hidden(self, tokens: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """What the head reads: the normed residual stream [B, T, width]."""
        assert cache is None or tokens.shape[1] == 1
        first = 0 if cache is None else cache[0][0].shape[2]
        last = first + tokens.shape[1]
        assert last <= self.config.context, f"{last} tokens exceed the context of {self.config.context}"
        rotary = (self.cosine[first:last], self.sine[first:last])
        x = F.embedding(tokens, self.embedding)
        presents = []
        for index, layer in enumerate(self.layers):
            x, present = layer(x, rotary, None if cache is None else cache[index])
            presents.append(present)
        return _norm(x, self.final_norm), presents

    def _view(self, start: int, shape: tuple[int, ...]) -> nn.Parameter:
        """A parameter, with its gradient, over the values from `start` on."""
        count = int(np.prod(shape))
        parameter = nn.Parameter(self.flat[start : start + count].view(shape))
        parameter.grad = self.flat_gradient[start : start + count].view(shape)
        return parameter

    def _layer_views(self, start: int) -> dict[str, nn.Parameter]:
        """The tensors of a layer in canonical order, neighbours that are multiplied together joined."""
        width, ffn = self.config.width, self.config.ffn_width
        qkv_rows = (self.config.heads + 2 * self.config.kv_heads) * self.config.head_width
        views = {}
        for name, shape in (
            ("attention_norm", (width,)),
            ("qkv", (qkv_rows, width)),
            ("output", (width, width)),
            ("ffn_norm", (width,)),
            ("gate_up", (2 * ffn, width)),
            ("down", (width, ffn)),
        ):
            views[name] = self._view(start, shape)
            start += views[name].numel()
        return views


def load_flat(model: NeuroLLM, flat: FlatVector) -> None:
    """Set all parameters from fp32 [P]."""
    assert flat.shape == tuple(model.flat.shape) and flat.dtype == np.float32
    model.flat.copy_(torch.from_numpy(np.ascontiguousarray(flat)))


def read_flat(model: NeuroLLM) -> FlatVector:
    """A copy of all parameters, fp32 [P]."""
    return to_numpy(model.flat)


def to_numpy(tensor: Tensor) -> FlatVector:
    """A copy of a device's fp32 vector in this process's memory."""
    return tensor.detach().to("cpu", copy=True).numpy()


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    """RMSNorm over the last dimension (Zhang and Sennrich 2019)."""
    return F.rms_norm(x, gain.shape, gain, NORM_EPSILON)


def _rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Turn x [B, heads, T, head_width] by its positions; a channel is paired with the one half a head further."""
    cosine, sine = rotary
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


def _rotary_table(config: ModelConfig) -> tuple[FlatVector, FlatVector]:
    """Cosines and sines [context, head_width], computed in 64 bits so that the 32-bit rounding agrees everywhere."""
    half = config.head_width // 2
    frequencies = float(config.rope_base) ** (-np.arange(half, dtype=np.float64) / half)
    angles = np.outer(np.arange(config.context, dtype=np.float64), frequencies)
    angles = np.concatenate((angles, angles), axis=1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
