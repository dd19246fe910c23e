"""From claims to money: at an epoch's end rewards are minted into vesting, and later released whole.

A claim is payable if its payload entered its round, or was at least shown in a round that was void: what cannot be
audited earns nothing. What a claim earns depends on all work of the epoch; what it owes in proof fees is burned from
the reward before vesting starts. While any audit of a node is open, none of its rewards is released: they wait, and
answer for it. Uptime and data are paid at once: `chain.service_pay`. So are auditors: they answer with their stake.
"""

from collections.abc import Iterator, Sequence

from chain.audit_records import AUDIT_PAY_KEY, AuditDue, audit_dues, hold_back, is_running, take_held
from chain.crypto.hashing import ZERO
from chain.data_receipts import forget_fetched
from chain.genesis import Params
from chain.money import Balance, VestingReward, burn, holdings, mint, move
from chain.receipts import (
    PROOF_FEE,
    AuditPaid,
    Burned,
    Minted,
    Receipt,
    Released,
    ServicePaid,
)
from chain.rewards import Work, epoch_rewards
from chain.rounds import earning
from chain.service_pay import bond_reward, service_dues, take_services
from chain.state import Claim, Round, State, audit_key, claim_key, round_key


def claims_of(state: State, number: int) -> Iterator[tuple[bytes, Claim]]:
    """(node id, claim) of everybody who proved work in a round that is not released, newest claimant first."""
    current = state.round(number)
    node = current.last_claimant if current else ZERO
    while node != ZERO:
        claim = state.need(Claim, claim_key(number, node))
        yield node, claim
        node = claim.previous_claimant


def settle_epoch(state: State, epoch: int, time_ms: int, params: Params) -> list[Receipt]:
    """At an epoch's last block: mint for the rounds that ended since the last settlement, and for what was served."""
    ledger = state.ledger
    rounds = range(ledger.settled_round + 1, ledger.ended_round + 1)
    payable = [(number, node, claim) for number in rounds for node, claim in _payable(state, number)]
    paid = {(number, node): claim.batches for number, node, claim in payable}
    trained = sorted((number, node) for number in rounds for node, _ in claims_of(state, number))
    services = take_services(state, [(*name, paid.get(name, 0)) for name in trained], time_ms, params)
    dues = audit_dues(state)
    replays = [due.batches for due in dues]
    rewards = epoch_rewards(Work(list(paid.values()), services.milliseconds, services.samples, replays), params)
    receipts = _pay_services(state, service_dues(epoch, services, rewards), params)
    for (number, node, claim), amount in zip(payable, rewards.training, strict=True):
        receipts += _pay(state, VestingReward(number, node, claim.wallet), claim.debt, amount)
    receipts += _pay_auditors(state, dues, rewards.audits)
    state.update_ledger(settled_round=ledger.ended_round)
    return receipts


def _payable(state: State, number: int) -> list[tuple[bytes, Claim]]:
    nodes = earning(state, state.need(Round, round_key(number)))
    claims = [(node, state.need(Claim, claim_key(number, node))) for node in nodes]
    return [(node, claim) for node, claim in claims if not claim.forfeited]


def _pay(state: State, pot: VestingReward, debt: int, amount: int) -> list[Receipt]:
    mint(state, pot, amount)
    fee = min(debt, amount)
    burn(state, pot, fee)
    return [Minted(pot.round, pot.node, pot.wallet, amount), Burned(PROOF_FEE, pot.wallet, fee)]


def _pay_services(state: State, dues: Sequence[ServicePaid], params: Params) -> list[Receipt]:
    """At once into the balance: a storage proof proves itself, and data have done their work."""
    receipts: list[Receipt] = []
    for due in dues:
        mint(state, Balance(due.wallet), due.amount)
        receipts += [due, *bond_reward(state, due.node, due.wallet, due.amount, params)]
    return receipts


def _pay_auditors(state: State, dues: Sequence[AuditDue], amounts: Sequence[int]) -> list[Receipt]:
    receipts: list[Receipt] = []
    for due, amount in zip(dues, amounts, strict=True):
        mint(state, Balance(due.wallet), amount)
        receipts.append(AuditPaid(due.wallet, due.batches, amount))
    if dues:
        state.delete(AUDIT_PAY_KEY)
    return receipts


def release_vested(state: State, params: Params) -> list[Receipt]:
    """Release every round whose reward was minted and after which `vest_rounds` further rounds have ended.

    The claims of nodes with an open audit are put aside until that has ended.
    """
    receipts: list[Receipt] = []
    ledger = state.ledger
    number = ledger.released_round + 1
    last = min(ledger.settled_round, ledger.drawn_round, ledger.ended_round - params.vest_rounds)
    audited = frozenset(name.node for name in state.open_audits) if number <= last else frozenset()
    while number <= last:
        for node, claim in sorted(claims_of(state, number)):
            if node in audited:
                hold_back(state, node, number)
            else:
                receipts += _release(state, number, node, claim, params)
        forget_round(state, number)
        number += 1
    if number != ledger.released_round + 1:
        state.update_ledger(released_round=number - 1)
    return receipts


def _release(state: State, number: int, node: bytes, claim: Claim, params: Params) -> list[Receipt]:
    """A reward can be spent, and what the ledger knew of its work is gone."""
    receipts: list[Receipt] = []
    pot = VestingReward(number, node, claim.wallet)
    amount = holdings(state, pot)
    if amount:
        move(state, pot, Balance(claim.wallet), amount)
        receipts.append(Released(number, node, claim.wallet, amount))
        receipts += bond_reward(state, node, claim.wallet, amount, params)
    state.delete(claim_key(number, node))
    forget_fetched(state, node)
    if state.audit(number, node) is not None:
        state.delete(audit_key(number, node))
    return receipts


def release_held(state: State, node: bytes, params: Params) -> list[Receipt]:
    """The last open audit of a node has ended: release what had to wait for that."""
    receipts: list[Receipt] = []
    for number in take_held(state, node):
        receipts += _release(state, number, node, state.need(Claim, claim_key(number, node)), params)
    return receipts


def forget_round(state: State, number: int) -> None:
    """Its record goes with the last open audit, which asks for its mix."""
    audited = any(name.round == number and is_running(state, name) for name in state.open_audits)
    if not audited and state.round(number) is not None:
        state.delete(round_key(number))
