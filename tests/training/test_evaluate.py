"""Measuring on held-out text: the model's loss and the bigram yardstick."""

from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.lab_model import LAB_MODEL
from training.bigram import bigram_loss
from training.errors import CorpusError
from training.evaluate import validation_loss, validation_windows
from training.model import NeuroLLM, load_flat


def test_bigram_loss_by_hand():
    train = np.array([0, 1, 0, 1, 2], dtype=np.uint16)  # 01 twice, 10 once, 12 once
    held_out = np.array([0, 1, 2, 2], dtype=np.uint16)
    # P(1|0) = 3/5, P(2|1) = 2/5, P(2|2) = 1/3: token 2 never began a pair.
    assert bigram_loss(train, held_out, 3) == pytest.approx(-(log(3 / 5) + log(2 / 5) + log(1 / 3)) / 3)


def test_bigram_loss_of_windows_joins_no_pair_across_them():
    train = np.array([0, 1, 0, 1, 2], dtype=np.uint16)
    windows = np.array([[0, 1], [2, 2]])
    assert bigram_loss(train, windows, 3) == pytest.approx(-(log(3 / 5) + log(1 / 3)) / 2)


@given(st.lists(st.integers(0, 9), max_size=200), st.lists(st.integers(0, 9), min_size=2, max_size=50))
def test_bigram_loss_is_that_of_a_counted_table(train, held_out):
    table = np.ones((10, 10))
    for pair in pairwise(train):
        table[pair] += 1
    chances = table / table.sum(1, keepdims=True)
    wanted = -np.mean([log(chances[pair]) for pair in pairwise(held_out)])
    found = bigram_loss(np.array(train, dtype=np.uint16), np.array(held_out, dtype=np.uint16), 10)
    assert found == pytest.approx(wanted)


def test_windows_are_spread_from_the_first_to_the_last_token():
    windows = validation_windows(np.arange(1000, dtype=np.uint16), 5, 10)
    assert windows.shape == (5, 11) and windows[0, 0] == 0 and windows[-1, -1] == 999
    assert (np.diff(windows, axis=1) == 1).all()


def test_a_short_split_gives_the_windows_that_fit_and_a_shorter_one_is_refused():
    assert validation_windows(np.arange(25, dtype=np.uint16), 128, 10).shape == (2, 11)
    assert validation_windows(np.arange(11, dtype=np.uint16), 128, 10).tolist() == [list(range(11))]
    with pytest.raises(CorpusError, match="too few"):
        validation_windows(np.arange(10, dtype=np.uint16), 128, 10)


def test_validation_loss_of_a_model_of_zeros_is_that_of_a_guess(lab_tokens):
    assert validation_loss(NeuroLLM(LAB_MODEL), lab_tokens, 20, 64) == pytest.approx(log(4096), rel=1e-5)


def test_validation_loss_is_the_mean_over_windows_and_the_same_twice(born, lab_tokens):
    model = NeuroLLM(LAB_MODEL)
    load_flat(model, born)
    found = validation_loss(model, lab_tokens, 20, 64)  # 20 windows: one full pass of 16 and one of 4.
    assert found == validation_loss(model, lab_tokens, 20, 64)
    one_by_one = [model.loss(row).item() for row in _rows(validation_windows(lab_tokens, 20, 64))]
    assert found == pytest.approx(np.mean(one_by_one), rel=1e-5)


def _rows(windows):
    return [torch.from_numpy(row)[None] for row in windows]
