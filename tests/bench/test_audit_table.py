"""The odds of audits: the formulas agree with chance played out, and docs/security.md says what they say."""

import json
from dataclasses import replace
from random import Random

import pytest

from bench.audit_odds import (
    Forgery,
    Terms,
    _forgery,
    exposed,
    hidden,
    in_proportion,
    lazy_chance,
    lazy_ratio,
    rounds_until,
    seen_share,
    sleeper,
    terms_of,
    veteran_ratio,
)
from bench.audit_table import GOAL, LISTINGS, TABLES, profiles_of_genesis, shown, worst_veteran
from bench.tables import END, ROOT
from chain.money import NEURO

PLAYED = 4_000
FAST = Terms(3, 0.5, 6, 0.25, 8, 8, 1.0)  # warm-up, steady, floor from, floor, vesting, lost, pay


def lived(forgery: Forgery, honest: int, terms: Terms, chance: Random) -> tuple[int, int]:
    """(rounds of forging until it is found, rounds whose pay it never gets), of one life."""
    passes, number = 0, 0
    while True:
        number += 1
        if chance.random() < terms.rate(passes):
            weighted = chance.random() < 0.5
            if number > honest and chance.random() < (forgery.weighted if weighted else forgery.share):
                return number - honest, min(number, terms.vest_rounds)
            passes += 1


@pytest.mark.parametrize("honest", [0, 2, 5, 30])
@pytest.mark.parametrize("forgery", [Forgery(0.25, 0.25), Forgery(0.5, 0.0), Forgery(0.05, 1.0), Forgery(1.0, 1.0)])
def test_lives_played_by_chance_last_and_lose_what_the_formula_says(forgery: Forgery, honest: int) -> None:
    chance = Random(f"{forgery} {honest}")
    lives = [lived(forgery, honest, FAST, chance) for _ in range(PLAYED)]
    found = sleeper(forgery, honest, FAST)
    for place, expected in enumerate((found.rounds, found.lost)):
        values = [life[place] for life in lives]
        mean = sum(values) / PLAYED
        deviation = (sum((value - mean) ** 2 for value in values) / PLAYED) ** 0.5
        assert abs(mean - expected) <= 4.5 * deviation / PLAYED**0.5 + 1e-9, (place, mean, expected)
    assert found.saved == pytest.approx(forgery.share * found.rounds)


def test_a_veteran_is_a_sleeper_that_has_slept_long_enough() -> None:
    forgery = Forgery(0.5, 0.5)
    assert sleeper(forgery, 500, FAST).ratio == pytest.approx(veteran_ratio(forgery, FAST.floor, FAST))


@pytest.mark.parametrize(("chance", "rounds"), [(1.0, 1), (0.5, 7), (0.01, 459), (0.9, 2), (0.99, 2)])
def test_rounds_to_99_percent_are_the_fewest_that_reach_it(chance: float, rounds: int) -> None:
    assert rounds_until(chance) == rounds or (chance == 0.99 and rounds_until(chance) == 1)
    assert 1 - (1 - chance) ** rounds_until(chance) >= 0.99 - 1e-12
    if rounds_until(chance) > 1:
        assert 1 - (1 - chance) ** (rounds_until(chance) - 1) < 0.99


