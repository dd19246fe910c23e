"""What may wait for a block, how much of it, how long, and what has to go."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chain.block import Validator
from chain.crypto import bls, ecdsa
from chain.errors import BadSignature, InvalidTransaction, NeuroError, NotEnoughFunds
from chain.fees import transaction_gas
from chain.money import NEURO
from chain.stakes import ValidatorKey, validator_key
from chain.state import State, ValidatorSet, set_key
from chain.transactions import (
    Action,
    Bond,
    MultiTransfer,
    Payment,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
    node_farewell,
)
from node import mempool as mempool_module
from node.errors import FundsTooLow, RefusedForNow
from node.mempool import Caps, Mempool
from node.mempool_checks import NONCE_WINDOW, check_applies
from node.relay_messages import name_of
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    NODE,
    a_key,
    a_network,
    a_registration,
    a_transaction,
    named,
    voting_key,
)
from tests.node.waiting import FEE, PLENTY, Waiters, an_accusation

HOUR_MS = 3_600_000


@pytest.fixture
def world() -> Waiters:
    world = Waiters()
    for key in (ALICE, CAROL):
        world.fund(key)
    return world


def refusal(world: Waiters, transaction: Transaction) -> NeuroError:
    """Why it is refused; it leaves the mempool as it was."""
    before = world.pool.ready(), len(world.pool), world.pool.size
    with pytest.raises(NeuroError) as error:
        world.pool.check(transaction, world.chain.state)
    with pytest.raises(type(error.value)):
        world.add(transaction)
    assert (world.pool.ready(), len(world.pool), world.pool.size) == before
    return error.value


def is_for_now(error: NeuroError) -> bool:
    return isinstance(error, RefusedForNow)


def with_action(world: Waiters, action: Action, sender: object = ALICE, **changes: object) -> Transaction:
    fee = 0 if isinstance(action, RegisterNode) else FEE
    return a_transaction(world.chain, action, sender=sender, **{"max_fee": fee, **changes})  # type: ignore[arg-type]


# ---- What no state could allow


def test_more_bytes_than_allowed_are_refused_for_good(world: Waiters, monkeypatch: pytest.MonkeyPatch) -> None:
    # No transaction of today's types reaches the limit; an evidence or multi-transfer of tomorrow may.
    transaction = world.transfer(ALICE)
    size = len(transaction.encode())
    monkeypatch.setattr(mempool_module, "TRANSACTION_BYTES_MAXIMUM", size - 1)
    error = refusal(world, transaction)
    assert f"{size} bytes, {size - 1} are allowed" in str(error) and not is_for_now(error)
    monkeypatch.setattr(mempool_module, "TRANSACTION_BYTES_MAXIMUM", size)
    world.add(transaction)


@pytest.mark.parametrize("fees", [{"max_fee": 1}, {"tip": 1}])
def test_a_registration_that_offers_a_fee_is_refused_for_good(world: Waiters, fees: dict[str, int]) -> None:
    error = refusal(world, a_registration(world.chain, **fees))
    assert "pays with its stamp" in str(error) and not is_for_now(error)


def test_a_registration_without_the_wanted_stamp_is_refused_for_good_before_its_signature() -> None:
    world = Waiters(network=a_network(validators=4, stamp_bits=4))
    good = a_registration(world.chain)
    assert isinstance(good.action, RegisterNode)
    weak = next(s for s in range(100) if s != good.action.stamp)
    error = refusal(world, replace(good, action=replace(good.action, stamp=weak)))
    assert "zero bits, 4 are wanted" in str(error) and not is_for_now(error)
    world.add(good)


@pytest.mark.parametrize("lane", [False, True])
def test_what_no_block_has_room_for_is_refused_for_good(lane: bool) -> None:
    chain = Waiters().chain
    transaction = a_registration(chain) if lane else a_transaction(chain, Unjail(), max_fee=FEE)
    gas = transaction_gas(transaction)
    for room in (gas - 1, gas):
        total, part = (10**6, room) if lane else (10**6 + room, 10**6)
        world = Waiters(network=a_network(validators=4, stamp_bits=0, block_gas_maximum=total, lane_gas_maximum=part))
        world.fund(ALICE)
        transaction = a_registration(world.chain) if lane else a_transaction(world.chain, Unjail(), max_fee=FEE)
        if room < gas:
            error = refusal(world, transaction)
            assert f"no block has room for more than {room}" in str(error) and not is_for_now(error)
        else:
            world.add(transaction)


def test_a_multi_transfer_to_nobody_is_refused_for_good(world: Waiters) -> None:
    error = refusal(world, with_action(world, MultiTransfer(())))
    assert "at least one address" in str(error) and not is_for_now(error)
    world.add(with_action(world, MultiTransfer((Payment(BOB.address, 1),))))


def test_votes_that_prove_nothing_are_refused_for_good(world: Waiters) -> None:
    chain_id = world.chain.network.chain_id
    good = an_accusation(chain_id)
    for evidence, words in (
        (replace(good, second=good.first), "can have cast both votes"),
        (replace(good, second=replace(good.second, view=2)), "can have cast both votes"),
        (replace(good, first=replace(good.first, kind=9)), "can have cast both votes"),
        (replace(good, first=good.second, second=good.first), "smaller encoding comes first"),
    ):
        error = refusal(world, with_action(world, evidence))
        assert words in str(error) and not is_for_now(error)


def test_a_signature_of_another_chain_or_sender_is_refused_for_good(world: Waiters) -> None:
    good = world.transfer(ALICE)
    foreign = world.transfer(ALICE, chain_id=named("other chain"))
    for bad in (foreign, replace(good, signature=bytes(64)), replace(good, sender=CAROL.public)):
        assert isinstance(refusal(world, bad), BadSignature)
    world.add(good)


# ---- What is not welcome as things are


def test_the_fee_covers_the_present_base_fee(world: Waiters) -> None:
    error = refusal(world, world.transfer(ALICE, max_fee=79))
    assert "max_fee 79 nanos per gas, the base fee is 80" in str(error) and is_for_now(error)
    world.wait(ALICE, max_fee=80)


@pytest.mark.parametrize(
    ("nonce", "words"), [(4, "nonce 4 is used, expected 5"), (6, "leaves a gap: send nonce 5 first")]
)
def test_a_nonce_that_is_used_or_leaves_a_gap_is_refused_for_now(world: Waiters, nonce: int, words: str) -> None:
    world.fund(ALICE, nonce=5)
    error = refusal(world, world.transfer(ALICE, nonce))
    assert words in str(error) and is_for_now(error)
    world.wait(ALICE, 5)
    world.wait(ALICE, 6)


def test_a_sender_may_have_so_many_waiting_and_not_one_more(world: Waiters) -> None:
    for nonce in range(NONCE_WINDOW):
        world.wait(ALICE, nonce)
    error = refusal(world, world.transfer(ALICE, NONCE_WINDOW))
    assert "may wait: try again after the next block" in str(error) and is_for_now(error)
    assert world.nonces(ALICE) == list(range(NONCE_WINDOW))
    world.fund(ALICE, nonce=1)
    world.wait(ALICE, NONCE_WINDOW)
    assert world.nonces(ALICE) == list(range(1, NONCE_WINDOW + 1))


BLS_SECRET = 5
CONSENT = NODE.sign(b"x" * 32)
AMOUNTS: list[tuple[Action, int]] = [
    (Transfer(BOB.address, 700), 700),
    (Transfer(ALICE.address, 700), 700),
    (MultiTransfer((Payment(BOB.address, 300), Payment(CAROL.address, 4), Payment(BOB.address, 300))), 604),
    (ServicePayment(BOB.address, 700, named("reference")), 700),
    (Bond(700, bls.public_key(BLS_SECRET), bls.prove_possession(BLS_SECRET)), 700),
    (Unbond(700), 0),
    (Withdraw(), 0),
    (Unjail(), 0),
    (RetireNode(NODE.public, CONSENT), 0),
]


@pytest.mark.parametrize(("action", "amount"), AMOUNTS, ids=[type(action).__name__ for action, _ in AMOUNTS])
def test_the_balance_covers_amount_and_highest_fee_to_the_nano(world: Waiters, action: Action, amount: int) -> None:
    if isinstance(action, RetireNode):
        consent = node_farewell(world.chain.network.chain_id, NODE.public, ALICE.public)
        action = replace(action, node_signature=NODE.sign(consent))
    transaction = with_action(world, action, tip=3)
    cost = amount + FEE * transaction_gas(transaction)
    world.fund(ALICE, cost - 1)
    error = refusal(world, transaction)
    assert f"could cost {cost} nanos, {cost - 1} are there" in str(error) and is_for_now(error)
    assert isinstance(error, FundsTooLow) and isinstance(error, NotEnoughFunds)
    world.fund(ALICE, cost)
    world.add(transaction)


def test_a_registration_costs_nothing(world: Waiters) -> None:
    world.fund(ALICE, 0)
    world.add(a_registration(world.chain))
    assert len(world.pool) == 1 and world.pool.size == 0


def test_the_balance_covers_all_that_waits_of_a_sender(world: Waiters) -> None:
    first, second = world.transfer(ALICE, 0, 1_000), world.transfer(ALICE, 1, 50)
    cost = 1_050 + FEE * (transaction_gas(first) + transaction_gas(second))
    world.fund(ALICE, cost - 1)
    world.add(first)
    assert isinstance(refusal(world, second), FundsTooLow)
    world.fund(ALICE, cost)
    world.add(second)
    # A replacement counts instead of what it replaces; what waits behind it still counts.
    dearer = world.transfer(ALICE, 0, 1_000, max_fee=110)
    assert isinstance(refusal(world, dearer), FundsTooLow)
    world.fund(ALICE, cost + 10 * transaction_gas(first))
    world.add(dearer)


def test_a_transaction_that_waits_already_is_answered_by_its_id(world: Waiters) -> None:
    good = world.transfer(ALICE)
    identity = world.add(good)
    assert world.add(good) == identity == good.id(world.chain.network.chain_id) and len(world.pool) == 1
    assert world.pool.find(identity) == good and world.pool.find(named("other")) is None


# ---- What was refused is remembered


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The signatures that were checked."""
    seen: list[bytes] = []
    really = ecdsa.verify

    def verify(key: bytes, digest: bytes, signature: bytes) -> bool:
        seen.append(signature)
        return really(key, digest, signature)

    monkeypatch.setattr(ecdsa, "verify", verify)
    yield seen


