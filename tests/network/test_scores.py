"""Scores and bans: what costs how much, how long it counts, and what is remembered."""

import json

import pytest

from network.scores import (
    BAN_MAXIMUM_MS,
    BAN_MS,
    CREDIT_MAXIMUM,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    REASON_CHARACTERS,
    REASONS_MAXIMUM,
    RECORDS_MAXIMUM,
    Scores,
)

KEY = b"\x02" * 33


def blamed(points: int, now_ms: int = 0) -> tuple[Scores, bool]:
    scores = Scores()
    return scores, scores.blame(KEY, "20.0.0.1:1", points, "why", now_ms)


def test_at_minus_100_a_ban_is_due_and_not_before():
    assert blamed(99)[1] is False
    assert blamed(100)[1] is True
    scores, _ = blamed(99)
    assert scores.score(KEY, 0) == -99
    assert scores.blame(KEY, "", 11, "the last drop", 0)


def test_slowness_alone_never_bans_and_what_comes_on_top_does():
    scores, _ = blamed(10)
    assert not any(scores.blame(KEY, "", 10, "slow", 0) for _ in range(100))
    assert scores.score(KEY, 0) == -50
    assert not scores.blame(KEY, "", 20, "invalid", 0) and not scores.blame(KEY, "", 20, "invalid", 0)
    assert not scores.blame(KEY, "", 10, "slow", 0) and scores.score(KEY, 0) == -90
    assert scores.blame(KEY, "", 20, "invalid", 0)


def test_half_of_a_score_is_gone_after_ten_minutes():
    scores, _ = blamed(80)
    assert scores.score(KEY, MINUTE_MS - 1) == -80
    assert -41 <= scores.score(KEY, 10 * MINUTE_MS) <= -39
    assert scores.score(KEY, 10 * HOUR_MS) == 0


def test_a_score_fades_the_same_however_often_it_is_read():
    once, often = blamed(80)[0], blamed(80)[0]
    for now_ms in range(0, 10 * MINUTE_MS, 7_000):
        often.score(KEY, now_ms)
    assert once.score(KEY, 10 * MINUTE_MS) == often.score(KEY, 10 * MINUTE_MS)


def test_praise_is_capped_and_excuses_small_faults_only():
    scores = Scores()
    for _ in range(1_000):
        scores.praise(KEY, 0)
    assert scores.score(KEY, 0) == CREDIT_MAXIMUM
    assert not scores.blame(KEY, "", 100 - 1, "much", 0)
    assert scores.score(KEY, 0) == CREDIT_MAXIMUM - 99
    for _ in range(1_000):
        scores.praise(KEY, 0)
    assert scores.blame(KEY, "", 100, "what no honest peer sends", 0)


def test_bans_double_up_to_a_day():
    scores, lengths, now_ms = Scores(), [], 0
    for _ in range(7):
        lengths.append(scores.ban(KEY, "", False, now_ms).remaining_ms)
        now_ms += lengths[-1]
        assert scores.banned_ms(KEY, now_ms - 1) == 1 and scores.banned_ms(KEY, now_ms) == 0
    assert lengths == [min(BAN_MS << doublings, BAN_MAXIMUM_MS) for doublings in range(7)]
    assert lengths[-1] == DAY_MS


def test_after_a_day_without_a_ban_the_count_begins_anew():
    scores = Scores()
    scores.ban(KEY, "", False, 0)
    assert scores.ban(KEY, "", False, BAN_MS + DAY_MS).count == 2
    scores.score(KEY, 5 * DAY_MS)
    assert scores.ban(KEY, "", False, 5 * DAY_MS).count == 1


def test_a_seed_is_never_banned_for_long():
    scores, lengths, now_ms = Scores(), [], 0
    for _ in range(6):
        lengths.append(scores.ban(KEY, "", True, now_ms).remaining_ms // MINUTE_MS)
        now_ms += lengths[-1] * MINUTE_MS
    assert lengths == [1, 2, 4, 8, 10, 10]


def test_the_ip_address_is_banned_as_long_as_the_key():
    scores = Scores()
    scores.ban(KEY, "20.0.0.1", False, 0)
    assert scores.banned_host_ms("20.0.0.1", BAN_MS - 1) == 1
    assert scores.banned_host_ms("20.0.0.2", 0) == 0
    assert scores.banned_host_ms("20.0.0.1", BAN_MS) == 0


def test_who_comes_back_has_half_a_ban_to_lose():
    scores, _ = blamed(200)
    scores.ban(KEY, "", False, 0)
    assert scores.score(KEY, BAN_MS) == -50
    assert not scores.blame(KEY, "", 39, "again", BAN_MS)
    assert scores.blame(KEY, "", 11, "again", BAN_MS)


def test_reasons_are_bounded_and_fit_on_one_line():
    scores = Scores()
    for number in range(20):
        scores.blame(KEY, "", 1, f"{number}\n\x1b[31m\u202e" + "x" * 1_000, 0)
    reasons = scores.reasons(KEY)
    assert len(reasons) == REASONS_MAXIMUM and reasons[-1].startswith("19??[31m?x")
    assert all(len(reason) == REASON_CHARACTERS and reason.isprintable() for reason in reasons)


def test_bans_show_key_address_and_reasons():
    scores, _ = blamed(100)
    scores.ban(KEY, "20.0.0.1", False, 0)
    (ban,) = scores.bans(1_000)
    assert (ban.key, ban.address, ban.host, ban.count, ban.reasons) == (KEY, "20.0.0.1:1", "20.0.0.1", 1, ("why",))
    assert ban.remaining_ms == BAN_MS - 1_000
    assert scores.bans(BAN_MS) == []


def test_strangers_keys_do_not_push_out_bans():
    scores, _ = blamed(100)
    scores.ban(KEY, "20.0.0.1", False, 0)
    for number in range(3 * RECORDS_MAXIMUM):
        scores.praise(number.to_bytes(33, "big"), 1)
        scores.blame(number.to_bytes(33, "big"), "", 50, "noise", 1)
    assert len(scores.to_plain(1)) <= RECORDS_MAXIMUM
    assert scores.banned_ms(KEY, 1) == BAN_MS - 1 and scores.banned_host_ms("20.0.0.1", 1)


def test_scores_bans_and_reasons_outlive_a_restart_whatever_the_clock_says():
    scores, _ = blamed(100)
    scores.ban(KEY, "20.0.0.1", False, 0)
    scores.blame(b"other", "", 30, "late", 0)
    saved = json.loads(json.dumps(scores.to_plain(1_000)))
    again = Scores.from_plain(saved, 5_000_000)
    assert again.banned_ms(KEY, 5_000_000) == again.banned_host_ms("20.0.0.1", 5_000_000) == BAN_MS - 1_000
    assert again.score(b"other", 5_000_000) == -30
    assert again.reasons(KEY) == ("why",)
    assert again.ban(KEY, "", False, 5_000_000 + BAN_MS).count == 2


@pytest.mark.parametrize("rows", [[1], [[]], [["zz", "", "", 0, 0, 0, 0, []]], [["00", "", "", "", 0, 0, 0, []]]])
def test_rows_that_are_no_scores_are_refused(rows):
    with pytest.raises((ValueError, TypeError)):
        Scores.from_plain(rows, 0)


def test_no_saved_ban_lasts_longer_than_a_day():
    scores = Scores.from_plain([["00", "", "", -1, 10**9, 10**18, 0, []]], 0)
    assert scores.banned_ms(b"\0", 0) == BAN_MAXIMUM_MS
