"""The order of an account's transactions, against the mempool and the ledger that really judge them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidTransaction
from chain.transactions import Bond, RegisterNode, Transaction, Transfer
from node.errors import RefusedForNow
from node.mempool import Caps
from node.mempool_checks import NONCE_WINDOW, REPLACEMENT_DIVISOR, check_applies
from tests.builders import ALICE, BOB, Key, a_bond, a_registration, a_transfer
from tests.node.waiting import PLENTY, Waiters
from tests.wallet.cases import CHAIN, a_sent, unhurried
from wallet import nonces
from wallet.errors import NonceError, TooManyWaiting
from wallet.nonces import Standing, View, cancel, current, next_nonce, raised, speed_up, standings, to_rebroadcast
from wallet.pending import Sent
from wallet.signing import Fees, UnsignedTransaction, sign

FREE = Fees(0, 0)


@pytest.fixture
def world() -> Waiters:
    world = Waiters()
    world.chain.fund(ALICE, PLENTY)
    return world


def kept(world: Waiters, transaction: Transaction, at_ms: int = 0) -> Sent:
    return Sent(transaction, world.chain.network.chain_id, at_ms)


def seen(world: Waiters, final: frozenset[bytes] = frozenset(), key: Key = ALICE) -> View:
    """What a node would tell of an account now."""
    waiting = tuple(each.id for each in world.pool.waiting_of(key.address))
    return View(world.chain.state.account(key.address).nonce, waiting, final)


def signed(unsigned: UnsignedTransaction) -> Transaction:
    return sign(unsigned, ALICE.secret)


def of(view: View, *sent: Sent) -> list[Standing]:
    return [standing for _, standing in standings(view, sent)]


def test_the_rules_of_the_mempool_are_those_that_the_wallet_counts_with() -> None:
    assert (nonces.WINDOW, nonces.REPLACEMENT_DIVISOR) == (NONCE_WINDOW, REPLACEMENT_DIVISOR)


# ---- The next nonce


def test_the_next_nonce_is_the_one_that_the_mempool_takes(world: Waiters) -> None:
    sent: list[Sent] = []
    for number in range(NONCE_WINDOW):
        nonce = next_nonce(seen(world), sent)
        assert nonce == number
        sent.append(kept(world, world.wait(ALICE, nonce)))
        # What this wallet has no record of, because another machine sent it, counts as well.
        assert next_nonce(seen(world), []) == nonce + 1 if nonce < NONCE_WINDOW - 1 else True
    with pytest.raises(TooManyWaiting, match="16 transactions"):
        next_nonce(seen(world), sent)
    with pytest.raises(RefusedForNow):
        world.wait(ALICE, NONCE_WINDOW)


def test_what_is_recorded_but_not_yet_at_the_node_keeps_its_nonce(world: Waiters) -> None:
    sent = [kept(world, world.transfer(ALICE, number)) for number in range(3)]
    assert next_nonce(seen(world), sent) == 3
    assert next_nonce(seen(world), sent[:1]) == 1


def test_a_gap_is_filled_first() -> None:
    assert next_nonce(View(4), [a_sent(5), a_sent(7)]) == 4
    assert next_nonce(View(4), [a_sent(4), a_sent(5), a_sent(7)]) == 6
    assert next_nonce(View(4, (bytes(32),)), [a_sent(6)]) == 5


def test_after_the_ledger_has_gone_on_elsewhere_the_next_nonce_follows_it() -> None:
    assert next_nonce(View(40), [a_sent(3), a_sent(4)]) == 40


@unhurried
@given(
    st.integers(0, 2**60),
    st.integers(0, 16),
    st.lists(st.integers(-3, 20), max_size=20, unique=True),
)
def test_the_next_nonce_was_never_given_away(nonce: int, waiting: int, offsets: list[int]) -> None:
    sent = [replace_nonce(max(0, nonce + offset)) for offset in offsets]
    view = View(nonce, tuple(bytes([number]) * 32 for number in range(waiting)))
    taken = {each.nonce for each in sent}
    try:
        found = next_nonce(view, sent)
    except TooManyWaiting:
        assert all(number in taken for number in range(nonce + waiting, nonce + NONCE_WINDOW))
        return
    assert nonce + waiting <= found < nonce + NONCE_WINDOW and found not in taken
    assert all(number in taken for number in range(nonce + waiting, found))


def replace_nonce(nonce: int) -> Sent:
    """Not signed: only its place is asked for."""
    template = a_sent()
    return replace(template, transaction=replace(template.transaction, nonce=nonce))


# ---- What became of them


def test_what_waits_at_the_node_is_waiting_and_then_final(world: Waiters) -> None:
    sent = kept(world, world.wait(ALICE))
    assert of(seen(world), sent) == [Standing.WAITING]
    world.chain.quick_block(sent.transaction)
    world.follow(ALICE)
    assert of(seen(world), sent) == [Standing.USED]
    assert of(seen(world, frozenset((sent.id,))), sent) == [Standing.FINAL]


def test_what_was_replaced_is_told_apart_from_what_replaced_it(world: Waiters) -> None:
    first = kept(world, world.wait(ALICE))
    second = kept(world, signed(speed_up(first, [first], FREE)))
    world.add(second.transaction)
    assert of(seen(world), first, second) == [Standing.REPLACED, Standing.WAITING]
    world.chain.quick_block(second.transaction)
    world.follow(ALICE)
    assert of(seen(world, frozenset((second.id,))), first, second) == [Standing.REPLACED, Standing.FINAL]
    # The one that was given up may win all the same: somebody else kept it.
    assert of(seen(world, frozenset((first.id,))), first, second) == [Standing.FINAL, Standing.REPLACED]


def test_what_another_machine_sent_with_the_same_nonce_replaced_ours(world: Waiters) -> None:
    ours = kept(world, world.transfer(ALICE, 0, 5))
    world.wait(ALICE, 0, max_fee=500)
    assert of(seen(world), ours) == [Standing.REPLACED]


def test_after_three_hours_the_node_has_forgotten_and_takes_it_again(world: Waiters) -> None:
    sent = [kept(world, world.wait(ALICE, number)) for number in range(3)]
    assert of(seen(world), *sent) == [Standing.WAITING] * 3 and to_rebroadcast(seen(world), sent) == []
    world.clock.ms += Caps().time_to_live_ms
    world.follow()
    assert of(seen(world), *sent) == [Standing.LOST] * 3
    # Its nonces stay taken: a copy may wait at another node.
    assert next_nonce(seen(world), sent) == 3
    again = to_rebroadcast(seen(world), sent)
    assert again == sent
    for each in again:
        world.add(Transaction.decode(each.raw))
    assert of(seen(world), *sent) == [Standing.WAITING] * 3


def test_what_stands_behind_a_gap_is_blocked_until_the_gap_is_filled(world: Waiters) -> None:
    behind = kept(world, world.transfer(ALICE, 1))
    assert of(seen(world), behind) == [Standing.BLOCKED] and to_rebroadcast(seen(world), [behind]) == []
    world.wait(ALICE, next_nonce(seen(world), [behind]))
    assert of(seen(world), behind) == [Standing.LOST]
    world.add(to_rebroadcast(seen(world), [behind])[0].transaction)
    assert of(seen(world), behind) == [Standing.WAITING]


def test_of_several_with_one_nonce_the_dearest_is_sent_again() -> None:
    cheap, dear = a_sent(0, 2_000), a_sent(0, 1_000, max_fee=200)
    assert current([cheap, dear], 0) is dear and current([], 0) is None
    assert to_rebroadcast(View(0), [cheap, dear]) == [dear]
    assert of(View(0), cheap, dear) == [Standing.REPLACED, Standing.LOST]


def test_no_more_is_sent_again_than_a_node_takes() -> None:
    sent = [a_sent(number) for number in range(20)]
    assert to_rebroadcast(View(0), sent) == sent[:NONCE_WINDOW]
    assert of(View(0), sent[NONCE_WINDOW]) == [Standing.BLOCKED]


# ---- Hurry and undo


@pytest.mark.parametrize(
    ("max_fee", "tip"), [(80, 0), (80, 1), (99, 10), (100, 11), (1_000, 1_000), (2**40, 2**39 + 1)]
)
def test_a_raised_fee_is_the_least_that_replaces(world: Waiters, max_fee: int, tip: int) -> None:
    world.fund(ALICE, PLENTY * 2**40)
    first = kept(world, world.wait(ALICE, max_fee=max_fee, tip=tip))
    faster = speed_up(first, [first], FREE)
    less = [replace(faster.transaction, max_fee=faster.transaction.max_fee - 1)]
    if faster.transaction.tip:
        less.append(replace(faster.transaction, tip=faster.transaction.tip - 1))
    for each in less:
        with pytest.raises(RefusedForNow, match="replace it"):
            world.add(signed(UnsignedTransaction(each, first.chain_id)))
    world.add(signed(faster))
    assert seen(world).waiting == (faster.id,)


def test_a_replacement_outbids_all_that_were_sent_before_it() -> None:
    rivals = [a_sent(0, 1, max_fee=100, tip=50), a_sent(0, 2, max_fee=300, tip=3)]
    assert raised(rivals, 0, FREE) == Fees(330, 55)
    assert raised(rivals, 0, Fees(1_000, 2)) == Fees(1_000, 55)
    assert raised(rivals, 0, Fees(10, 900)) == Fees(900, 900)
    with pytest.raises(NonceError, match="nothing with nonce 1"):
        raised(rivals, 1, FREE)


def test_a_fee_has_an_end() -> None:
    most = a_sent(0, max_fee=2**64 - 1)
    with pytest.raises(NonceError, match="any further"):
        raised([most], 0, FREE)
    assert raised([a_sent(0, max_fee=10)], 0, Fees(2**64 - 1, 2**64 - 1)) == Fees(2**64 - 1, 2**64 - 1)


def test_a_hurried_transaction_does_the_same(world: Waiters) -> None:
    first = kept(world, world.wait(ALICE, amount=77))
    faster = signed(speed_up(first, [first], FREE))
    assert (faster.action, faster.sender, faster.nonce) == (
        first.transaction.action, first.transaction.sender, first.nonce
    )  # fmt: skip
    world.add(faster)
    world.chain.quick_block(faster)
    assert world.chain.balance(BOB) == 77


def test_a_cancelled_payment_never_comes(world: Waiters) -> None:
    first = kept(world, world.wait(ALICE, amount=77))
    nothing = signed(cancel(first, [first], FREE))
    assert nothing.action == Transfer(ALICE.address, 0)
    state = world.chain.state
    check_applies(nothing, [], state, world.chain.height + 1, world.chain.network)
    world.add(nothing)
    before = world.chain.balance(ALICE)
    world.chain.quick_block(*world.pool.ready())
    assert world.chain.balance(BOB) == 0
    gas = UnsignedTransaction(nothing, first.chain_id).gas
    assert before - world.chain.balance(ALICE) == gas * 80
    with pytest.raises(InvalidTransaction, match="nonce 0"):
        world.chain.try_block(first.transaction)


def test_a_bond_and_a_registration_can_be_replaced_too(world: Waiters) -> None:
    bond = kept(world, a_bond(world.chain, amount=10**11, max_fee=100))
    world.add(bond.transaction)
    faster = signed(speed_up(bond, [bond], FREE))
    assert isinstance(faster.action, Bond)
    world.add(faster)
    world.add(signed(cancel(bond, [bond, kept(world, faster)], FREE)))
    assert [type(each.action) for each in world.pool.ready()] == [Transfer]
    registration = kept(world, a_registration(world.chain, nonce=1))
    world.add(registration.transaction)
    assert isinstance(registration.transaction.action, RegisterNode)
    world.add(signed(cancel(registration, [registration], Fees(100))))
    assert [type(each.action) for each in world.pool.ready()] == [Transfer, Transfer]


def test_what_was_sent_on_another_chain_is_hurried_there() -> None:
    first = a_sent()
    assert speed_up(first, [first], FREE).chain_id == cancel(first, [first], FREE).chain_id == CHAIN


def test_transfers_of_builders_and_of_the_wallet_are_the_same_bytes(world: Waiters) -> None:
    made = a_transfer(world.chain, 5, BOB, max_fee=100)
    again = signed(UnsignedTransaction(replace(made, signature=bytes(64)), world.chain.network.chain_id))
    assert again == made
