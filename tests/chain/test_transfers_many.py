"""One signature pays many: 1 to 256 payments, in their order, all of them or none."""

from dataclasses import replace

import pytest

from chain.errors import BadSignature, DecodeError, InvalidTransaction, NotEnoughFunds
from chain.fees import transaction_gas
from chain.money import AMOUNT_MAXIMUM, NEURO
from chain.transactions import PAYMENTS_MAXIMUM, TRANSACTION_BYTES_MAXIMUM, MultiTransfer, Payment, Transaction
from tests.builders import ALICE, BOB, CAROL, Chain, a_key, a_multi_transfer, a_network, a_transaction

FUNDS = 100 * NEURO


@pytest.fixture
def chain() -> Chain:
    chain = Chain(a_network(base_fee_initial=10, block_gas_maximum=200_000))
    chain.fund(ALICE, FUNDS)
    return chain


def fee_of(transaction):
    return transaction_gas(transaction) * 10


def to_many(chain, number, amount=3):
    payee = a_key("payee")
    return a_multi_transfer(chain, *[(payee, amount)] * number)


def test_each_payee_gets_exactly_its_amount(chain):
    paid = a_multi_transfer(chain, (BOB, 5), (CAROL, 7))
    chain.block([paid])
    assert (chain.balance(BOB), chain.balance(CAROL)) == (5, 7)
    assert chain.balance(ALICE) == FUNDS - 12 - fee_of(paid)


@pytest.mark.parametrize("number", [1, PAYMENTS_MAXIMUM])
def test_one_to_256_payments_are_made(chain, number):
    chain.block([to_many(chain, number)])
    assert chain.balance(a_key("payee")) == 3 * number


def test_no_payment_at_all_is_refused(chain):
    with pytest.raises(InvalidTransaction, match="at least one"):
        chain.block([to_many(chain, 0)])


def test_257_payments_have_no_encoding(chain):
    with pytest.raises(DecodeError, match="at most 256 items"):
        to_many(chain, PAYMENTS_MAXIMUM + 1)
    full = to_many(chain, PAYMENTS_MAXIMUM).encode()
    assert len(full) <= TRANSACTION_BYTES_MAXIMUM
    count = full.index((256).to_bytes(4, "big"))
    longer = full[:count] + (257).to_bytes(4, "big") + full[count + 4 : -64] + full[-101:]
    with pytest.raises(DecodeError, match="257 items announced"):
        Transaction.decode(longer)


@pytest.mark.parametrize("number", [1, 2, PAYMENTS_MAXIMUM])
def test_gas_grows_by_a_constant_and_the_bytes_of_each_payment(chain, number):
    assert transaction_gas(to_many(chain, number)) == 1_000 + 400 * number + (127 + 37 * number)


def test_the_last_nano_may_be_paid_and_not_one_more(chain):
    everything = FUNDS - fee_of(a_multi_transfer(chain, (BOB, 0), (CAROL, 0)))
    with pytest.raises(NotEnoughFunds):
        chain.block([a_multi_transfer(chain, (BOB, everything - 1), (CAROL, 2))])
    chain.block([a_multi_transfer(chain, (BOB, everything - 1), (CAROL, 1))])
    assert (chain.balance(ALICE), chain.balance(BOB), chain.balance(CAROL)) == (0, everything - 1, 1)


@pytest.mark.parametrize(
    "amounts",
    [
        (2**127, 2**127),  # the sum is 0 in 128 bits
        (AMOUNT_MAXIMUM, 1),
        (1, AMOUNT_MAXIMUM),
        (AMOUNT_MAXIMUM,) * PAYMENTS_MAXIMUM,
    ],
)
def test_a_sum_beyond_128_bits_is_refused(chain, amounts):
    with pytest.raises(NotEnoughFunds):
        chain.block([a_multi_transfer(chain, *((BOB, amount) for amount in amounts))])


def test_the_largest_supply_can_be_paid_in_parts():
    chain = Chain(a_network(base_fee_initial=10))
    chain.fund(ALICE, AMOUNT_MAXIMUM)
    fee = fee_of(a_multi_transfer(chain, (BOB, 0), (CAROL, 0)))
    chain.block([a_multi_transfer(chain, (BOB, 2**127), (CAROL, 2**127 - 1 - fee))])
    assert (chain.balance(ALICE), chain.balance(BOB), chain.balance(CAROL)) == (0, 2**127, 2**127 - 1 - fee)


def test_one_payment_that_cannot_be_made_stops_all_of_them(chain):
    before = dict(chain.records)
    with pytest.raises(NotEnoughFunds):
        chain.block([a_multi_transfer(chain, (BOB, 1), (CAROL, FUNDS))])
    assert chain.records == before


def test_the_same_payee_may_be_named_again_and_is_paid_each_time(chain):
    chain.block([a_multi_transfer(chain, (BOB, 5), (CAROL, 1), (BOB, 5))])
    assert (chain.balance(BOB), chain.balance(CAROL)) == (10, 1)


def test_paying_oneself_neither_makes_nor_loses_money(chain):
    paid = a_multi_transfer(chain, (ALICE, 60 * NEURO), (ALICE, 60 * NEURO), (BOB, 60 * NEURO))
    chain.block([paid])
    assert chain.balance(ALICE) == 40 * NEURO - fee_of(paid)
    assert chain.balance(BOB) == 60 * NEURO


def test_nobody_can_show_money_to_himself_that_he_does_not_have(chain):
    with pytest.raises(NotEnoughFunds):
        chain.block([a_multi_transfer(chain, (ALICE, FUNDS))])
    with pytest.raises(NotEnoughFunds):
        chain.block([a_multi_transfer(chain, (BOB, 1), (ALICE, FUNDS))])


def test_zero_may_be_paid(chain):
    chain.block([a_multi_transfer(chain, (BOB, 0), (CAROL, 0))])
    assert (chain.balance(BOB), chain.balance(CAROL)) == (0, 0)


def test_the_signature_covers_every_payment_and_their_order(chain):
    good = a_multi_transfer(chain, (BOB, 5), (CAROL, 7))
    first, second = good.action.payments
    for other in [
        (second, first),
        (first,),
        (first, second, second),
        (first, Payment(second.payee, 8)),
        (first, Payment(BOB.address, 7)),
    ]:
        with pytest.raises(BadSignature):
            chain.try_block(replace(good, action=MultiTransfer(other)))
    chain.try_block(good)


def test_money_for_an_address_that_nobody_can_own_has_no_encoding(chain):
    with pytest.raises(DecodeError, match="version"):
        a_transaction(chain, MultiTransfer((Payment(BOB.address, 1), Payment(b"\x01" + BOB.address[1:], 1))))


def test_a_multi_transfer_burns_nothing_but_the_base_fee(chain):
    paid = a_multi_transfer(chain, (BOB, 5), (CAROL, 7))
    chain.block([paid])
    assert chain.state.supply.burned == fee_of(paid)
