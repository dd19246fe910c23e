"""From claims to money: at an epoch's end rewards are minted into vesting, and later released whole.

A claim is payable if its payload entered its round, or was at least shown in a round that was void: what cannot be
audited earns nothing. What a claim earns depends on all work of the epoch; what it owes in proof fees is burned from
the reward before vesting starts. A reward is released only when nothing of its round is being audited any more.
"""

from collections.abc import Iterator, Sequence

from chain.audit_records import AUDIT_PAY_KEY, AuditDue, audit_dues
from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.money import Balance, VestingReward, burn, holdings, mint, move
from chain.receipts import PROOF_FEE, AuditPaid, AutoBonded, Burned, Minted, Receipt, Released
from chain.rewards import Work, epoch_rewards
from chain.rounds import earning
from chain.staking import auto_bond
from chain.state import Claim, NodeRecord, Round, State, audit_key, claim_key, node_key, round_key


def claims_of(state: State, number: int) -> Iterator[tuple[bytes, Claim]]:
    """(node id, claim) of everybody who proved work in a round, newest claimant first."""
    current = state.round(number)
    node = current.last_claimant if current else ZERO
    while node != ZERO:
        claim = state.need(Claim, claim_key(number, node))
        yield node, claim
        node = claim.previous_claimant


def settle_epoch(state: State, params: Params) -> list[Receipt]:
    """At an epoch's last block: mint for the rounds that ended since the last settlement."""
    ledger = state.ledger
    payable = [
        (number, node, claim)
        for number in range(ledger.settled_round + 1, ledger.ended_round + 1)
        for node, claim in _payable(state, number)
    ]
    dues = audit_dues(state)
    work = Work([claim.batches for _, _, claim in payable], replays=[due.batches for due in dues])
    rewards = epoch_rewards(work, params)
    receipts: list[Receipt] = []
    for (number, node, claim), amount in zip(payable, rewards.training, strict=True):
        receipts += _pay(state, VestingReward(number, node, claim.wallet), claim.debt, amount)
    receipts += _pay_auditors(state, dues, rewards.audits)
    state.update_ledger(settled_round=ledger.ended_round)
    return receipts


def _payable(state: State, number: int) -> list[tuple[bytes, Claim]]:
    nodes = earning(state, state.need(Round, round_key(number)))
    claims = [(node, state.need(Claim, claim_key(number, node))) for node in nodes]
    return [(node, claim) for node, claim in claims if not claim.forfeited]


def _pay_auditors(state: State, dues: Sequence[AuditDue], amounts: Sequence[int]) -> list[Receipt]:
    """Straight into the balance: an auditor answers with its stake, not with what it earned."""
    receipts: list[Receipt] = []
    for due, amount in zip(dues, amounts, strict=True):
        mint(state, Balance(due.wallet), amount)
        receipts.append(AuditPaid(due.wallet, due.batches, amount))
    if dues:
        state.delete(AUDIT_PAY_KEY)
    return receipts


def _pay(state: State, pot: VestingReward, debt: int, amount: int) -> list[Receipt]:
    mint(state, pot, amount)
    fee = min(debt, amount)
    burn(state, pot, fee)
    return [Minted(pot.round, pot.node, pot.wallet, amount), Burned(PROOF_FEE, pot.wallet, fee)]


def release_vested(state: State, params: Params) -> list[Receipt]:
    """Release every round whose reward was minted and after which `vest_rounds` further rounds have ended.

    A round that is not drawn for, or with an open audit, waits, and so do those after it: audits end soon.
    """
    receipts: list[Receipt] = []
    ledger = state.ledger
    number = ledger.released_round + 1
    audited = min((name.round for name in state.open_audits), default=ledger.drawn_round + 1)
    while number <= min(ledger.settled_round, ledger.ended_round - params.vest_rounds, audited - 1):
        for node, claim in sorted(claims_of(state, number)):
            pot = VestingReward(number, node, claim.wallet)
            amount = holdings(state, pot)
            if amount:
                move(state, pot, Balance(claim.wallet), amount)
                receipts.append(Released(number, node, claim.wallet, amount))
                receipts += _auto_bond(state, node, claim.wallet, amount, params)
            state.delete(claim_key(number, node))
            if state.audit(number, node) is not None:
                state.delete(audit_key(number, node))
        state.delete(round_key(number))
        number += 1
    if number != ledger.released_round + 1:
        state.update_ledger(released_round=number - 1)
    return receipts


def _auto_bond(state: State, node: bytes, wallet: bytes, amount: int, params: Params) -> list[Receipt]:
    """A node that declared validator intent puts its rewards at stake until the minimum is reached."""
    record = state.need(NodeRecord, node_key(node))
    if not record.validator_intent or record.retired_height:
        return []
    bonded = auto_bond(state, wallet, amount, params)
    return [AutoBonded(wallet, bonded)] if bonded else []
