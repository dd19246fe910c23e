"""Which tokens a node trains on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import tagged_hash
from training.draw import draw_batch, draw_start
from training.errors import CorpusError
from training.tags import tagged

MIX, NODE = b"\x01" * 32, b"\x02" * 32


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_trainings_tagged_hash_is_the_ledgers(one, other):
    assert tagged("draw", one, other) == tagged_hash("draw", one, other)


def test_drawn_starts_have_their_golden_values():
    starts = [draw_start(MIX, NODE, step, sequence, 1_000_003) for step, sequence in ((0, 0), (0, 1), (1, 0), (249, 7))]
    assert starts == [728009, 839604, 83806, 31124]


def test_a_batch_is_the_tokens_at_its_starts():
    tokens = np.arange(1000, dtype=np.uint16)
    batch = draw_batch(tokens, MIX, NODE, 3, 5, 20)
    assert batch.shape == (5, 21) and batch.dtype == np.int64
    for sequence, row in enumerate(batch):
        start = draw_start(MIX, NODE, 3, sequence, 980)
        assert row.tolist() == list(range(start, start + 21))


@pytest.mark.parametrize("field", ["mix", "node", "step"])
def test_mix_node_and_step_each_change_the_batch(field):
    tokens = np.arange(60_000, dtype=np.uint16)
    arguments = {"mix": MIX, "node": NODE, "step": 0}
    changed = {**arguments, field: 1 if field == "step" else b"\x03" * 32}
    batches = [draw_batch(tokens, sequences=4, length=8, **a) for a in (arguments, changed)]
    assert not np.array_equal(*batches)


def test_the_last_start_reaches_exactly_the_last_token():
    tokens = np.arange(22, dtype=np.uint16)  # Two possible starts for 20 + 1 tokens.
    firsts = draw_batch(tokens, MIX, NODE, 0, 64, 20)[:, 0]
    assert set(firsts.tolist()) == {0, 1}


def test_one_token_more_than_the_length_is_enough_and_one_less_is_refused():
    assert draw_batch(np.arange(21, dtype=np.uint16), MIX, NODE, 0, 2, 20)[:, 0].tolist() == [0, 0]
    with pytest.raises(CorpusError, match="too few"):
        draw_batch(np.arange(20, dtype=np.uint16), MIX, NODE, 0, 2, 20)
