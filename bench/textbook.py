"""A plain Llama of the same size as NeuroLLM, as a textbook writes it: the rival of `bench training`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.layout import ModelConfig


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, kv_width = config.width, config.kv_heads * config.head_width
        self.attention_norm, self.ffn_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query, self.output = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = nn.Linear(width, kv_width, bias=False), nn.Linear(width, kv_width, bias=False)
        self.gate, self.up = (
            nn.Linear(width, config.ffn_width, bias=False),
            nn.Linear(width, config.ffn_width, bias=False),
        )
        self.down = nn.Linear(config.ffn_width, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        config, (batch, length, width) = self.config, x.shape
        normed = self.attention_norm(x)
        query = rotate(self._heads(self.query(normed), config.heads), cosine, sine)
        key = rotate(self._heads(self.key(normed), config.kv_heads), cosine, sine)
        value = self._heads(self.value(normed), config.kv_heads)
        groups = config.heads // config.kv_heads
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, length, width))
        normed = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.view(*x.shape[:2], heads, self.config.head_width).transpose(1, 2)


class Textbook(nn.Module):
    """One module per matrix, PyTorch's own products, loss and optimizer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        frequencies = config.rope_base ** (-torch.arange(config.head_width // 2) / (config.head_width // 2))
        angles = torch.outer(torch.arange(config.context), frequencies).repeat(1, 2)
        self.cosine, self.sine = angles.cos(), angles.sin()

    def forward(self, batch: Tensor) -> Tensor:
        """Mean cross-entropy of batch int64 [B, T + 1]."""
        x = self.embedding(batch[:, :-1])
        for block in self.blocks:
            x = block(x, self.cosine[: x.shape[1]], self.sine[: x.shape[1]])
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