@pytest.mark.parametrize("segments", [2, 4, 20, 25, 1024])
def test_whatever_a_cheat_lists_its_segments_are_drawn_with_three_quarters_of_the_even_chance(segments: int) -> None:
    chance = Random(segments)
    for forged in {1, segments // 2, segments - 1, segments}:
        least = hidden(forged, segments).found_if_drawn
        assert least >= 0.75 * forged / segments
        assert least <= in_proportion(forged, segments).found_if_drawn <= exposed(forged, segments).found_if_drawn
        for _ in range(20):
            listed = [0] * forged + [chance.randrange(1_000) for _ in range(segments - forged)]
            assert _forgery(forged, listed if any(listed) else [1] * segments).found_if_drawn >= least - 1e-12


def test_a_segment_that_carries_the_whole_payload_is_found_in_a_quarter_of_the_draws() -> None:
    assert exposed(1, 20).found_if_drawn == pytest.approx((1 / 20 + 20 / 39) / 2)
    assert in_proportion(25, 25).found_if_drawn == 1


def test_a_cheat_loses_as_many_rounds_as_the_terms_say_and_auditors_of_its_own_see_less() -> None:
    forgery = Forgery(0.5, 0.5)
    assert veteran_ratio(forgery, 0.25, FAST) == 2
    assert veteran_ratio(forgery, 0.25, replace(FAST, lost_rounds=1)) == 0.25
    assert seen_share(0, 0.1) == 1 and seen_share(1, 0.1) == pytest.approx(0)
    assert seen_share(0.5, 0.1) == pytest.approx(1 - 0.9 * 0.5 - 0.1 * 0.25)


def test_an_auditor_that_never_looks_is_found_out_as_often_as_the_formula_says() -> None:
    """All auditors are lazy: a planted segment takes a second verdict, which is right, and so the first one a fault."""
    params, chance, verdicts, faults = profiles_of_genesis()[1].params, Random("lazy"), 0, 0
    for _ in range(20_000):
        is_planted = chance.random() * 10_000 < params.plant_basis_points
        verdicts, faults = verdicts + 1 + is_planted, faults + is_planted
    expected = lazy_chance(params)
    assert abs(faults / verdicts - expected) <= 4.5 * (expected * (1 - expected) / verdicts) ** 0.5
    assert expected < params.plant_basis_points / 10_000


@pytest.mark.parametrize("profile", profiles_of_genesis(), ids=lambda profile: profile.name)
def test_with_the_genesis_numbers_every_cheat_of_a_veteran_loses_five_times_what_it_saves(profile) -> None:
    assert worst_veteran(profile.params, terms_of(profile.params)) >= GOAL


@pytest.mark.parametrize("profile", profiles_of_genesis(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("honest", [6, 10, 20, 40])
def test_after_six_honest_rounds_every_forgery_loses_five_times_what_it_saves(profile, honest: int) -> None:
    params, terms = profile.params, terms_of(profile.params)
    for listed in LISTINGS.values():
        lives = [sleeper(listed(n, params.segments), honest, terms) for n in range(1, params.segments + 1)]
        assert min(life.ratio for life in lives) >= GOAL


def test_a_newcomer_that_forges_everything_is_found_in_its_first_round_and_never_paid() -> None:
    params = profiles_of_genesis()[0].params
    life = sleeper(in_proportion(params.segments, params.segments), 0, terms_of(params))
    assert (life.rounds, life.lost, life.ratio) == (1, 1, 1)


def test_no_way_to_begin_with_cheating_earns_more_than_honest_work() -> None:
    params = profiles_of_genesis()[1].params
    for listed in LISTINGS.values():
        for forged in range(1, params.segments + 1):
            assert sleeper(listed(forged, params.segments), 0, terms_of(params)).ratio >= 1


def test_the_numbers_in_the_words_of_the_document_are_those_of_the_genesis() -> None:
    dev, main = (profile.params for profile in profiles_of_genesis())
    text = " ".join(TABLES.document.read_text().split())
    hours = main.opening_blocks * main.block_interval_ms / 3_600_000
    stake = main.stake_minimum_nanos / NEURO
    second = main.audit_second_basis_points / 10_000
    for words in (
        f"`opening_blocks` ({hours:g} hours in `main`)",
        f"no seat for {main.suspension_rounds} rounds",
        f"with a chance of {main.plant_basis_points / 100:g} %",
        f"In {main.plant_basis_points / 100:g} % of the audits in which it looks first the segment is planted: if the "
        "next one finds that the node kept its promise, it loses "
        f"{main.audit_fault_basis_points / 100:g} % of its stake",
        f"The fine alone is {shown(lazy_ratio(main, stake))} times (`main`) or "
        f"{shown(lazy_ratio(dev, stake))} times (`dev`)",
        f"a node's first {main.audit_warmup_rounds} audits, then, and from {main.audit_floor_rounds} on",
    ):
        assert words in text, words
    assert main.audit_misses == main.audit_attempts == 3
    worst = worst_veteran(main, terms_of(main))
    assert "more than about 18 % of the power" in text
    assert seen_share(0.18, second) * worst >= GOAL > seen_share(0.20, second) * worst


def test_the_tables_of_the_document_are_those_of_the_formulas() -> None:
    text = TABLES.document.read_text()
    assert TABLES.begin in text and END in text
    assert TABLES.rewritten(text) == text, "run: python -m bench audit_table --write"


def test_the_template_has_the_numbers_that_the_terms_are_made_of() -> None:
    numbers = json.loads((ROOT / "genesis.json").read_text())["parameters"]
    terms = terms_of(profiles_of_genesis()[0].params)
    assert terms.vest_rounds == numbers["chain.vest_rounds"]
    assert terms.floor == numbers["chain.audit_floor_basis_points"] / 10_000
    assert [terms.rate(passes) for passes in (0, 19, 20, 199, 200)] == [1, 1, terms.steady, terms.steady, terms.floor]
