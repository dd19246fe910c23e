"""For how long known validators are believed, and what a checkpoint does."""

from dataclasses import replace

import pytest

from chain.block import BOOTSTRAP, HANDOVER, STAKED
from chain.transition import Parent
from node.checkpoint import CheckpointError, Trust, age_words, checkpoint_text, newest_checkpoint, trusting_period_ms
from node.template import create_network, read_template, template_path
from tests.builders import a_network
from tests.node.lone_node import IDENTITY
from tests.node.sync_chain import grown

PARAMS = a_network().params
PERIOD = 16_000  # two thirds of 3 epochs of 8 blocks of a second
TIP = Parent(bytes(32), 100, 12, 3, 1_000_000, bytes(32), STAKED)


def test_the_trusting_period_is_two_thirds_of_the_unbonding_time() -> None:
    assert trusting_period_ms(PARAMS) == PERIOD
    template = read_template(template_path(), "main")
    main = create_network(template, "main", 1, (IDENTITY.bootstrap_validator(),)).params
    fourteen_days = 14 * 86_400_000
    assert trusting_period_ms(main) == 2 * fourteen_days // 3


@pytest.mark.parametrize("phase", [HANDOVER, STAKED])
def test_validators_with_stake_are_believed_for_the_trusting_period_and_not_longer(phase: int) -> None:
    trust, tip = Trust(PARAMS), replace(TIP, phase=phase)
    assert trust.refusal(tip, 0, tip.time_ms + PERIOD) is None
    told = trust.refusal(tip, 0, tip.time_ms + PERIOD + 1)
    assert told is not None and "block here, 100, is 16 seconds old" in told and "--checkpoint HEIGHT:HASH" in told


def test_founders_are_believed_without_end() -> None:
    assert Trust(PARAMS).refusal(replace(TIP, phase=BOOTSTRAP), 0, 1 << 60) is None


def test_what_was_fetched_with_good_reason_may_be_gone_on_with_for_the_trusting_period() -> None:
    trust, then = Trust(PARAMS), TIP.time_ms + 1_000_000
    assert trust.refusal(TIP, then, then + PERIOD) is None
    assert trust.refusal(TIP, then, then + PERIOD + 1) is not None


def test_a_checkpoint_leads_up_to_its_height_and_must_be_young_itself() -> None:
    late = TIP.time_ms + PERIOD + 1
    assert Trust(PARAMS, (101, bytes(32))).refusal(TIP, 0, late) is None
    for height in (100, 99):
        told = Trust(PARAMS, (height, bytes(32))).refusal(TIP, 0, late)
        assert told is not None and ("the block of the checkpoint" in told) == (height == 100)


def test_another_block_at_its_height_is_fatal_and_no_other_height_is_looked_at() -> None:
    trust = Trust(PARAMS, (100, b"a" * 32))
    trust.check(100, b"a" * 32)
    trust.check(99, b"b" * 32)
    trust.check(101, b"b" * 32)
    with pytest.raises(CheckpointError, match=f"{(b'b' * 32).hex()}, the checkpoint says {(b'a' * 32).hex()}"):
        trust.check(100, b"b" * 32)


def test_every_node_can_name_a_checkpoint_for_others() -> None:
    assert newest_checkpoint(grown().view(0).store) is None
    store = grown().view(16).store
    assert newest_checkpoint(store) == checkpoint_text(16, grown().blocks[15].header.hash())
    assert newest_checkpoint(store) == f"16:{grown().blocks[15].header.hash().hex()}"


def test_an_age_is_told_in_words() -> None:
    assert [age_words(ms) for ms in (-5, 0, 119_999, 120_000, 7_200_000, 3 * 86_400_000)] == [
        "0 seconds", "0 seconds", "119 seconds", "2 minutes", "2 hours", "3 days",
    ]  # fmt: skip
