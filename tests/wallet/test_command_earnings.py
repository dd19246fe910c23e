"""Earnings by day and kind, as the chart shows them: for any amounts, on any terminal."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wallet.hostile_node import answering, http
from tests.wallet.people import a_session, a_wallet, page_of, typed
from wallet.commands.earned import BESIDE, KINDS, earnings
from wallet.errors import BadAnswer, Refused

pytestmark = pytest.mark.usefixtures("cheap")

STATUS = http(json.dumps({"chain_id": "ab" * 32, "round": 1, "height": 2}).encode())
NAMES = [kind for kind, _, _ in KINDS] + list(BESIDE)


def sums(**amounts: int) -> dict[str, str]:
    return {f"{name}_nanos": str(amounts.get(name, 0)) for name in NAMES}


def an_answer(*days: tuple[str, dict[str, str]], from_height: int = 1) -> dict[str, object]:
    total = {name: str(sum(int(day[name]) for _, day in days)) for name in sums()}
    return {"address": "x", "from_height": from_height, "days": [{"day": d, **s} for d, s in days], "total": total}


def shown(tmp_path, answer, width=120):
    if not (tmp_path / "keystore.json").exists():
        a_wallet(tmp_path)
    with answering(STATUS, http(json.dumps(answer).encode())) as address:
        return page_of(earnings(a_session(tmp_path, api=address)), width)


def test_bars_are_in_proportion_and_kinds_are_told_apart_without_colours(tmp_path):
    day, other = sums(training=4 * 10**9), sums(training=10**9, uptime=10**9, burned=5)
    days = ("2026-11-25", day), ("2026-11-26", other)
    page = shown(tmp_path, an_answer(*days))
    first, second, legend, *rest = page.splitlines()
    assert first.count("█") == 50 and second.count("█") == second.count("▓") == 12
    assert (
        first.endswith(" 4 NEURO") and second.endswith(" 2 NEURO") and "█ training" in legend and "▓ uptime" in legend
    )
    assert "30 days: 6 NEURO earned" in rest[0] and any("burned: 0.000000005 NEURO" in line for line in rest)


def test_a_record_that_begins_late_says_so_first(tmp_path):
    page = shown(tmp_path, an_answer(from_height=245))
    assert page.splitlines()[0].startswith("This node's record of earnings begins at block 245")
    assert "begins at block" not in shown(tmp_path, an_answer(from_height=1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**100), min_size=5, max_size=5), max_size=5), st.integers(20, 200))
def test_no_amount_breaks_the_page(tmp_path_factory, amounts, width):
    days = [(f"2026-11-{10 + i}", sums(**dict(zip(NAMES, row, strict=False)))) for i, row in enumerate(amounts)]
    page = shown(tmp_path_factory.mktemp("wallet"), an_answer(*days), width)
    assert all(len(line) <= width for line in page.splitlines())


def test_days_of_a_hostile_node_are_harmless_or_refused(tmp_path):
    page = shown(tmp_path, an_answer(("\x1b[2J2026", sums(training=1))))
    assert "\x1b" not in page
    for name, value in (("days", 5), ("days", [5]), ("total", []), ("from_height", -1)):
        with pytest.raises(BadAnswer):
            shown(tmp_path, {**an_answer(), name: value})


def test_an_earlier_node_is_told_from_one_that_refuses(tmp_path):
    a_wallet(tmp_path)
    missing = http(b'{"error": {"code": "not_found", "message": "no such path"}}', "404 no")
    with answering(STATUS, missing) as address, pytest.raises(Refused, match="earlier version"):
        typed(a_session(tmp_path, api=address), "earnings")
