"""A model small enough for tests: about 0.1 M parameters that read the real tokenizer, and rounds of 20 steps."""

from training.layout import ModelConfig
from training.schedule import InnerSpec

LAB_MODEL = ModelConfig(
    vocabulary=4096, width=24, layers=2, heads=2, kv_heads=1, ffn_width=64, context=64, rope_base=10_000
)
LAB_SPEC = InnerSpec(
    round_steps=20,
    segment_steps=5,
    sequences=2,
    length=64,
    peak_rate_nanos=6_000_000,
    floor_rate_nanos=600_000,
    warmup_steps=10,
    rewarm_steps=5,
    hold_steps=1000,
    beta1_milli=900,
    beta2_milli=990,
    weight_decay_micros=100_000,
    clip_milli=1000,
)
