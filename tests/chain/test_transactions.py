"""Payments: who signs, what it costs, who gets it, and what is refused."""

from dataclasses import replace

import pytest

from chain.crypto import ecdsa
from chain.crypto.ecdsa import CURVE_ORDER
from chain.errors import BadSignature, DecodeError, InvalidTransaction, NotEnoughFunds
from chain.fees import transaction_gas
from chain.money import AMOUNT_MAXIMUM, NEURO, Balance, burn, burn_share, holdings, mint, move
from chain.receipts import BASE_FEE, SERVICE_SHARE, Burned, TransactionApplied
from chain.state import State
from chain.transactions import Transaction, Transfer, check_signature, vouch
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    FOUNDER,
    Chain,
    a_network,
    a_service_payment,
    a_transaction,
    a_transfer,
)


@pytest.fixture
def chain() -> Chain:
    chain = Chain(a_network(base_fee_initial=10))
    chain.fund(ALICE, 100 * NEURO)
    return chain


def fee_of(transaction, per_gas=10):
    return transaction_gas(transaction) * per_gas


def test_a_transfer_moves_exactly_its_amount_and_burns_the_base_fee(chain):
    payment = a_transfer(chain, 7)
    chain.block([payment])
    assert chain.balance(BOB) == 7
    assert chain.balance(ALICE) == 100 * NEURO - 7 - fee_of(payment)
    assert chain.state.supply.burned == fee_of(payment)
    identity = payment.id(chain.network.chain_id)
    gas = transaction_gas(payment)
    assert chain.receipts == (
        TransactionApplied(identity, gas, fee_of(payment)),
        Burned(BASE_FEE, ALICE.address, fee_of(payment)),
    )


def test_gas_is_a_constant_per_type_and_the_bytes(chain):
    assert transaction_gas(a_transfer(chain, 7)) == 1_000 + 160
    assert transaction_gas(a_service_payment(chain, 7)) == 1_000 + 192


@pytest.mark.parametrize(("max_fee", "tip", "given"), [(10, 5, 0), (13, 5, 3), (15, 5, 5), (20, 5, 5)])
def test_the_tip_goes_to_the_proposer_as_far_as_the_maximum_fee_reaches(chain, max_fee, tip, given):
    payment = a_transfer(chain, 7, max_fee=max_fee, tip=tip)
    chain.block([payment])
    assert chain.balance(FOUNDER) == given * transaction_gas(payment)
    assert chain.state.supply.burned == fee_of(payment)
    assert chain.balance(ALICE) == 100 * NEURO - 7 - fee_of(payment, 10 + given)


def test_a_maximum_fee_below_the_base_fee_is_refused(chain):
    with pytest.raises(InvalidTransaction, match="max_fee 9"):
        chain.block([a_transfer(chain, 7, max_fee=9)])


def test_a_transaction_signed_for_another_chain_is_refused(chain):
    elsewhere = a_network(base_fee_initial=10, name=b"other")
    assert elsewhere.chain_id != chain.network.chain_id
    with pytest.raises(BadSignature):
        chain.block([a_transfer(chain, 7, chain_id=elsewhere.chain_id)])


def test_the_id_excludes_the_signature_and_binds_everything_else(chain):
    payment = a_transfer(chain, 7)
    chain_id = chain.network.chain_id
    assert replace(payment, signature=bytes(64)).id(chain_id) == payment.id(chain_id)
    others = [
        replace(payment, sender=BOB.public),
        replace(payment, nonce=1),
        replace(payment, max_fee=11),
        replace(payment, tip=1),
        replace(payment, action=Transfer(BOB.address, 8)),
        replace(payment, action=Transfer(CAROL.address, 7)),
    ]
    ids = {other.id(chain_id) for other in others} | {payment.id(chain_id), payment.id(bytes(32))}
    assert len(ids) == len(others) + 2
    for other in others:
        with pytest.raises(BadSignature):
            chain.block([other])