def test_a_bad_signature_is_checked_once(world: Waiters, verified: list[bytes]) -> None:
    bad = replace(world.transfer(ALICE), signature=named("r") + named("s"))
    for _ in range(3):
        with pytest.raises(BadSignature):
            world.add(bad)
    assert len(verified) == 1


def test_a_spoilt_copy_does_not_keep_the_good_one_out(world: Waiters) -> None:
    good = world.transfer(ALICE)
    with pytest.raises(BadSignature):
        world.add(replace(good, signature=named("r") + named("s")))
    world.add(good)
    assert world.pool.ready() == [good]


def test_what_is_refused_for_now_meets_no_signature_check_and_is_not_remembered(
    world: Waiters, verified: list[bytes]
) -> None:
    early = world.transfer(ALICE, 1)
    poor, low = world.transfer(CAROL, amount=PLENTY), world.transfer(ALICE, max_fee=1)
    for transaction in (early, poor, low):
        assert is_for_now(refusal(world, transaction))
    assert verified == []
    world.wait(ALICE, 0)
    world.add(early)
    world.fund(CAROL, 2 * PLENTY)
    world.add(poor)
    assert len(world.pool) == 3


# ---- One of a nonce


@pytest.mark.parametrize(
    ("offered", "needed"), [((100, 0), (110, 0)), ((101, 1), (112, 2)), ((109, 10), (120, 11)), ((110, 11), (121, 13))]
)
def test_a_replacement_offers_a_tenth_more_tip_and_fee_rounded_up(
    world: Waiters, offered: tuple[int, int], needed: tuple[int, int]
) -> None:
    first = world.add(world.transfer(ALICE, max_fee=offered[0], tip=offered[1]))
    fee, tip = needed
    for short in ({"max_fee": fee - 1, "tip": tip + 9}, {"max_fee": fee + 9, "tip": tip - 1})[: 2 if tip else 1]:
        error = refusal(world, world.transfer(ALICE, **short))
        assert f"a max_fee of {fee} and a tip of {tip} replace it" in str(error) and is_for_now(error)
    better = world.add(world.transfer(ALICE, max_fee=fee, tip=tip))
    assert world.pool.find(first) is None and world.pool.find(better) is not None and len(world.pool) == 1


