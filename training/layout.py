"""The parameters of NeuroLLM: their names, shapes and places in the one flat vector that everybody hashes.

The canonical order is the order of the forward pass, cut into fragments: `embedding`, `layer.0` … `layer.L-1`, `head`.
Names are those of the Llama checkpoints of `transformers`, so that an export is a copy. This module needs no torch.
"""

from dataclasses import dataclass
from typing import Literal

from training.errors import ConfigError

# How a tensor is born: drawn at the common scale, at the smaller scale of writers into the residual, or all ones.
Kind = Literal["matrix", "residual", "norm"]

# Beyond these a genesis is a mistake or an attack on memory, not a model.
LAYERS_MAXIMUM = 4096
VALUES_MAXIMUM = 1 << 32


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of the model, integers only, as genesis states it. The output head shares the embedding's matrix."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn_width: int
    context: int
    rope_base: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; every size of a model is at least 1")
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} cannot be shared by {self.heads} heads")
        if self.heads % self.kv_heads:
            raise ConfigError(f"{self.heads} heads cannot share {self.kv_heads} key-value heads")
        if self.head_width % 2:
            raise ConfigError(f"rotary embedding needs an even head width, not {self.head_width}")
        if self.layers > LAYERS_MAXIMUM or self._values > VALUES_MAXIMUM:
            raise ConfigError(f"{self.layers} layers and {self._values} parameters are more than any machine holds")
        if self.vocabulary > 65_536:
            raise ConfigError(f"a vocabulary of {self.vocabulary} does not fit the 16-bit tokens of the corpus")

    @property
    def _values(self) -> int:
        """Number of parameters, by arithmetic alone."""
        kv_width = self.kv_heads * self.head_width
        matrices = self.width * (2 * self.width + 2 * kv_width + 3 * self.ffn_width)
        return self.vocabulary * self.width + self.layers * (matrices + 2 * self.width) + self.width

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """One named tensor: its shape and where it starts in the flat vector, counted in values."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    start: int

    @property
    def count(self) -> int:
        """Number of values."""
        total = 1
        for size in self.shape:
            total *= size
        return total

    @property
    def end(self) -> int:
        """First value after the tensor."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Fragment:
    """A run of neighbouring tensors that is stored, hashed and quantised as one."""

    name: str
    tensors: tuple[TensorPlace, ...]

    @property
    def start(self) -> int:
        """First value of the fragment in the flat vector."""
        return self.tensors[0].start

    @property
    def end(self) -> int:
        """First value after the fragment."""
        return self.tensors[-1].end

    @property
    def count(self) -> int:
        """Number of values."""
        return self.end - self.start


def _layer_tensors(config: ModelConfig, index: int) -> list[tuple[str, tuple[int, ...], Kind]]:
    """Names, shapes and kinds of one layer. q, k, v are neighbours, and gate, up: each group is one matrix product."""
    prefix = f"model.layers.{index}"
    width, kv_width, ffn = config.width, config.kv_heads * config.head_width, config.ffn_width
    return [
        (f"{prefix}.input_layernorm.weight", (width,), "norm"),
        (f"{prefix}.self_attn.q_proj.weight", (width, width), "matrix"),
        (f"{prefix}.self_attn.k_proj.weight", (kv_width, width), "matrix"),
        (f"{prefix}.self_attn.v_proj.weight", (kv_width, width), "matrix"),
        (f"{prefix}.self_attn.o_proj.weight", (width, width), "residual"),
        (f"{prefix}.post_attention_layernorm.weight", (width,), "norm"),
        (f"{prefix}.mlp.gate_proj.weight", (ffn, width), "matrix"),
        (f"{prefix}.mlp.up_proj.weight", (ffn, width), "matrix"),
        (f"{prefix}.mlp.down_proj.weight", (width, ffn), "residual"),
    ]


def parameter_layout(config: ModelConfig) -> tuple[Fragment, ...]:
    """The fragments in canonical order; together they cover the flat vector without gaps."""
    groups: list[tuple[str, list[tuple[str, tuple[int, ...], Kind]]]] = [
        ("embedding", [("model.embed_tokens.weight", (config.vocabulary, config.width), "matrix")])
    ]
    groups += [(f"layer.{index}", _layer_tensors(config, index)) for index in range(config.layers)]
    groups.append(("head", [("model.norm.weight", (config.width,), "norm")]))

    fragments = []
    start = 0
    for fragment_name, tensors in groups:
        places = []
        for name, shape, kind in tensors:
            places.append(TensorPlace(name, shape, kind, start))
            start = places[-1].end
        fragments.append(Fragment(fragment_name, tuple(places)))
    return tuple(fragments)


def parameter_count(config: ModelConfig) -> int:
    """Number of values of the flat vector."""
    return parameter_layout(config)[-1].end
