"""Events of single wallets, for listeners that have named their addresses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chain.address import address_of, to_text
from chain.genesis import Network
from chain.receipts import Receipt
from chain.transition import Applied
from node.api.block_answers import Json
from node.api.history_answers import payments_of, receipt_entries
from node.receipt_index import concerned

MONEY_TOLD = 16  # payments of one block to one listener, and as many earnings


@dataclass(frozen=True, slots=True)
class WalletEvent:
    kind: str
    wallets: frozenset[bytes]
    content: Json


def wallet_events(applied: Applied, addresses: frozenset[bytes], network: Network) -> list[WalletEvent]:
    """What a block means to any of these addresses: payments in their order, then what was earned or lost."""
    return [*_payments(applied, addresses, network), *_earnings(applied, addresses)]


def chosen(events: Sequence[WalletEvent], addresses: frozenset[bytes]) -> Iterator[WalletEvent]:
    """Those of some addresses, at most MONEY_TOLD of a kind: the last of them says how many were left out."""
    for kind in ("payment", "earning"):
        found = [event for event in events if event.kind == kind and event.wallets & addresses]
        for place, event in enumerate(found[:MONEY_TOLD], 1):
            left_out = len(found) - MONEY_TOLD if place == MONEY_TOLD else 0
            yield replace(event, content=event.content | {"left_out": left_out})


def _payments(applied: Applied, addresses: frozenset[bytes], network: Network) -> Iterator[WalletEvent]:
    height = applied.block.header.height
    for transaction in applied.block.body.transactions:
        payments = payments_of(transaction, network.params)
        if not payments:
            continue
        sender = address_of(transaction.sender)
        concerning = [each for each in payments if sender in addresses or each[0] in addresses]
        if not concerning:
            continue
        identity = transaction.id(network.chain_id).hex()
        for payee, amount in concerning:
            told = {"id": identity, "height": height, "from": to_text(sender), "to": to_text(payee)}
            yield WalletEvent("payment", frozenset((sender, payee)), told | {"amount_nanos": str(amount)})


def _earnings(applied: Applied, addresses: frozenset[bytes]) -> Iterator[WalletEvent]:
    told: dict[bytes, list[Receipt]] = {}
    for receipt in applied.receipts:
        for wallet in concerned(receipt, applied.state):
            if wallet in addresses:
                told.setdefault(wallet, []).append(receipt)
    for wallet, receipts in told.items():
        for _, entry in receipt_entries(receipts, wallet):
            if entry["amount_nanos"] is not None:
                names = ("kind", "amount_nanos", "round", "node")
                content = {"address": to_text(wallet), "height": applied.block.header.height}
                content |= {name: entry[name] for name in names}
                yield WalletEvent("earning", frozenset((wallet,)), content)
