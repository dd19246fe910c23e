"""Generating text."""

import numpy as np
import pytest
import torch

from tests.training.lab_model import LAB_MODEL
from training.build import build
from training.errors import ConfigError
from training.generate import generate, generate_tokens, sample
from training.model import NeuroLLM, load_flat
from training.tokens import Tokenizer


@pytest.fixture
def model(born):
    fresh = NeuroLLM(LAB_MODEL)
    load_flat(fresh, born * np.float32(2))
    return fresh


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    target = tmp_path_factory.mktemp("tokenizer")
    build([(str(i), f"the cat number {i} sat on the mat".encode()) for i in range(50)], target, 300)
    return Tokenizer.load(target / "tokenizer.json")


@torch.no_grad()
def test_logits_with_the_cache_are_those_without(model):
    tokens = torch.tensor([[(7 * i * i + 3) % 4096 for i in range(64)]])
    full = model(tokens)[0]
    logits, cache = model.read_on(tokens[:, :20], None)
    rows = list(logits[0])
    for position in range(20, 64):
        logits, cache = model.read_on(tokens[:, position : position + 1], cache)
        rows.append(logits[0, -1])
    assert (torch.stack(rows) - full).abs().max() < 1e-4


def test_the_same_seed_gives_the_same_tokens_and_another_does_not(model):
    one, two, three = (list(generate_tokens(model, [1, 2], 20, 1.0, seed)) for seed in (5, 5, 6))
    assert one == two != three


def test_greedy_tokens_are_the_likeliest_of_a_full_forward_pass(model):
    seen = [1, 2, 3]
    for token in generate_tokens(model, [1, 2, 3], 10, 0, 0):
        with torch.no_grad():
            assert token == int(model(torch.tensor([seen]))[0, -1].argmax())
        seen.append(token)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 500])
def test_prompts_around_and_beyond_the_context_are_continued(model, length):
    assert len(list(generate_tokens(model, [5] * length, 70, 0.9, 1))) == 70


def test_of_a_prompt_longer_than_the_context_only_the_end_counts(model):
    end = list(range(100, 164))
    assert list(generate_tokens(model, [9] * 50 + end, 1, 0, 0)) == list(generate_tokens(model, end, 1, 0, 0))


def test_an_empty_prompt_begins_a_text(model, tokenizer):
    assert list(generate(model, tokenizer, "", 0)) == []
    pieces = list(generate(model, tokenizer, "", 12, temperature=1.0, seed=3))
    assert 0 < len(pieces) <= 12


class _Scripted(NeuroLLM):
    """A model that says given tokens, whatever it reads."""

    def __init__(self, script):
        super().__init__(LAB_MODEL)
        self.script = list(script)

    def read_on(self, tokens, cache):
        logits = torch.zeros(1, 1, self.config.vocabulary)
        logits[0, 0, self.script.pop(0)] = 100.0
        return logits, [(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))]


def test_a_character_of_several_tokens_is_yielded_whole(tokenizer):
    script = tokenizer.encode("a€b")
    assert len(script) == 5
    assert list(generate(_Scripted(script), tokenizer, "x", 5, 0)) == ["a", "€", "b"]


def test_bytes_that_are_no_character_do_not_stop_the_stream(tokenizer):
    lone = tokenizer.encode("€")[:1]
    pieces = list(generate(_Scripted(lone * 5), tokenizer, "x", 5, 0))
    assert "".join(pieces) == "\ufffd" * 5 and len(pieces) == 2


def test_generation_stops_at_the_end_of_the_text(tokenizer):
    script = [*tokenizer.encode("a"), tokenizer.end_of_text, *tokenizer.encode("b")]
    assert list(generate(_Scripted(script), tokenizer, "x", 3, 0)) == ["a"]


def test_sampling_follows_the_softmax():
    random = np.random.default_rng(0)
    logits = np.log(np.array([0.7, 0.2, 0.1], dtype=np.float32))
    counts = np.bincount([sample(logits, 1.0, random) for _ in range(4000)], minlength=3) / 4000
    assert np.abs(counts - [0.7, 0.2, 0.1]).max() < 0.03
    cold = np.bincount([sample(logits, 0.2, random) for _ in range(1000)], minlength=3) / 1000
    assert cold[0] > 0.98


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-9])
def test_a_tiny_temperature_takes_the_likeliest_like_none(temperature):
    logits = np.array([-3.0, 8.5, 8.25, -100.0], dtype=np.float32)
    random = np.random.default_rng(0)
    assert [sample(logits, temperature, random) for _ in range(20)] == [sample(logits, 0, random)] * 20 == [1] * 20


@pytest.mark.parametrize("temperature", [float("nan"), -1.0])
def test_a_temperature_that_is_no_number_from_0_on_is_refused(model, temperature):
    with pytest.raises(ConfigError, match="the temperature is"):
        next(generate_tokens(model, [1], 1, temperature, 0))
