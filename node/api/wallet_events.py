"""Events of single wallets, for listeners that have named their addresses."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from chain.address import address_of, to_text
from chain.genesis import Network
from chain.receipts import Receipt
from chain.transition import Applied
from node.api.block_answers import Json
from node.api.history_answers import payments_of, receipt_entries
from node.receipt_index import concerned

MONEY_TOLD = 16  # payments of one block to one listener, and as many earnings


@dataclass(frozen=True, slots=True)
class Happening:
    """What may become an event. Its content is made for those that are told: thousands may only be counted."""

    kind: str
    wallets: frozenset[bytes]
    told: Callable[[], Json]


@dataclass(frozen=True, slots=True)
class WalletEvent:
    kind: str
    wallets: frozenset[bytes]
    content: Json


def wallet_events(applied: Applied, addresses: frozenset[bytes], network: Network) -> list[Happening]:
    """What a block means to any of these addresses: payments in their order, then what was earned or lost."""
    return [*_payments(applied, addresses, network), *_earnings(applied, addresses)]


def chosen(events: Sequence[Happening], addresses: frozenset[bytes]) -> Iterator[WalletEvent]:
    """Those of some addresses, at most MONEY_TOLD of a kind: the last of them says how many were left out."""
    for kind in ("payment", "earning"):
        found = [event for event in events if event.kind == kind and event.wallets & addresses]
        for place, event in enumerate(found[:MONEY_TOLD], 1):
            left_out = len(found) - MONEY_TOLD if place == MONEY_TOLD else 0
            yield WalletEvent(kind, event.wallets, event.told() | {"left_out": left_out})


def _payments(applied: Applied, addresses: frozenset[bytes], network: Network) -> Iterator[Happening]:
    height = applied.block.header.height
    for transaction in applied.block.body.transactions:
        payments = payments_of(transaction, network.params)
        if not payments:
            continue
        sender = address_of(transaction.sender)
        concerning = [each for each in payments if sender in addresses or each[0] in addresses]
        if not concerning:
            continue
        identity = transaction.id(network.chain_id)
        for payee, amount in concerning:
            told = partial(_payment, identity, height, sender, payee, amount)
            yield Happening("payment", frozenset((sender, payee)), told)


def _payment(identity: bytes, height: int, sender: bytes, payee: bytes, amount: int) -> Json:
    named = {"id": identity.hex(), "height": height, "from": to_text(sender), "to": to_text(payee)}
    return named | {"amount_nanos": str(amount)}


def _earnings(applied: Applied, addresses: frozenset[bytes]) -> Iterator[Happening]:
    told: dict[bytes, list[Receipt]] = {}
    for receipt in applied.receipts:
        for wallet in concerned(receipt, applied.state):
            if wallet in addresses:
                told.setdefault(wallet, []).append(receipt)
    for wallet, receipts in told.items():
        for _, entry in receipt_entries(receipts, wallet):
            if entry["amount_nanos"] is not None:
                height = applied.block.header.height
                yield Happening("earning", frozenset((wallet,)), partial(_earning, wallet, height, entry))


def _earning(wallet: bytes, height: int, entry: Json) -> Json:
    names = ("kind", "amount_nanos", "round", "node")
    return {"address": to_text(wallet), "height": height, **{name: entry[name] for name in names}}
