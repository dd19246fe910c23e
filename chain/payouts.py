"""From claims to money: at an epoch's end rewards are minted into vesting, and later released whole.

A claim is payable if its payload entered its round or if the round was void. What a claim earns depends on all work of
the epoch; what it owes in proof fees is burned from the reward before vesting starts. Uptime and data are paid at once:
`chain.service_pay`.
"""

from collections.abc import Iterator

from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.money import Balance, VestingReward, burn, holdings, mint, move
from chain.receipts import PROOF_FEE, Burned, Minted, Receipt, Released
from chain.rewards import Work, epoch_rewards
from chain.rounds import counted
from chain.service_pay import bond_reward, pay_services, take_services
from chain.state import VOID, Claim, State, claim_key, round_key


def claims_of(state: State, number: int) -> Iterator[tuple[bytes, Claim]]:
    """(node id, claim) of everybody who proved work in a round, newest claimant first."""
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
    payable = [(number, node, claim) for number in rounds for node, claim in sorted(_payable(state, number))]
    paid = {(number, node): claim.batches for number, node, claim in payable}
    trained = sorted((number, node) for number in rounds for node, _ in claims_of(state, number))
    services = take_services(state, [(*name, paid.get(name, 0)) for name in trained], time_ms, params)
    rewards = epoch_rewards(Work(list(paid.values()), services.milliseconds, services.samples), params)
    receipts: list[Receipt] = pay_services(state, epoch, services, rewards, params)
    for (number, node, claim), amount in zip(payable, rewards.training, strict=True):
        receipts += _pay(state, VestingReward(number, node, claim.wallet), claim.debt, amount)
    state.update_ledger(settled_round=ledger.ended_round)
    return receipts


def _payable(state: State, number: int) -> list[tuple[bytes, Claim]]:
    current = state.round(number)
    assert current is not None
    included = {revealed.node for revealed in counted(state, current)} if current.phase != VOID else None
    return [(node, claim) for node, claim in claims_of(state, number) if included is None or node in included]


def _pay(state: State, pot: VestingReward, debt: int, amount: int) -> list[Receipt]:
    mint(state, pot, amount)
    fee = min(debt, amount)
    burn(state, pot, fee)
    return [Minted(pot.round, pot.node, pot.wallet, amount), Burned(PROOF_FEE, pot.wallet, fee)]


def release_vested(state: State, params: Params) -> list[Receipt]:
    """Release every round whose reward was minted and after which `vest_rounds` further rounds have ended."""
    receipts: list[Receipt] = []
    ledger = state.ledger
    number = ledger.released_round + 1
    while number <= min(ledger.settled_round, ledger.ended_round - params.vest_rounds):
        for node, claim in sorted(claims_of(state, number)):
            pot = VestingReward(number, node, claim.wallet)
            amount = holdings(state, pot)
            if amount:
                move(state, pot, Balance(claim.wallet), amount)
                receipts.append(Released(number, node, claim.wallet, amount))
                receipts += bond_reward(state, node, claim.wallet, amount, params)
            state.delete(claim_key(number, node))
        state.delete(round_key(number))
        number += 1
    if number != ledger.released_round + 1:
        state.update_ledger(released_round=number - 1)
    return receipts
