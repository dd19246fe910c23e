"""The forward pass against a second, plain implementation, and the flat views."""

import numpy as np
import torch

from tests.training.lab_model import LAB_MODEL
from training.birth import birth
from training.layout import ModelConfig, parameter_layout
from training.model import NORM_EPSILON, NeuroLLM, load_flat, read_flat

WIDE = ModelConfig(vocabulary=300, width=32, layers=2, heads=4, kv_heads=2, ffn_width=40, context=16, rope_base=10_000)


def plain_logits(config, flat, tokens):
    """Llama's forward pass in float64 numpy, one position and one head at a time, with the checkpoint's names."""
    w = {
        p.name: flat[p.start : p.end].reshape(p.shape).astype(np.float64)
        for f in parameter_layout(config)
        for p in f.tensors
    }
    half = config.head_width // 2
    frequency = config.rope_base ** (-np.arange(half) / half)

    def norm(x, gain):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + NORM_EPSILON) * gain

    def turn(x, position):
        a, b = x[:half], x[half:]
        c, s = np.cos(position * frequency), np.sin(position * frequency)
        return np.concatenate((a * c - b * s, b * c + a * s))

    x = w["model.embed_tokens.weight"][tokens]
    for index in range(config.layers):
        name = f"model.layers.{index}."
        h = norm(x, w[name + "input_layernorm.weight"])
        q, k, v = (h @ w[f"{name}self_attn.{part}_proj.weight"].T for part in "qkv")
        out = np.zeros_like(x)
        for t in range(len(tokens)):
            for head in range(config.heads):
                mine = slice(head * config.head_width, (head + 1) * config.head_width)
                shared = head // (config.heads // config.kv_heads)
                theirs = slice(shared * config.head_width, (shared + 1) * config.head_width)
                scores = np.array([turn(q[t, mine], t) @ turn(k[u, theirs], u) for u in range(t + 1)])
                weights = np.exp(scores / np.sqrt(config.head_width))
                out[t, mine] = weights / weights.sum() @ v[: t + 1, theirs]
        x = x + out @ w[name + "self_attn.o_proj.weight"].T
        h = norm(x, w[name + "post_attention_layernorm.weight"])
        gate, up = (h @ w[f"{name}mlp.{part}_proj.weight"].T for part in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[name + "mlp.down_proj.weight"].T
    return norm(x, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].T


def test_logits_agree_with_a_plain_implementation_of_llama():
    flat = birth(WIDE, bytes(32)) * np.float32(3)
    model = NeuroLLM(WIDE)
    load_flat(model, flat)
    tokens = np.array([5, 299, 0, 17, 17, 80, 3, 250, 1])
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)[None])[0].numpy()
    assert np.abs(logits - plain_logits(WIDE, flat, tokens)).max() < 1e-4


def test_loading_then_reading_gives_the_same_bits(born):
    model = NeuroLLM(LAB_MODEL)
    load_flat(model, born)
    assert np.array_equal(read_flat(model), born)


def test_what_was_read_does_not_change_with_the_model(born):
    model = NeuroLLM(LAB_MODEL)
    load_flat(model, born)
    kept = read_flat(model)
    with torch.no_grad():
        model.flat.zero_()
    assert np.array_equal(kept, born)


def test_every_parameter_receives_its_gradient_in_the_flat_vector(born):
    model = NeuroLLM(LAB_MODEL)
    load_flat(model, born)
    tokens = torch.arange(65)[None]
    model.loss(tokens).backward()
    gradient = model.flat_gradient.numpy()
    for fragment in parameter_layout(LAB_MODEL):
        for place in fragment.tensors:
            assert np.abs(gradient[place.start : place.end]).max() > 0, place.name
    assert sum(p.numel() for p in model.parameters()) == len(gradient)


def test_a_token_sees_nothing_after_it(born):
    model = NeuroLLM(LAB_MODEL)
    load_flat(model, born)
    tokens = torch.arange(20)[None]
    changed = tokens.clone()
    changed[0, 10:] = 400
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.allclose(before[0, :10], after[0, :10], atol=1e-6)
    assert not torch.allclose(before[0, 10:], after[0, 10:], atol=1e-3)
