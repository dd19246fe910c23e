"""Evidence and a node's own transactions reach the mempool once, when they can be paid for, and never in a storm."""

from dataclasses import replace

import pytest

from chain.crypto.votes import Evidence
from chain.fees import transaction_gas
from chain.stakes import ValidatorKey, validator_key
from chain.state import Account, State, account_key, set_key
from chain.transactions import RegisterNode, Transaction, Transfer
from node.declarations import FEE_FACTOR, Declarations, Registration
from node.identity import EMPTY, Identity
from node.mempool import Mempool
from node.mempool_checks import NONCE_WINDOW
from node.reporting import Reporting
from tests.builders import BOB, Chain, a_network, evidence_against, named, validator_secrets

PLENTY = 10**12
BASE_FEE = 80


class Reporter:
    """A node with a wallet on a ledger of four validators, itself the last of them."""

    def __init__(self, balance: int = PLENTY) -> None:
        self.chain = Chain(a_network(validators=4, stamp_bits=0, block_gas_maximum=200_000))
        self.secrets = validator_secrets(4)
        self.identity = Identity(named("wallet"), named("node"), self.secrets[-1].to_bytes(32, "big"))
        self.mempool = Mempool(self.chain.network, lambda: 1_000_000)
        self.reporting = Reporting(self.identity, self.chain.network, self.mempool)
        self.declarations = Declarations(self.identity, self.chain.network, self.mempool)
        self.set_account(balance)

    @property
    def state(self) -> State:
        return self.chain.state

    def set_account(self, balance: int, nonce: int = 0) -> None:
        self.chain.records[account_key(self.identity.address)] = Account(balance, nonce).encode()
        self.mempool.follow(self.state, [account_key(self.identity.address)])

    def set_base_fee(self, fee: int) -> None:
        draft = self.state.fork()
        draft.update_ledger(base_fee=fee)
        self.chain.records |= {key: value for key, value in draft.changes.items() if value is not None}
        self.mempool.follow(self.state, [])

    def evidence(self, place: int = 0) -> Evidence:
        return evidence_against(self.chain, self.secrets[place])

    def wait(self, nonce: int = 0) -> Transaction:
        """A transfer of this wallet that is in the mempool."""
        draft = Transaction(self.identity.wallet_public_key, nonce, 100, 0, Transfer(BOB.address, 1), EMPTY)
        transaction = self.identity.sign_transaction(draft, self.chain.network.chain_id)
        self.mempool.add(transaction, self.state)
        return transaction

    @property
    def waiting(self) -> list[Transaction]:
        return [each.transaction for each in self.mempool.waiting_of(self.identity.address)]


def test_evidence_is_in_the_mempool_at_once_and_once() -> None:
    node = Reporter()
    for _ in range(3):
        node.reporting.report(node.evidence(), node.state)
        node.reporting.follow(node.state)
    assert [each.action for each in node.waiting] == [node.evidence()]


def test_a_second_offender_is_reported_after_the_first() -> None:
    node = Reporter()
    for place in (0, 1):
        node.reporting.report(node.evidence(place), node.state)
    assert [each.action for each in node.waiting] == [node.evidence(0)] and len(node.reporting) == 2
    node.chain.records[validator_key(_key(node, 0))] = ValidatorKey(BOB.address, True).encode()
    node.set_account(PLENTY, nonce=1)
    node.reporting.follow(node.state)
    assert [each.action for each in node.waiting] == [node.evidence(1)] and len(node.reporting) == 1


def _key(node: Reporter, place: int) -> bytes:
    return node.chain.members[place].public_key


def test_evidence_waits_for_what_the_wallet_has_waiting() -> None:
    node = Reporter()
    transfer = node.wait()
    node.reporting.report(node.evidence(), node.state)
    assert node.waiting == [transfer]
    node.set_account(PLENTY, nonce=1)
    node.reporting.follow(node.state)
    assert [each.action for each in node.waiting] == [node.evidence()]