def test_a_free_transaction_is_not_replaced_for_nothing(world: Waiters) -> None:
    world.set_base_fee(0)
    world.wait(ALICE, max_fee=0)
    assert is_for_now(refusal(world, world.transfer(ALICE, amount=2, max_fee=0)))
    world.wait(ALICE, amount=2, max_fee=1)
    world.add(a_registration(world.chain, wallet=CAROL))
    assert is_for_now(refusal(world, a_registration(world.chain, wallet=CAROL, node=BOB)))
    world.wait(CAROL, max_fee=1)
    assert len(world.pool) == 2


def test_a_replacement_keeps_the_nonces_before_and_behind(world: Waiters) -> None:
    for nonce in range(3):
        world.wait(ALICE, nonce)
    better = world.wait(ALICE, 1, max_fee=2 * FEE)
    assert [each.nonce for each in world.pool.ready()] == [0, 1, 2] and world.pool.ready()[1] == better
    assert world.pool.before(world.transfer(ALICE, 2)) == world.pool.ready()[:2]
    assert world.pool.before(world.transfer(ALICE, 0)) == world.pool.before(world.transfer(CAROL, 1)) == []


def test_a_wrong_signature_replaces_nothing(world: Waiters) -> None:
    good = world.wait(ALICE)
    better = replace(world.transfer(ALICE, max_fee=2 * FEE), signature=good.signature)
    assert isinstance(refusal(world, better), BadSignature) and world.pool.ready() == [good]


