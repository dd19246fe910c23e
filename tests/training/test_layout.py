"""The canonical order of the parameters."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.training.lab_model import LAB_MODEL
from training.errors import ConfigError
from training.layout import parameter_count, parameter_layout


def test_fragments_cover_the_flat_vector_without_gaps():
    end = 0
    for fragment in parameter_layout(LAB_MODEL):
        assert fragment.start == end
        for place in fragment.tensors:
            assert place.start == end
            end = place.end
        assert fragment.end == end and fragment.count == fragment.end - fragment.start
    assert end == parameter_count(LAB_MODEL) == 111_096


def test_fragments_are_embedding_then_layers_then_head():
    assert [f.name for f in parameter_layout(LAB_MODEL)] == ["embedding", "layer.0", "layer.1", "head"]


def test_names_are_those_of_llama_checkpoints():
    names = [place.name for fragment in parameter_layout(LAB_MODEL) for place in fragment.tensors]
    assert names[0] == "model.embed_tokens.weight" and names[-1] == "model.norm.weight"
    assert names[1:10] == [
        f"model.layers.0.{part}.weight"
        for part in (
            "input_layernorm",
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "post_attention_layernorm",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
        )
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 0},
        {"heads": 5},
        {"heads": 4, "kv_heads": 3},
        {"heads": 8, "kv_heads": 1},
        {"vocabulary": 65_537},
    ],
)
def test_a_configuration_that_describes_no_model_is_refused(change):
    with pytest.raises(ConfigError):
        replace(LAB_MODEL, **change)


def test_the_largest_vocabulary_that_fits_sixteen_bits_is_accepted():
    assert replace(LAB_MODEL, vocabulary=65_536).vocabulary == 65_536


def test_layout_and_birth_need_no_torch():
    script = "import sys, training.birth, training.draw, training.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
