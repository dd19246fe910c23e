"""The birth of the model: the same bits everywhere."""

from hashlib import sha256, shake_256

import numpy as np
import pytest

from tests.training.lab_model import LAB_MODEL
from training.birth import BIRTH_TAG, MATRIX_SCALE, birth
from training.layout import parameter_layout

SEED = bytes(range(32))


def test_the_newborn_lab_model_has_its_golden_hash(born):
    assert (
        sha256(born.astype("<f4").tobytes()).hexdigest()
        == "25b3c410b7425cfa946a17b425154d4f95e4fb62a1013a3d244f7964ec992199"
    )


def test_a_value_is_the_centred_sum_of_four_draws_times_the_scale(born):
    place = parameter_layout(LAB_MODEL)[0].tensors[0]
    stream = shake_256(BIRTH_TAG + SEED + place.name.encode()).digest(8 * place.count)
    for index in (0, 1, place.count - 1):
        draws = [int.from_bytes(stream[8 * index + i : 8 * index + i + 2], "big") for i in (0, 2, 4, 6)]
        assert born[index] == np.float32((sum(draws) - 131_070) * MATRIX_SCALE)


def test_norms_are_one_and_other_tensors_have_their_standard_deviation(born):
    for fragment in parameter_layout(LAB_MODEL):
        for place in fragment.tensors:
            values = born[place.start : place.end]
            if place.kind == "norm":
                assert (values == 1).all()
            else:
                wanted = 0.05 / (2 if place.kind == "residual" else 1)  # sqrt(2 · 2 layers) = 2
                assert values.std() == pytest.approx(wanted, rel=0.1)
                assert abs(values.mean()) < wanted / 5


def test_another_seed_gives_another_model(born):
    assert not np.array_equal(birth(LAB_MODEL, bytes(32)), born)


@pytest.mark.parametrize("size", [31, 33])
def test_a_seed_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match="32 bytes"):
        birth(LAB_MODEL, bytes(size))
