"""Section 20 of docs/protocol.md is what genesis.json and the layouts give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.protocol_numbers import FOLLOWS, TABLES, in_time, largest, profiles_of_genesis, smallest
from bench.tables import END
from chain import codec
from chain.codec import Wire
from consensus.committee import Committee
from tests.chain.wire_strategies import objects_of, wire_types
from training.layout import parameter_count

TEXT = TABLES.document.read_text()


def test_the_tables_of_the_document_are_those_of_the_code():
    assert TABLES.begin in TEXT and END in TEXT
    assert TABLES.rewritten(TEXT) == TEXT, "run: python -m bench protocol_numbers --write"


def test_a_table_of_another_day_is_told():
    assert TABLES.rewritten(TEXT.replace("| Header | 4 | 516 |", "| Header | 4 | 517 |")) == TEXT


# A Committee refuses to be empty, and equal keys: rules beyond its layout.
FREE = [kind for kind in wire_types() if kind is not Committee]


@given(data=st.data())
def test_no_object_is_shorter_or_longer_than_its_type_allows(data):
    kind = data.draw(st.sampled_from(FREE))
    value = data.draw(objects_of(kind))
    assert smallest(kind) <= len(value.encode()) <= largest(kind)


def extreme(field: object, full: bool) -> object:
    """The shortest or the longest value that a field may have."""
    match field:
        case codec.Int():
            return 0
        case codec.Bool():
            return False
        case codec.Fixed(size=size):
            return bytes(size)
        case codec.Var(maximum=maximum):
            return bytes(maximum if full else 0)
        case codec.Many(item=item, maximum=maximum):
            return (extreme(item, full),) * (maximum if full else 0)
        case codec.OneOf(kinds=kinds):
            size = largest if full else smallest
            return extreme_of((max if full else min)(kinds.values(), key=size), full)
        case codec.Nested(kind=kind):
            return extreme_of(kind, full)
    raise TypeError(field)


def extreme_of(kind: type[Wire], full: bool) -> Wire:
    return kind(**{name: extreme(field, full) for name, field in codec._layout(kind)})


@pytest.mark.parametrize("kind", FREE, ids=lambda kind: kind.__name__)
def test_the_least_and_the_most_are_met(kind):
    assert len(extreme_of(kind, full=False).encode()) == smallest(kind)
    if largest(kind) < 2**22:  # more is slow to make, and its parts are tried
        assert len(extreme_of(kind, full=True).encode()) == largest(kind)


def test_what_follows_is_what_the_profile_says():
    dev = next(profile for profile in profiles_of_genesis() if profile.name == "dev")
    values = {words: value(dev) for words, value in FOLLOWS}
    assert values["segments of a round"] == str(250 // 10)
    assert values["tokens of a node's whole round"] == f"{250 * 8 * 128:,}"
    assert values["NEURO for a whole round, up to the base work"] == "0.125"


@pytest.mark.parametrize(
    ("blocks", "words"), [(119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (172_800, "2 days")]
)
def test_times_are_told_in_the_largest_unit_that_fits_twice(blocks, words):
    dev = next(profile for profile in profiles_of_genesis() if profile.name == "dev")
    assert in_time(blocks, dev.params) == words


def test_pages_for_people_name_the_numbers_of_the_genesis():
    dev, main = (next(each for each in profiles_of_genesis() if each.name == name) for name in ("dev", "main"))
    rules, showing = main.params, [each.params.opening_blocks * each.params.block_interval_ms for each in (dev, main)]
    assert dev.params.vest_rounds == rules.vest_rounds and showing == [60 * 60_000, 12 * 3_600_000]
    assert rules.downtime_basis_points == 5_000 and rules.jail_epochs == 10
    unbonding = [in_time(each.params.unbonding_epochs * each.params.epoch_blocks, each.params) for each in (dev, main)]
    millions = [parameter_count(each.model) / 1e6 for each in (dev, main)]
    said = {
        "run.md": [
            f"held back until {rules.vest_rounds} further rounds have ended",
            f"at the end of an epoch, {dev.params.epoch_blocks} blocks in `dev`",
            "(60 minutes in `dev`, 12 hours in `main`)",
            f"of the `main` profile is {main.params.batch_tokens // dev.params.batch_tokens} times the tokens",
        ],
        "tour.md": [f"when {rules.vest_rounds} further rounds have ended", f"every {dev.params.epoch_blocks} blocks"],
        "validator.md": [
            f"{rules.stake_minimum_nanos // 10**9} NEURO (`chain.stake_minimum_nanos`)",
            "less than half of an epoch's blocks is jailed for ten epochs",
            f"at once {rules.equivocation_basis_points / 100:g} % of the stake",
            f"{rules.audit_fault_basis_points / 100:g} % of the stake each time",
            f"{rules.fraud_basis_points / 100:g} % of the stake, all that is vesting, "
            f"no seat for {rules.suspension_rounds} rounds",
            f"{unbonding[0].replace('min', 'minutes')} in `dev`, {unbonding[1]} in `main`",
        ],
        "faq.md": [
            f"{millions[0]:.2f} million parameters in `dev`, {millions[1]:.1f} million in `main`",
            f"It vests until {rules.vest_rounds} further rounds have ended",
            "(60 minutes in `dev`, 12 hours in `main`)",
        ],
    }
    missing = [words for page, all_words in said.items() for words in all_words if words not in _plain(page)]
    assert missing == []


def _plain(page: str) -> str:
    return " ".join((TABLES.document.parent / page).read_text().split())
