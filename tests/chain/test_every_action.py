"""What holds for every transaction, whatever it does: its id, its nonce, its chain, its fee, the last nano."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from chain.crypto.ecdsa import CURVE_ORDER
from chain.errors import BadSignature, DecodeError, InvalidTransaction, NotEnoughFunds
from chain.fees import ACTION_GAS, transaction_gas
from chain.money import NEURO, BondedStake, UnbondingStake, mint
from chain.receipts import BASE_FEE, Burned, TransactionApplied
from chain.stakes import stake_key, stake_of
from chain.transactions import ACTIONS, Action, Transaction
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    FOUNDER,
    NODE,
    OTHER_NODE,
    Chain,
    a_bond,
    a_key,
    a_multi_transfer,
    a_network,
    a_registration,
    a_report,
    a_retirement,
    a_service_payment,
    a_transfer,
    a_withdrawal,
    an_unbond,
    an_unjail,
)

BONDED, LEFT, JAILED, GUILTY = map(a_key, ("bonded", "left", "jailed", "guilty"))
BASE_FEE_NANOS = 10


@dataclass(frozen=True)
class Case:
    """A valid transaction of one type on the prepared chain, its sender, what it takes and gives besides the fee."""

    make: Callable[..., Transaction]
    sender: object = ALICE
    takes: int = 0
    gives: int = 0


CASES = {
    "Transfer": Case(lambda chain, **c: a_transfer(chain, 5, **c), takes=5),
    "MultiTransfer": Case(lambda chain, **c: a_multi_transfer(chain, (BOB, 5), (CAROL, 7), **c), takes=12),
    "RegisterNode": Case(lambda chain, **c: a_registration(chain, node=OTHER_NODE, **c)),
    "RetireNode": Case(a_retirement),
    "Bond": Case(a_bond, takes=100 * NEURO),
    "Unbond": Case(lambda chain, **c: an_unbond(chain, 100 * NEURO, BONDED, **c), BONDED),
    "Withdraw": Case(lambda chain, **c: a_withdrawal(chain, LEFT, **c), LEFT, gives=9),
    "Unjail": Case(lambda chain, **c: an_unjail(chain, JAILED, **c), JAILED),
    "Evidence": Case(lambda chain, **c: a_report(chain, GUILTY, ALICE, **c), gives=156_250_000),
    "ServicePayment": Case(lambda chain, **c: a_service_payment(chain, 100, **c), takes=100),
}


@pytest.fixture
def chain() -> Chain:
    """One in which every case is valid once its sender can pay; nobody who sends has a balance yet."""
    chain = Chain(a_network(base_fee_initial=BASE_FEE_NANOS, block_gas_maximum=200_000))
    chain.register(NODE)
    chain.end_epoch()
    chain.end_epoch()
    chain.seat(BONDED, JAILED, GUILTY)
    draft = chain.state.fork()
    draft.put(stake_key(JAILED.address), replace(stake_of(draft, JAILED.address), power=0, jailed_until=2))
    mint(draft, BondedStake(LEFT.address), 1)
    draft.put(stake_key(LEFT.address), replace(stake_of(draft, LEFT.address), exits=(2,)))
    mint(draft, UnbondingStake(LEFT.address, 2), 9)
    chain._keep_outside_of_blocks(draft)
    return chain


def every_case(but: tuple[str, ...] = ()):
    return pytest.mark.parametrize("name", [name for name in CASES if name not in but])


def test_every_action_is_tested_here():
    assert list(CASES) == [kind.__name__ for kind in ACTIONS.values()]
    assert list(ACTION_GAS) == list(ACTIONS.values())


@every_case()
def test_the_id_excludes_the_signature_and_binds_everything_else(chain, name):
    made = CASES[name].make(chain)
    chain_id = chain.network.chain_id
    assert replace(made, signature=bytes(64)).id(chain_id) == made.id(chain_id)
    changed = [replace(made, **{field: getattr(made, field) + 1}) for field in ("nonce", "max_fee", "tip")]
    changed += [replace(made, sender=BOB.public), *(replace(made, action=other) for other in others(made.action))]
    ids = {made.id(chain_id), made.id(bytes(32)), *(other.id(chain_id) for other in changed)}
    assert len(ids) == len(changed) + 2


def others(action: Action) -> list[Action]:
    """The action with any one of its bytes changed, as far as that has an encoding."""
    found, kind, data = [], type(action), action.encode()
    for place in range(len(data)):
        try:
            found.append(kind.decode(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]))
        except DecodeError:  # a count or a version byte: that is no encoding, so nobody can sign it
            continue
    return found


@every_case()
def test_a_transaction_of_another_chain_is_refused(chain, name):
    elsewhere = a_network(base_fee_initial=BASE_FEE_NANOS, name=b"other").chain_id
    chain.fund(CASES[name].sender, 101 * NEURO)
    with pytest.raises(BadSignature):
        chain.try_block(CASES[name].make(chain, chain_id=elsewhere))


@every_case()
def test_the_other_signature_of_the_same_key_and_digest_is_refused(chain, name):
    made = CASES[name].make(chain)
    s = int.from_bytes(made.signature[32:], "big")
    with pytest.raises(BadSignature):
        chain.try_block(replace(made, signature=made.signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big")))


@every_case()
def test_a_nonce_is_the_next_one_and_no_other(chain, name):
    case = CASES[name]
    chain.fund(case.sender, 101 * NEURO)
    nonce = chain.state.account(case.sender.address).nonce
    for wrong in {nonce + 1, max(0, nonce - 1), 2**64 - 1} - {nonce}:
        with pytest.raises(InvalidTransaction, match=f"nonce {wrong}, expected {nonce}"):
            chain.try_block(case.make(chain, nonce=wrong))
    chain.block([case.make(chain)])
    assert chain.state.account(case.sender.address).nonce == nonce + 1


@every_case()
def test_the_same_transaction_is_never_applied_twice(chain, name):
    case = CASES[name]
    chain.fund(case.sender, 300 * NEURO)
    made = case.make(chain)
    with pytest.raises(InvalidTransaction, match="nonce"):
        chain.try_block(made, made)
    chain.block([made])
    with pytest.raises(InvalidTransaction, match="nonce"):
        chain.try_block(made)


@every_case(but=("RegisterNode",))
def test_the_base_fee_is_burned_and_the_tip_goes_to_the_proposer(chain, name):
    case = CASES[name]
    chain.fund(case.sender, 101 * NEURO)
    made = case.make(chain, max_fee=BASE_FEE_NANOS + 3, tip=5)
    gas = transaction_gas(made)
    keys = [member.public_key for member in chain.members]
    chain.block([made], proposer=keys.index(chain.network.validators[0].public_key))
    assert chain.balance(FOUNDER) == 3 * gas
    assert chain.receipts[:2] == (
        TransactionApplied(made.id(chain.network.chain_id), gas, 13 * gas),
        Burned(BASE_FEE, case.sender.address, 10 * gas),
    )


@every_case(but=("RegisterNode",))
def test_a_maximum_fee_of_the_base_fee_is_enough_and_one_nano_less_is_refused(chain, name):
    case = CASES[name]
    chain.fund(case.sender, 101 * NEURO)
    with pytest.raises(InvalidTransaction, match="max_fee 9"):
        chain.try_block(case.make(chain, max_fee=BASE_FEE_NANOS - 1))
    chain.try_block(case.make(chain, max_fee=BASE_FEE_NANOS))


@every_case(but=("RegisterNode",))
def test_exactly_enough_is_enough_and_one_nano_less_is_refused(chain, name):
    case = CASES[name]
    assert chain.balance(case.sender) == 0
    needed = case.takes + BASE_FEE_NANOS * transaction_gas(case.make(chain))
    chain.fund(case.sender, needed - 1)
    with pytest.raises(NotEnoughFunds):
        chain.block([case.make(chain)])
    chain.fund(case.sender, 1)
    chain.block([case.make(chain)])
    assert chain.balance(case.sender) == case.gives


def test_a_registration_is_valid_from_an_empty_balance(chain):
    chain.block([CASES["RegisterNode"].make(chain)])
    assert chain.balance(ALICE) == 0
    assert chain.receipts[0].fee == 0


@every_case()
def test_gas_is_a_constant_of_the_type_and_the_bytes(chain, name):
    made = CASES[name].make(chain)
    payments = 800 if name == "MultiTransfer" else 0
    constant = {"Bond": 41_000, "Evidence": 81_000, "RegisterNode": 2_000, "RetireNode": 2_000}.get(name, 1_000)
    assert transaction_gas(made) == constant + payments + len(made.encode())