# ---- A full mempool


def full_world(**caps: int) -> tuple[Waiters, list[Transaction]]:
    """Three wallets with a transaction each, of tips 5, 6 and 7, and no room for more."""
    world = Waiters(Caps(**({"transactions": 3} | caps)))
    keys = world.funded("five", "six", "seven", "other", "another")
    return world, [world.wait(key, tip=tip) for key, tip in zip(keys, (5, 6, 7), strict=False)]


def test_the_lowest_effective_tip_has_to_go_for_a_higher_one() -> None:
    world, (_, six, seven) = full_world()
    other = a_key("other")
    error = refusal(world, world.transfer(other, tip=5))
    assert "offer more" in str(error) and is_for_now(error)
    newcomer = world.wait(other, tip=6)
    assert world.pool.ready() == [seven, six, newcomer]
    # Of equal tips the last to come is the first to go.
    last = world.wait(a_key("another"), tip=7)
    assert world.pool.ready() == [seven, last, six]


def test_a_tip_counts_only_as_far_as_the_fee_leaves_it() -> None:
    world, (_, six, seven) = full_world()
    # The base fee is 80: 1,000 is promised, 5 or 6 are left.
    assert is_for_now(refusal(world, world.transfer(a_key("other"), max_fee=85, tip=1_000)))
    newcomer = world.wait(a_key("other"), max_fee=86, tip=1_000)
    assert world.pool.ready() == [seven, six, newcomer]


def test_the_order_of_leaving_follows_the_base_fee() -> None:
    world, (_, six, seven) = full_world()
    tight = world.wait(a_key("other"), max_fee=90, tip=10)
    assert world.pool.ready() == [tight, seven, six]
    world.set_base_fee(85)
    newcomer = world.wait(a_key("another"), tip=6)
    assert world.pool.ready() == [seven, six, newcomer]


def test_a_replacement_needs_no_room() -> None:
    world, _ = full_world()
    world.wait(a_key("five"), max_fee=110, tip=6)
    assert sorted(each.tip for each in world.pool.ready()) == [6, 6, 7]