def test_evidence_waits_until_the_wallet_can_pay_and_the_fee_is_not_above_its_balance() -> None:
    node = Reporter()
    node.reporting.report(node.evidence(), node.state)
    gas = transaction_gas(node.waiting[0])
    for balance, says in ((gas * BASE_FEE - 1, False), (gas * BASE_FEE, True)):
        poor = Reporter(balance)
        poor.reporting.report(poor.evidence(), poor.state)
        assert len(poor.waiting) == says and len(poor.reporting) == 1


def test_nobody_reports_himself() -> None:
    node = Reporter()
    node.reporting.report(node.evidence(-1), node.state)
    assert node.waiting == [] and len(node.reporting) == 0


def test_evidence_is_kept_as_long_as_the_ledger_would_take_it() -> None:
    node = Reporter(0)
    node.reporting.report(node.evidence(), node.state)
    members = node.chain.records[set_key(0)]
    last = node.chain.network.params.unbonding_epochs
    for epoch, kept in ((last, 1), (last + 1, 0)):
        node.chain.records[set_key(epoch)] = members
        node.reporting.follow(node.state)
        assert len(node.reporting) == kept


# ---- Own transactions


def registering(node: Reporter) -> None:
    node.declarations.registration = Registration(node.identity, 0, False)
    node.declarations.follow(node.state)


def test_a_registration_waits_in_the_mempool_once_behind_what_the_wallet_has_waiting() -> None:
    node = Reporter()
    transfer = node.wait()
    for _ in range(3):
        registering(node)
    assert [(each.nonce, type(each.action)) for each in node.waiting] == [(0, Transfer), (1, RegisterNode)]
    assert node.waiting[0] == transfer


def test_a_registration_that_was_lost_is_said_again_with_a_fresh_nonce() -> None:
    node = Reporter()
    registering(node)
    node.set_account(PLENTY, nonce=1)  # something else of the wallet took the nonce
    assert node.waiting == []
    node.declarations.follow(node.state)
    assert [each.nonce for each in node.waiting] == [1]


def test_nothing_is_said_beyond_the_window_of_nonces() -> None:
    node = Reporter()
    for nonce in range(NONCE_WINDOW):
        node.wait(nonce)
    registering(node)
    assert len(node.waiting) == NONCE_WINDOW and all(isinstance(each.action, Transfer) for each in node.waiting)


class Wish:
    """Something that a wallet wants to have said, whatever the state."""

    def __init__(self, node: Reporter) -> None:
        draft = Transaction(node.identity.wallet_public_key, 0, BASE_FEE, 0, Transfer(BOB.address, 1), EMPTY)
        self.wanted = node.identity.sign_transaction(draft, node.chain.network.chain_id)

    def transaction(self, state: State) -> Transaction:
        return replace(self.wanted, max_fee=state.ledger.base_fee)


@pytest.mark.parametrize("factor", [1, FEE_FACTOR, FEE_FACTOR + 1])
def test_own_transactions_offer_more_than_the_base_fee_and_more_again_when_it_has_risen(factor: int) -> None:
    node = Reporter()
    node.declarations.candidacy = Wish(node)  # type: ignore[assignment]
    node.declarations.follow(node.state)
    assert [each.max_fee for each in node.waiting] == [FEE_FACTOR * BASE_FEE]
    node.set_base_fee(factor * BASE_FEE)
    node.declarations.follow(node.state)
    [waiting] = node.waiting
    assert waiting.nonce == 0
    assert waiting.max_fee == FEE_FACTOR * BASE_FEE * (factor if factor > FEE_FACTOR else 1)


def test_own_transactions_offer_no_more_than_the_balance_pays() -> None:
    node = Reporter()
    wish = Wish(node)
    gas = transaction_gas(wish.wanted)
    node.set_account(gas * BASE_FEE + gas + 1)
    node.declarations.candidacy = wish  # type: ignore[assignment]
    node.declarations.follow(node.state)
    assert [each.max_fee for each in node.waiting] == [BASE_FEE + 1]
