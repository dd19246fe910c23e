"""Pay for storage and data, at an epoch's end: minted into the wallet's balance at once.

A storage proof proves itself, and a receipt has done its work when the training that it helped is paid: nothing is left
to be audited later, so nothing vests. Start reading at `take_services`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.data_receipts import Provided, take_served
from chain.genesis import Params
from chain.receipts import DATA, UPTIME, AutoBonded, Receipt, ServicePaid
from chain.rewards import Rewards
from chain.services import holder_key
from chain.staking import auto_bond
from chain.state import NodeRecord, State, node_key
from chain.storage import epoch_ms, holders_of


@dataclass(frozen=True, slots=True)
class Services:
    """What was proven in an epoch."""

    holders: Sequence[tuple[bytes, bytes]]  # node, wallet
    epoch_ms: int
    provided: Sequence[Provided]

    @property
    def milliseconds(self) -> list[int]:
        return [self.epoch_ms] * len(self.holders)

    @property
    def samples(self) -> list[int]:
        return [each.samples for each in self.provided]


def take_services(state: State, trained: Sequence[tuple[int, bytes, int]], time_ms: int, params: Params) -> Services:
    """What is to be paid, and its records are gone. `trained`: round, node and paid batches of every settled claim."""
    holders = sorted((node, holder.wallet) for node, holder in holders_of(state))
    for node, _ in holders:
        state.delete(holder_key(node))
    taken = [take_served(state, *claim, params) for claim in trained]
    return Services(holders, epoch_ms(state, time_ms, params), [each for each in taken if each is not None])


def service_dues(epoch: int, services: Services, rewards: Rewards) -> list[ServicePaid]:
    """What is to be minted: nothing of it is zero."""
    holders = zip(services.holders, rewards.uptime, strict=True)
    provided = zip(services.provided, rewards.data, strict=True)
    dues = [ServicePaid(UPTIME, epoch, node, wallet, amount) for (node, wallet), amount in holders]
    dues += [ServicePaid(DATA, epoch, each.node, each.wallet, amount) for each, amount in provided]
    return [due for due in dues if due.amount]


def bond_reward(state: State, node: bytes, wallet: bytes, amount: int, params: Params) -> list[Receipt]:
    """A node that declared validator intent puts what it was just given at stake until the minimum is reached."""
    record = state.need(NodeRecord, node_key(node))
    if not record.validator_intent or record.retired_height:
        return []
    bonded = auto_bond(state, wallet, amount, params)
    return [AutoBonded(wallet, bonded)] if bonded else []