def test_of_a_sender_the_highest_nonces_go_first_whatever_they_tip() -> None:
    world = Waiters(Caps(transactions=3))
    poor, rich = world.funded("poor", "rich")
    world.wait(poor, 0, tip=1)
    world.wait(poor, 1, tip=20)
    world.wait(poor, 2, tip=20)
    for nonce, left in enumerate(([0, 1], [0], [])):
        world.wait(rich, nonce, tip=10)
        assert world.nonces(poor) == left
    assert world.nonces(rich) == [0, 1, 2]


def test_a_newcomer_ranks_no_higher_than_what_it_stands_behind() -> None:
    world = Waiters(Caps(transactions=2))
    poor, rich = world.funded("poor", "rich")
    world.wait(poor, 0, tip=1)
    world.wait(rich, 0, tip=2)
    assert is_for_now(refusal(world, world.transfer(poor, 1, tip=50)))
    assert is_for_now(refusal(world, world.transfer(rich, 1, tip=1)))
    world.wait(rich, 1, tip=50)
    assert world.nonces(poor) == [] and world.nonces(rich) == [0, 1]


def many_payments(world: Waiters, sender: object, number: int, **changes: object) -> Transaction:
    return with_action(world, MultiTransfer((Payment(BOB.address, 1),) * number), sender, **changes)


def test_bytes_are_limited_too_and_a_large_one_needs_the_room_of_several() -> None:
    small = len(Waiters().transfer(ALICE).encode())
    world, (_, _, seven) = full_world(transactions=100, bytes=3 * small)
    assert world.pool.size == 3 * small
    other = a_key("other")
    large = many_payments(world, other, 4, tip=7)
    assert small < len(large.encode()) <= 2 * small
    # It would need the room of two: one of tip 5, one of tip 6.
    assert is_for_now(refusal(world, many_payments(world, other, 4, tip=6)))
    world.add(large)
    assert world.pool.ready() == [seven, large] and world.pool.size == small + len(large.encode())


def test_one_byte_too_many_costs_a_place_and_none_too_many_does_not() -> None:
    small = len(Waiters().transfer(ALICE).encode())
    for spare, waiting in ((0, 4), (-1, 3)):
        world, _ = full_world(transactions=100, bytes=4 * small + spare)
        world.wait(a_key("other"), tip=9)
        assert len(world.pool) == waiting


def test_a_wrong_signature_drives_nobody_out() -> None:
    world, _ = full_world()
    good = world.transfer(a_key("other"), tip=50)
    assert isinstance(refusal(world, replace(good, signature=bytes(64))), BadSignature)
    world.add(good)
    assert len(world.pool) == 3


# ---- Lanes of their own


def test_registrations_have_a_lane_of_their_own_with_its_own_cap() -> None:
    world, _ = full_world(registrations=2)
    wallets = [a_key(f"wallet {i}") for i in range(3)]
    registrations = [a_registration(world.chain, wallet=key, node=key) for key in wallets]
    for registration in registrations[:2]:
        world.add(registration)
    error = refusal(world, registrations[2])
    assert "2 registrations wait already" in str(error) and is_for_now(error)
    # They were in nobody's way, and nobody's tip drives them out.
    assert len(world.pool) == 5
    world.wait(a_key("other"), tip=1_000)
    assert world.pool.ready()[:2] == registrations[:2] and len(world.pool) == 5


def test_evidence_has_a_lane_of_its_own_with_its_own_cap() -> None:
    world, transactions = full_world(evidence=2)
    reporters = world.funded("r0", "r1", "r2")
    chain_id = world.chain.network.chain_id
    reports = [with_action(world, an_accusation(chain_id, i), key) for i, key in enumerate(reporters)]
    for report in reports[:2]:
        world.add(report)
    error = refusal(world, reports[2])
    assert "2 pieces of evidence wait already" in str(error) and is_for_now(error)
    for name in ("other", "another"):
        world.wait(a_key(name), tip=1_000)
    assert world.pool.ready()[:2] == reports[:2] and len(world.pool) == 5 and transactions[0] not in world.pool.ready()


