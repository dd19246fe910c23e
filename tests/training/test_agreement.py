"""Judging payloads by how far they agree with each other."""

import pytest

from training.agreement import UNIT, Agreement, cosine


def gram_of(cosines: dict[tuple[int, int], float], n: int, usual: float) -> list[list[int]]:
    """Vectors of norm 1000 with these cosines, and the usual one where none is given."""
    found = [[1_000_000 if i == j else int(1_000_000 * usual) for j in range(n)] for i in range(n)]
    for (i, j), value in cosines.items():
        found[i][j] = found[j][i] = int(1_000_000 * value)
    return found


@pytest.mark.parametrize(("inner", "squares", "found"), [(3, 9, UNIT), (-3, 9, -UNIT), (1, 4, UNIT // 2), (5, 0, 0)])
def test_cosines_are_exact(inner, squares, found):
    assert cosine(inner, squares) == found


def test_those_who_agree_as_usual_deserve_all():
    found = Agreement.of(gram_of({}, 8, 0.7))
    assert found.usual == int(0.7 * UNIT) and found.scores() == [UNIT] * 8 and found.merits() == [UNIT] * 8


@pytest.mark.parametrize("n", [4, 5, 8])
def test_who_points_elsewhere_deserves_nothing(n):
    found = Agreement.of(gram_of({(0, j): -0.7 for j in range(1, n)}, n, 0.7))
    assert found.merits() == [0] + [UNIT] * (n - 1) and found.scores()[0] == -UNIT


def test_two_liars_do_not_lift_each_other():
    apart = {(i, j): 0.1 for i in (0, 1) for j in range(2, 8)}
    found = Agreement.of(gram_of({**apart, (0, 1): 0.99}, 8, 0.7))
    assert found.merits()[:2] == [0, 0] and found.merits()[2:] == [UNIT] * 6


def test_copies_share_one_weight():
    found = Agreement.of(gram_of({(0, 1): 1.0}, 8, 0.6)).merits()
    assert found[:2] == [UNIT // 2] * 2 and found[2:] == [UNIT] * 6
    three = Agreement.of(gram_of({(0, 1): 1.0, (0, 2): 1.0, (1, 2): 1.0}, 8, 0.6)).merits()
    assert three[:3] == [UNIT // 3] * 3


@pytest.mark.parametrize(("likeness", "shares"), [(0.69, False), (0.72, True)])
def test_likeness_counts_from_a_quarter_above_the_usual(likeness, shares):
    # A quarter of the way from 0.6 to 1 is 0.7.
    assert (Agreement.of(gram_of({(0, 1): likeness}, 8, 0.6)).merits()[0] < UNIT) == shares


def test_a_payload_of_zeros_deserves_nothing():
    gram = gram_of({}, 5, 0.5)
    gram[2] = [0] * 5
    for row in gram:
        row[2] = 0
    found = Agreement.of(gram)
    assert found.merits()[2] == 0 == found.scores()[2] and found.merits()[0] == UNIT


def test_where_nothing_is_usual_all_are_alike_and_nobody_is_scored():
    for usual in (0.0, -0.2):
        found = Agreement.of(gram_of({}, 4, usual))
        assert found.merits() == [UNIT] * 4 and found.scores() == [None] * 4


def test_of_three_a_liar_spoils_nobody_elses_score():
    found = Agreement.of(gram_of({(0, 1): -0.5, (0, 2): -0.5}, 3, 0.7))
    assert (found.scores()[0] or 0) < 0
    assert found.scores()[1:] == [UNIT, UNIT]


def test_payloads_that_are_all_alike_deserve_all():
    assert Agreement.of(gram_of({}, 6, 1.0)).merits() == [UNIT] * 6
