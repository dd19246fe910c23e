"""The bar below the prompt in terminals of any width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from wallet.repl.bar import line, short
from wallet.repl.facts import Facts, Link

ALL = Facts(Link.THERE, "lab-net", "bootstrap", 12, "training", 812, 12_500_000_000, 3_250_000_000)


def shown(facts, columns, lock="locked", is_unicode=True):
    return "".join(text for _, text, *_ in line(facts, lock, columns, is_unicode))


def test_a_wide_terminal_has_all_of_it():
    assert shown(ALL, 120) == (
        " connected · 12.5 NEURO · +3.25 vesting · round 12 training · height 812 · locked · lab-net · bootstrap"
    )


def test_without_unicode_it_is_ascii():
    assert shown(ALL, 120, is_unicode=False).isascii()


def test_in_40_columns_connection_and_money_stay():
    assert shown(ALL, 40) == " connected · 12.5 NEURO"
    assert shown(ALL, 43) == shown(ALL, 40)
    assert shown(ALL, 44) == " connected · 12.5 NEURO · round 12 training"


def test_before_the_node_has_answered_there_is_no_number():
    assert shown(Facts(), 80) == " connecting · locked"


def test_a_node_that_is_away_is_told_first_and_the_last_numbers_stay():
    facts = Facts(Link.AWAY, height=7)
    assert shown(facts, 80) == " node away · height 7 · locked"
    assert line(facts, "", 80)[1] == ("class:bar.away", "node away")


@given(
    st.builds(
        Facts,
        st.sampled_from(Link),
        st.text(max_size=30),
        st.text(max_size=30),
        st.none() | st.integers(0, 2**64),
        st.text(max_size=20),
        st.none() | st.integers(0, 2**64),
        st.none() | st.integers(0, 2**128),
        st.none() | st.integers(0, 2**128),
    ),
    st.integers(20, 300),
)
def test_it_never_needs_more_than_the_width(facts, columns):
    assert get_cwidth(shown(facts, columns)) <= columns


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0 NEURO"),
        (1, "0 NEURO"),
        (99_999, "0 NEURO"),
        (100_000, "0.0001 NEURO"),
        (1_999_999_999, "1.9999 NEURO"),
        (1_234_500_000_000, "1,234.5 NEURO"),
    ],
)
def test_amounts_at_a_glance_are_rounded_down(nanos, text):
    assert short(nanos) == text