def test_evidence_pays_its_fee_like_others(world: Waiters) -> None:
    evidence = an_accusation(world.chain.network.chain_id)
    assert is_for_now(refusal(world, with_action(world, evidence, max_fee=79)))
    report = with_action(world, evidence)
    world.fund(ALICE, FEE * transaction_gas(report) - 1)
    assert isinstance(refusal(world, report), FundsTooLow)
    world.fund(ALICE, FEE * transaction_gas(report))
    world.add(report)


def test_one_accusation_waits_for_each_offender(world: Waiters) -> None:
    chain_id = world.chain.network.chain_id
    world.add(with_action(world, an_accusation(chain_id)))
    again = with_action(world, an_accusation(chain_id, names=("one", "third")), CAROL)
    assert "waits already" in str(refusal(world, again)) and is_for_now(refusal(world, again))
    # Its own sender may offer more for it.
    world.add(with_action(world, an_accusation(chain_id, names=("one", "third")), max_fee=110))
    world.add(with_action(world, an_accusation(chain_id, 1), CAROL))
    assert len(world.pool) == 2


def test_evidence_has_its_senders_next_nonce(world: Waiters) -> None:
    world.wait(ALICE, 0)
    evidence = an_accusation(world.chain.network.chain_id)
    error = refusal(world, with_action(world, evidence, nonce=1))
    assert "send it with nonce 0" in str(error) and is_for_now(error)
    report = with_action(world, evidence, nonce=0, max_fee=110)
    world.add(report)
    after = world.wait(ALICE, 1)
    assert world.pool.ready() == [report, after]


def test_evidence_that_does_not_hold_is_refused(world: Waiters) -> None:
    chain_id = world.chain.network.chain_id
    good = an_accusation(chain_id)
    forged = replace(good, first=replace(good.first, signature=good.second.signature))
    assert isinstance(refusal(world, with_action(world, forged)), BadSignature)
    stranger = replace(good, first=replace(good.first, signer=4), second=replace(good.second, signer=4))
    assert is_for_now(refusal(world, with_action(world, stranger)))
    unknown = replace(good, first=replace(good.first, epoch=9), second=replace(good.second, epoch=9))
    assert "epoch 9 are not known" in str(refusal(world, with_action(world, unknown)))
    member = world.chain.state.validators(0).members[0]
    world.chain.records[validator_key(member.public_key)] = ValidatorKey(BOB.address, True).encode()
    assert "banned already" in str(refusal(world, with_action(world, good)))
    world.add(with_action(world, an_accusation(chain_id, 1)))


def test_votes_of_a_validator_that_has_left_with_all_its_stake_are_refused(world: Waiters) -> None:
    # Its set is known for longer than its key: nobody need have signed anything to name it.
    world.chain.records[set_key(0)] = ValidatorSet((Validator(voting_key(BOB), 5),)).encode()
    report = with_action(world, an_accusation(world.chain.network.chain_id))
    assert "has left" in str(refusal(world, report)) and is_for_now(refusal(world, report))


def test_evidence_goes_once_it_has_nothing_to_do_or_cannot_pay(world: Waiters) -> None:
    chain_id = world.chain.network.chain_id
    reports = [with_action(world, an_accusation(chain_id, i), key) for i, key in enumerate((ALICE, CAROL))]
    for report in reports:
        world.add(report)
    behind = world.wait(CAROL, 1)
    member = world.chain.state.validators(0).members[0]
    world.chain.records[validator_key(member.public_key)] = ValidatorKey(BOB.address, True).encode()
    world.follow()
    assert world.pool.ready() == [reports[1], behind]
    world.set_base_fee(FEE)
    world.follow()
    assert len(world.pool) == 2
    world.set_base_fee(FEE + 1)
    world.follow()
    assert len(world.pool) == 0


# ---- The order of a block


