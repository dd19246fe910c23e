"""Events in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import to_text
from wallet.answered import Answered
from wallet.errors import BadAnswer
from wallet.told import CHANGES, EARNINGS, told

MINE, ALSO_MINE, ALICE, STRANGER = (bytes([0, *[number] * 20]) for number in range(4))
NAMES = {ALICE: "alice", ALSO_MINE: "savings"}


def words(event, **content):
    return told(event, Answered(content, "an event"), (MINE, ALSO_MINE), NAMES.get)


def payment(payer, payee):
    amount = {"amount_nanos": "1500000000", "id": "00" * 32, "height": 7}
    return words("payment", **{"from": to_text(payer), "to": to_text(payee)}, **amount)


def test_a_payment_is_told_from_where_the_wallet_stands():
    assert payment(ALICE, MINE) == "Received: 1.5 NEURO from alice."
    assert payment(MINE, ALICE) == "Sent: 1.5 NEURO to alice is final."
    assert payment(MINE, ALSO_MINE) == f"Moved: 1.5 NEURO from {to_text(MINE)} to savings."


def test_who_has_no_name_is_told_by_the_whole_address():
    assert payment(STRANGER, MINE) == f"Received: 1.5 NEURO from {to_text(STRANGER)}."


@pytest.mark.parametrize("kind", EARNINGS)
def test_rewards_are_told_with_their_reason(kind):
    told_so = words("earning", kind=kind, amount_nanos="2", round=3, node="ab" * 32)
    assert told_so == f"Earned: 0.000000002 NEURO for {EARNINGS[kind]} (round 3, node abababab)."


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_no_reward_is_not_called_one(kind):
    told_so = words("earning", kind=kind, amount_nanos="1000000000", round=None, node=None)
    assert told_so == f"1 NEURO {CHANGES[kind]}."


def test_what_a_node_leaves_out_is_counted():
    told_so = words("earning", kind="reward", amount_nanos="1000000000", round=3, node=None, left_out=5)
    assert (
        told_so == "Earned: 1 NEURO for training (round 3). And 5 more like this in the same block: `history` has all."
    )


def test_rounds_that_end_are_told():
    assert words("round_closed", round=12) == "Round 12 is finished: the model has learnt."
    assert words("round_void", round=12) == "Round 12 has ended without a result."


def test_what_does_not_concern_a_wallet_is_not_told():
    assert words("progress", step=1) is None


def test_words_of_a_node_cannot_steer_the_terminal():
    assert "\x1b" not in words("earning", kind="\x1b[2Jgift", amount_nanos="1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["from", "to", "amount_nanos", "kind", "round", "node", "id", "height", "left_out"])


@given(st.sampled_from(["payment", "earning", "round_closed", "round_void"]), st.dictionaries(FIELDS, JSON))
def test_anything_that_a_node_sends_is_told_or_refused(kind, content):
    try:
        line = words(kind, **json.loads(json.dumps(content)))
    except BadAnswer:
        return
    assert line and line.isprintable()
