"""What an epoch pays for training, uptime and data: never more than its budgets, and never more for being many."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.attestations import open_poll
from chain.money import burn_share
from chain.receipts import Minted
from chain.rewards import MINUTE_MS, Work, data_budget, divide, epoch_rewards, training_budget, uptime_budget
from chain.state import HOLDING, Revealed, round_key
from tests.builders import ALICE, BOB, Chain, Key, a_key, a_network, a_proof, a_registration

PARAMS = a_network(
    base_work_batches=50, rate_batch_nanos=1_000, rate_minute_nanos=100, rate_sample_nanos=30
).params  # 5 % of the emission to uptime at most, 10 % to data
CLAIMS = st.lists(st.integers(0, 10**6), max_size=8)
WORK = st.builds(Work, CLAIMS, CLAIMS.map(lambda claims: [claim * 600 for claim in claims]), CLAIMS)


# ---- Budgets


def test_a_minute_earns_its_rate_until_uptime_has_a_twentieth_of_what_training_earned():
    assert [uptime_budget(minutes * MINUTE_MS, 20_000, PARAMS) for minutes in (0, 1, 9, 10, 11, 10**6)] == [
        0,
        100,
        900,
        1_000,
        1_000,
        1_000,
    ]


def test_a_sample_earns_its_rate_until_data_has_a_tenth_of_what_training_earned():
    assert [data_budget(samples, 30_000, PARAMS) for samples in (0, 1, 99, 100, 101, 10**6)] == [
        0,
        30,
        2_970,
        3_000,
        3_000,
        3_000,
    ]


def test_a_share_of_an_odd_emission_is_rounded_down():
    assert uptime_budget(10**9, 19, PARAMS) == 0
    assert uptime_budget(10**9, 20, PARAMS) == uptime_budget(10**9, 39, PARAMS) == 1
    assert uptime_budget(599, 20_000, PARAMS) == 0 and uptime_budget(600, 20_000, PARAMS) == 1  # 100 nanos a minute
    assert data_budget(10**6, 9, PARAMS) == 0
    assert data_budget(10**6, 10, PARAMS) == data_budget(10**6, 19, PARAMS) == 1


def test_an_epoch_without_training_pays_for_nothing():
    assert epoch_rewards(Work(milliseconds=[60, 60], samples=[10**9]), PARAMS).total == 0


def test_a_base_rate_is_paid_whole_while_its_budget_lasts():
    rewards = epoch_rewards(Work([10, 30], [4 * MINUTE_MS, 6 * MINUTE_MS], [1, 100]), PARAMS)
    assert rewards.training == [10_000, 30_000]
    assert rewards.uptime == [400, 600]
    assert rewards.data == [30, 3_000]
    assert rewards.total == 44_030


def test_all_claims_of_a_kind_are_scaled_alike_when_its_budget_binds():
    rewards = epoch_rewards(Work([40], [MINUTE_MS * each for each in (1, 2, 4, 14)], [1_000, 2_000]), PARAMS)
    # 2,000 nanos for 21 minutes: 95.2, 190.5, 381.0, 1,333.3; the odd nano goes to the largest remainder.
    assert rewards.uptime == [95, 191, 381, 1_333]
    assert rewards.data == [1_333, 2_667]


def test_what_one_epoch_did_not_pay_the_next_one_does_not_pay_either():
    poor, rich = Work([1], [10**9], [1_000]), Work([40], [MINUTE_MS], [1])
    assert (epoch_rewards(poor, PARAMS).uptime, epoch_rewards(poor, PARAMS).data) == ([50], [100])
    assert (epoch_rewards(rich, PARAMS).uptime, epoch_rewards(rich, PARAMS).data) == ([100], [30])


def test_uptime_and_data_follow_training_into_its_diminishing_returns():
    once, four_times = (epoch_rewards(Work([50 * times], [10**9], [10**6]), PARAMS) for times in (1, 4))
    assert sum(once.uptime) == 2_500 and sum(four_times.uptime) == 5_000
    assert sum(once.data) == 5_000 and sum(four_times.data) == 10_000


@settings(max_examples=200)
@given(WORK)
def test_an_epoch_emits_exactly_its_budgets_and_they_are_within_their_bounds(work):
    rewards = epoch_rewards(work, PARAMS)
    emission = training_budget(sum(work.batches), PARAMS)
    assert sum(rewards.training) == emission <= sum(work.batches) * PARAMS.rate_batch_nanos
    assert sum(rewards.uptime) == uptime_budget(sum(work.milliseconds), emission, PARAMS)
    assert sum(rewards.data) == data_budget(sum(work.samples), emission, PARAMS)
    assert 20 * sum(rewards.uptime) <= emission and 10 * sum(rewards.data) <= emission
    if sum(work.batches) > PARAMS.base_work_batches:
        assert emission**2 <= PARAMS.rate_batch_nanos**2 * sum(work.batches) * PARAMS.base_work_batches


@settings(max_examples=200)
@given(WORK)
def test_no_claim_earns_more_than_its_base_rate_and_equal_claims_differ_by_a_nano_at_most(work):
    rewards = epoch_rewards(work, PARAMS)
    for claims, earned, rate, unit in [
        (work.batches, rewards.training, PARAMS.rate_batch_nanos, 1),
        (work.milliseconds, rewards.uptime, PARAMS.rate_minute_nanos, MINUTE_MS),
        (work.samples, rewards.data, PARAMS.rate_sample_nanos, 1),
    ]:
        assert len(earned) == len(claims)
        for claim, amount in zip(claims, earned, strict=True):
            assert 0 <= amount <= -(-claim * rate // unit)
            assert all(abs(amount - b) <= 1 for a, b in zip(claims, earned, strict=True) if a == claim)


# ---- Splitting


@settings(max_examples=200)
@given(
    st.lists(st.integers(0, 10**4), min_size=1, max_size=6),
    st.lists(st.integers(0, 10**4), max_size=6),
    st.sampled_from([100, 10_000, 10**6]),
)
def test_work_split_over_k_claims_earns_k_minus_1_nanos_more_at_most(parts, others, budget):
    alone = divide(budget, [sum(parts), *others])[0]
    before, after = sum(divide(budget, [*parts, *others])[: len(parts)]), divide(budget, [*others, *parts])
    most = alone + len(parts) - 1
    assert before <= most
    assert sum(after[len(others) :]) <= divide(budget, [*others, sum(parts)])[-1] + len(parts) - 1


@pytest.mark.parametrize(("parts", "others", "more"), [([30, 30], [28] * 5, 1), ([300] * 3, [262] * 7 + [266], 2)])
def test_those_nanos_can_be_had(parts, others, more):
    """Many small remainders win where one large one wins as well: k nanos instead of one."""
    budget = (sum(parts) + sum(others)) // (100 if len(parts) == 2 else 1_000)
    alone = divide(budget, [sum(parts), *others])[0]
    assert sum(divide(budget, [*parts, *others])[: len(parts)]) == alone + more == alone + len(parts) - 1


@settings(max_examples=200)
@given(st.lists(st.integers(0, 10), min_size=1, max_size=5), st.lists(st.integers(0, 5), max_size=4))
def test_while_the_base_rate_is_paid_splitting_changes_no_nano(parts, others):
    assert sum(parts) + sum(others) <= 70
    params = a_network(base_work_batches=70).params
    alone = epoch_rewards(Work([sum(parts), *others]), params).training[0]
    assert sum(epoch_rewards(Work([*parts, *others]), params).training[: len(parts)]) == alone


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8), st.integers(1, 10_000))
def test_a_payment_in_k_parts_burns_no_less_and_k_minus_1_nanos_more_at_most(parts, basis_points):
    whole = burn_share(sum(parts), basis_points)
    assert whole <= sum(burn_share(part, basis_points) for part in parts) <= whole + len(parts) - 1


# ---- The same on the ledger

RATE = 500_000
OTHER = a_key("other")
SPLITTERS = tuple(map(a_key, ("first", "second", "third", "fourth")))
WALLETS = tuple(map(a_key, ("one", "two", "three", "four")))


def set_base_fee(chain: Chain, base_fee: int) -> None:
    draft = chain.state.fork()
    draft.update_ledger(base_fee=base_fee)
    chain._keep_outside_of_blocks(draft)


def show_payloads_that_nobody_holds(chain: Chain, nodes: list[Key]) -> None:
    """As if all had revealed, also those with too few segments for a seat: the round ends void and pays them."""
    draft, current = chain.state.fork(), chain.round
    shown = tuple(Revealed(node.node, node.node, 1, 1, 1) for node in sorted(nodes, key=lambda each: each.node))
    poll = open_poll(0, (revealed.payload_root for revealed in shown))
    held = replace(current, phase=HOLDING, deadline_height=chain.parent.height + 2, revealed=shown, availability=poll)
    draft.put(round_key(current.number), held)
    chain._keep_outside_of_blocks(draft)


def a_void_round(owners: list[tuple[Key, Key]], turns: list[Key], fees: tuple[int, ...] = (), **params: int) -> Chain:
    """One round in which nodes prove a segment each time it is their turn; (wallet, node) are registered before."""
    numbers = {"epoch_blocks": 20, "vest_rounds": 0, "train_blocks": 8, "base_fee_initial": 10, "base_fee_minimum": 10}
    chain = Chain(a_network(**(numbers | params)))
    chain.block([a_registration(chain, wallet=BOB, node=OTHER)])
    for wallet, node in owners:
        chain.block([a_registration(chain, wallet=wallet, node=node)])
    while chain.round.opened_height < len(owners) + 1 or chain.round.mix == bytes(32):
        chain.empty_blocks(1)
    for turn, node in enumerate(turns):
        if fees:
            set_base_fee(chain, fees[turn])
        chain.block(proofs=[a_proof(chain, node)])
    show_payloads_that_nobody_holds(chain, list(dict.fromkeys(turns)))
    while not chain.state.supply.minted:
        chain.end_epoch()
    return chain


def earned(chain: Chain, *wallets: Key) -> int:
    return sum(
        receipt.amount
        for applied in chain.blocks
        for receipt in applied.receipts
        if isinstance(receipt, Minted) and receipt.wallet in [wallet.address for wallet in wallets]
    )


@pytest.mark.parametrize("base_work", [1, 5, 7, 11, 12, 100])
@pytest.mark.parametrize("wallets", [(ALICE,) * 4, WALLETS])
def test_the_same_segments_by_four_nodes_of_one_or_four_wallets_pay_no_more(base_work, wallets):
    both = [OTHER, OTHER]
    one = a_void_round([(ALICE, SPLITTERS[0])], [SPLITTERS[0]] * 4 + both, base_work_batches=base_work)
    split = a_void_round(list(zip(wallets, SPLITTERS, strict=True)), [*SPLITTERS, *both], base_work_batches=base_work)
    assert one.state.supply.minted == split.state.supply.minted == training_budget(12, one.network.params)
    most = 0 if base_work >= 12 else 3
    assert earned(split, *set(wallets)) <= earned(one, ALICE) + most
    # The same proofs owe the same fees, so what can be spent differs by as little.
    spendable = sum(split.balance(wallet) for wallet in set(wallets))
    assert spendable - one.balance(ALICE) == earned(split, *set(wallets)) - earned(one, ALICE)


def test_splitting_saves_no_more_than_leaving_out_what_is_proven_at_a_loss():
    """A claim owes no more than it earns, so a wallet can hide a loss behind another node; or just not make it."""
    first, second = SPLITTERS[:2]
    dear = (10, 1_000)  # the second proof costs 1,319,000 nanos and earns 1,000,000
    one = a_void_round([(ALICE, first)], [first, first], dear)
    split = a_void_round([(ALICE, first), (ALICE, second)], [first, second], dear)
    frugal = a_void_round([(ALICE, first)], [first], dear)
    assert one.balance(ALICE) == 4 * RATE - 1_319 * (10 + 1_000)
    assert split.balance(ALICE) == one.balance(ALICE) + 1_319 * 1_000 - 2 * RATE
    assert split.balance(ALICE) == frugal.balance(ALICE)