def test_a_block_takes_evidence_then_registrations_then_the_highest_tips(world: Waiters) -> None:
    keys = world.funded("low", "high", "newcomer")
    low, high = world.wait(keys[0], tip=1), world.wait(keys[1], tip=9)
    registration = a_registration(world.chain, wallet=keys[2])
    world.add(registration)
    report = with_action(world, an_accusation(world.chain.network.chain_id))
    world.add(report)
    assert world.pool.ready() == [report, registration, high, low]


def test_a_senders_nonces_ascend_and_its_later_tips_wait_for_its_earlier(world: Waiters) -> None:
    one, other = world.funded("one", "other")
    for nonce, tip in enumerate((2, 9, 3)):
        world.wait(one, nonce, tip=tip)
    for nonce, tip in enumerate((5, 1)):
        world.wait(other, nonce, tip=tip)
    assert [each.tip for each in world.pool.ready()] == [5, 2, 9, 3, 1]


def test_equal_tips_go_by_arrival(world: Waiters) -> None:
    keys = world.funded(*map(str, range(8)))
    expected = [world.wait(key, tip=3) for key in keys]
    assert world.pool.ready() == expected
    # A replacement has come later.
    again = world.wait(keys[0], max_fee=110, tip=4)
    world.set_base_fee(100)
    world.follow()
    assert world.pool.ready() == [again, *expected[1:]]
    late = world.wait(keys[1], max_fee=110, tip=4)
    assert world.pool.ready() == [again, late, *expected[2:]]


def test_what_cannot_pay_the_base_fee_is_not_ready_nor_what_stands_behind_it(world: Waiters) -> None:
    world.wait(ALICE, 0, max_fee=90)
    world.wait(ALICE, 1, max_fee=200)
    other = world.wait(CAROL, 0)
    world.set_base_fee(91)
    world.follow()
    assert world.pool.ready() == [other] and len(world.pool) == 3
    assert world.pool.has_ready(100) and not world.pool.has_ready(101)
    world.set_base_fee(90)
    world.follow()
    assert len(world.pool.ready()) == 3


# ---- Time


def test_what_no_block_takes_is_forgotten_after_three_hours(world: Waiters) -> None:
    began = world.clock.ms
    world.wait(ALICE)
    world.clock.ms = began + 3 * HOUR_MS - 1
    world.wait(CAROL)
    assert len(world.pool) == 2
    world.clock.ms = began + 3 * HOUR_MS
    world.follow()
    assert world.pool.ready() == [world.transfer(CAROL)]


def test_with_a_transaction_its_time_ends_for_those_behind_it(world: Waiters) -> None:
    world.wait(ALICE, 0)
    world.wait(ALICE, 1)
    world.clock.ms += HOUR_MS
    world.wait(ALICE, 2)
    world.wait(ALICE, 1, max_fee=110)
    world.clock.ms += 2 * HOUR_MS
    world.follow()
    assert len(world.pool) == 0


def test_a_clock_that_is_set_back_keeps_nothing_for_ever(world: Waiters) -> None:
    world.wait(ALICE)
    world.clock.ms += HOUR_MS
    world.follow()
    world.clock.ms -= 10_000 * HOUR_MS
    world.wait(CAROL)
    world.clock.ms += 2 * HOUR_MS - 1
    world.follow()
    assert len(world.pool) == 2
    world.clock.ms += 1
    world.follow()
    assert world.pool.ready() == [world.transfer(CAROL)]
    world.clock.ms -= HOUR_MS
    world.follow()
    world.clock.ms += HOUR_MS
    world.follow()
    assert len(world.pool) == 0


# ---- After a block


def test_what_a_block_has_taken_is_forgotten(world: Waiters) -> None:
    taken, kept = world.add(world.transfer(ALICE, 0)), world.add(world.transfer(ALICE, 1))
    world.fund(ALICE, nonce=1)
    world.follow(ALICE)
    assert world.pool.find(taken) is None and world.pool.find(kept) is not None and world.nonces(ALICE) == [1]


def test_what_the_balance_no_longer_covers_goes_highest_nonce_first(world: Waiters) -> None:
    transactions = [world.wait(ALICE, nonce) for nonce in range(4)]
    cost = 1 + FEE * transaction_gas(transactions[0])
    for balance, left in ((4 * cost, 4), (4 * cost - 1, 3), (2 * cost, 2), (cost - 1, 0)):
        world.fund(ALICE, balance)
        world.follow(ALICE)
        assert world.nonces(ALICE) == list(range(left))