def test_the_second_signature_of_the_same_key_and_digest_is_refused(chain):
    payment = a_transfer(chain, 7)
    s = int.from_bytes(payment.signature[32:], "big")
    with pytest.raises(BadSignature):
        chain.block([replace(payment, signature=payment.signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big"))])


def test_a_signature_is_checked_once_per_object_and_chain_and_again_for_its_bytes(chain, monkeypatch):
    payment = a_transfer(chain, 7)
    chain_id = chain.network.chain_id
    check_signature(payment, chain_id)
    monkeypatch.setattr(ecdsa, "verify", lambda *words: False)
    check_signature(payment, chain_id)
    for other in (Transaction.decode(payment.encode()), replace(payment)):
        assert other == payment
        with pytest.raises(BadSignature):
            check_signature(other, chain_id)
    with pytest.raises(BadSignature):
        check_signature(payment, bytes(32))


def test_what_somebody_vouches_for_is_not_checked_and_a_changed_copy_is(chain):
    forged = replace(a_transfer(chain, 7), signature=bytes(64))
    vouch(forged, chain.network.chain_id)
    check_signature(forged, chain.network.chain_id)
    with pytest.raises(BadSignature):
        check_signature(replace(forged, tip=1), chain.network.chain_id)


def test_a_nonce_is_the_number_of_transactions_before(chain):
    chain.block([a_transfer(chain, 1), a_transfer(chain, 1, nonce=1)])
    for wrong in (1, 3):
        with pytest.raises(InvalidTransaction, match=f"nonce {wrong}, expected 2"):
            chain.block([a_transfer(chain, 1, nonce=wrong)])
    chain.block([a_transfer(chain, 1, nonce=2)])


def test_a_transaction_cannot_be_applied_twice(chain):
    payment = a_transfer(chain, 7)
    with pytest.raises(InvalidTransaction, match="nonce 0, expected 1"):
        chain.block([payment, payment])
    chain.block([payment])
    with pytest.raises(InvalidTransaction, match="nonce 0, expected 1"):
        chain.block([payment])


def test_paying_oneself_neither_makes_nor_loses_money(chain):
    payment = a_transfer(chain, 60 * NEURO, payee=ALICE)
    chain.block([payment])
    assert chain.balance(ALICE) == 100 * NEURO - fee_of(payment)


def test_zero_may_be_paid(chain):
    chain.block([a_transfer(chain, 0)])
    assert chain.balance(BOB) == 0


def test_the_last_nano_may_be_paid_and_not_one_more(chain):
    probe = a_transfer(chain, 1)
    everything = 100 * NEURO - fee_of(probe)
    with pytest.raises(NotEnoughFunds, match=f"{everything + 1} nanos wanted from balances, {everything} held"):
        chain.block([a_transfer(chain, everything + 1)])
    chain.block([a_transfer(chain, everything)])
    assert chain.balance(ALICE) == 0
    assert chain.balance(BOB) == everything


def test_a_payer_who_cannot_pay_the_fee_is_refused(chain):
    short = fee_of(a_transfer(chain, 0))
    chain.fund(CAROL, short - 1)
    with pytest.raises(NotEnoughFunds):
        chain.block([a_transfer(chain, 0, sender=CAROL)])
    chain.fund(CAROL, 1)
    chain.block([a_transfer(chain, 0, sender=CAROL)])


def test_a_fee_that_no_balance_can_hold_is_refused(chain):
    with pytest.raises(NotEnoughFunds):
        chain.block([a_transfer(chain, 0, max_fee=2**64 - 1, tip=2**64 - 1)])


def test_the_largest_amount_is_refused_and_changes_nothing(chain):
    before = dict(chain.records)
    with pytest.raises(NotEnoughFunds):
        chain.block([a_transfer(chain, AMOUNT_MAXIMUM)])
    assert chain.records == before


def test_a_balance_up_to_the_largest_amount_can_be_moved():
    chain = Chain(a_network(base_fee_initial=10))
    chain.fund(ALICE, AMOUNT_MAXIMUM)
    rest = AMOUNT_MAXIMUM - fee_of(a_transfer(chain, 0))
    chain.block([a_transfer(chain, rest)])
    assert chain.balance(BOB) == rest


def test_an_amount_beyond_128_bits_has_no_encoding(chain):
    with pytest.raises(OverflowError):
        a_transfer(chain, AMOUNT_MAXIMUM + 1)


def test_money_for_an_address_that_nobody_can_own_has_no_encoding(chain):
    with pytest.raises(DecodeError, match="version"):
        a_transaction(chain, Transfer(b"\x01" + BOB.address[1:], 5))


@pytest.mark.parametrize(("amount", "burned"), [(0, 0), (1, 1), (19, 1), (20, 1), (21, 2), (100 * 10**6, 5 * 10**6)])
def test_paying_for_a_service_burns_five_percent_rounded_up(chain, amount, burned):
    payment = a_service_payment(chain, amount)
    chain.block([payment])
    assert chain.balance(BOB) == amount - burned
    assert chain.balance(ALICE) == 100 * NEURO - amount - fee_of(payment)
    assert chain.state.supply.burned == burned + fee_of(payment)
    assert chain.receipts[-1] == Burned(SERVICE_SHARE, ALICE.address, burned)


def test_a_service_payment_beyond_the_balance_is_refused(chain):
    everything = 100 * NEURO - fee_of(a_service_payment(chain, 0))
    with pytest.raises(NotEnoughFunds):
        chain.block([a_service_payment(chain, everything + 1)])
    chain.block([a_service_payment(chain, everything)])
    assert chain.balance(ALICE) == 0


def test_no_share_of_a_payment_is_more_than_the_payment():
    for amount in range(200):
        assert burn_share(amount, 10_000) == amount
        assert burn_share(amount, 0) == 0
        assert amount * 500 <= 10_000 * burn_share(amount, 500) < amount * 500 + 10_000


def test_a_refused_move_or_burn_changes_nothing():
    state = State(lambda _: None)
    mint(state, Balance(ALICE.address), 10)
    before = dict(state.changes)
    for amount in (11, -1):
        with pytest.raises(NotEnoughFunds):
            move(state, Balance(ALICE.address), Balance(BOB.address), amount)
        with pytest.raises(NotEnoughFunds):
            burn(state, Balance(ALICE.address), amount)
    assert state.changes == before


def test_more_than_128_bits_are_never_minted():
    state = State(lambda _: None)
    mint(state, Balance(ALICE.address), AMOUNT_MAXIMUM)
    with pytest.raises(AssertionError):
        mint(state, Balance(ALICE.address), 1)
    assert holdings(state, Balance(ALICE.address)) == AMOUNT_MAXIMUM