def test_only_senders_that_the_block_touched_are_looked_at(world: Waiters) -> None:
    keys = world.funded(*map(str, range(20)))
    for key in keys:
        world.wait(key)
    read: list[bytes] = []

    def watched(key: bytes) -> bytes | None:
        read.append(key)
        return world.chain.records.get(key)

    world.fund(keys[3], nonce=1)
    changed = [b"a" + keys[3].address, b"a" + a_key("nobody who waits").address, b"l"]
    world.pool.follow(State(watched), changed)
    assert [key for key in read if key[:1] == b"a"] == [b"a" + keys[3].address] and len(world.pool) == 19


def test_what_turned_out_not_to_apply_is_dropped_with_what_stands_behind_it(world: Waiters) -> None:
    for nonce in range(3):
        world.wait(ALICE, nonce)
    order = world.pool.order(80)
    order.next()
    order.advance()
    second = order.next()
    assert second is not None and second.nonce == 1
    world.pool.drop(second)
    assert world.nonces(ALICE) == [0]
    world.pool.drop(second)
    assert world.nonces(ALICE) == [0]


# ---- Before the mempool


def test_a_transaction_applies_after_those_that_wait_before_it(world: Waiters) -> None:
    chain = world.chain
    chain.fund(ALICE, NEURO)
    half = chain.balance(ALICE) * 6 // 10
    first, second = world.transfer(ALICE, 0, half), world.transfer(ALICE, 1, half)
    check_applies(first, [], chain.state, 1, chain.network)
    with pytest.raises(InvalidTransaction, match="nonce 1, expected 0"):
        check_applies(second, [], chain.state, 1, chain.network)
    with pytest.raises(NotEnoughFunds):
        check_applies(second, [first], chain.state, 1, chain.network)
    check_applies(world.transfer(ALICE, 1), [first], chain.state, 1, chain.network)
    # What a block has taken meanwhile does not count twice.
    world.fund(ALICE, chain.balance(ALICE), nonce=1)
    check_applies(world.transfer(ALICE, 1), [first], chain.state, 1, chain.network)


def test_a_mempool_by_itself_goes_by_the_wall_clock(world: Waiters) -> None:
    pool = Mempool(world.chain.network)
    pool.add(world.transfer(ALICE), world.chain.state)
    assert len(pool) == 1 and pool.caps == Caps()


# ---- For peers


def test_a_waiting_transaction_is_found_by_what_peers_call_it_until_it_goes(world: Waiters) -> None:
    told: list[bytes] = []
    world.pool.on_added = lambda waiting: told.append(waiting.name)
    first, second = world.wait(ALICE), world.wait(CAROL)
    names = [name_of(each.encode()) for each in (first, second)]
    world.add(first)
    assert told == world.pool.names() == names
    assert world.pool.find_transaction(names[0]) == first.encode()
    dearer = world.wait(ALICE, max_fee=2 * FEE)
    assert world.pool.find_transaction(names[0]) is None and len(told) == 3
    assert world.pool.find_transaction(name_of(dearer.encode())) == dearer.encode()
    world.fund(CAROL, nonce=1)
    world.follow(CAROL)
    assert world.pool.find_transaction(names[1]) is None


def test_evidence_and_a_registration_whose_turn_it_is_are_worth_a_block_at_once(world: Waiters) -> None:
    world.wait(ALICE)
    assert not world.pool.is_urgent()
    behind = a_registration(world.chain, wallet=ALICE, nonce=1)
    world.add(behind)
    assert not world.pool.is_urgent()
    world.add(a_registration(world.chain, wallet=CAROL, node=a_key("another node")))
    assert world.pool.is_urgent()
    other = Waiters()
    other.fund(ALICE)
    other.add(a_transaction(other.chain, an_accusation(other.chain.network.chain_id)))
    assert other.pool.is_urgent()
