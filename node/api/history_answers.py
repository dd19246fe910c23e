"""What happened to a wallet, newest first: its transactions and its receipts as one list of JSON objects.

The order is that of blocks; within a block receipts come first, since most follow from what stands before them in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge

from chain.address import address_of, to_text
from chain.block import Block
from chain.fees import transaction_gas
from chain.genesis import Params
from chain.money import burn_share
from chain.receipts import (
    DATA,
    PROOF_FEE,
    SLASHED,
    AuditPaid,
    AutoBonded,
    Burned,
    Forfeited,
    FraudRewarded,
    Jailed,
    Minted,
    Receipt,
    Released,
    ServicePaid,
    StakeLeft,
    Tombstoned,
)
from chain.transactions import (
    Bond,
    MultiTransfer,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Withdraw,
)
from chain.transfers import node_id
from node.api.block_answers import INDEX_HEAD, READ_BYTES_MAXIMUM, Json, need
from node.errors import StoreError
from node.store import Store, number

# By receipts, then by transactions.
RECEIPT_KINDS = (
    *("reward", "released", "uptime", "data", "audit", "fraud_reward", "forfeited", "auto_bonded", "stake_left"),
    *("jailed", "slashed", "banned"),
)
HISTORY_KINDS = (*RECEIPT_KINDS, "sent", "received", "bonded", "unbonded", "withdrawn", "registered", "other")
FIELDS = ("amount_nanos", "fee_nanos", "id", "counterparty", "round", "node")
TRANSACTION, RECEIPT = b"\0", b"\1"
CURSOR_BYTES = 8 + 1 + 32  # height, whether a receipt, transaction id or place among the block's receipts
Place = bytes


def history_page(store: Store, address: bytes, limit: int, cursor: bytes | None) -> Json:
    """Entries before the cursor's place: fewer than `limit` where their blocks are large."""
    below = cursor or b"\xff" * CURSOR_BYTES
    found: list[tuple[Place, Json]] = []
    transactions = Transactions(store, address)
    streams = _receipts(store, address, below), transactions.before(below)
    for entry in merge(*streams, key=lambda each: each[0], reverse=True):
        found.append(entry)
        is_enough = transactions.read_bytes > READ_BYTES_MAXIMUM
        if len(found) > limit or is_enough:
            break
    else:
        is_enough = False
    shown = found[:limit]
    return {
        "address": to_text(address),
        "from_height": max(store.pruned_height + 1, store.receipts_from),
        "entries": [entry for _, entry in shown],
        "next_cursor": shown[-1][0].hex() if is_enough or len(found) > limit else None,
    }


def entry_of(kind: str, amount: int | None = None, **told: object) -> Json:
    """All fields, null where the kind says nothing of the sort."""
    content = {"kind": kind, **dict.fromkeys(FIELDS), **told}
    return content if amount is None else content | {"amount_nanos": str(amount)}


# ---- Receipts


def _receipts(store: Store, address: bytes, below: Place) -> Iterator[tuple[Place, Json]]:
    # The cursor's own block may have entries below its place.
    end = min(int.from_bytes(below[:8], "big"), store.height) + 1
    for height, told in store.told(address, 0, end):
        when = {"height": height, "time_ms": told.time_ms}
        for index, content in reversed(receipt_entries(told.receipts, address)):
            place = number(height) + RECEIPT + index.to_bytes(32, "big")
            if place < below:
                yield place, content | when


def receipt_entries(receipts: Sequence[Receipt], address: bytes) -> list[tuple[int, Json]]:
    """(place, entry) of each receipt that is one by itself; what belongs to the one before or after goes with that."""
    found = []
    for index, receipt in enumerate(receipts):
        after = receipts[index + 1] if index + 1 < len(receipts) else None
        if (content := _receipt_entry(receipt, after, address)) is not None:
            found.append((index, content))
    return found


def _receipt_entry(receipt: Receipt, after: Receipt | None, address: bytes) -> Json | None:
    match receipt:
        case Minted(number, node, _, amount):
            # The proofs' inclusion is paid from the reward at once.
            fee = after.amount if isinstance(after, Burned) and after.reason == PROOF_FEE else 0
            return entry_of("reward", amount, round=number, node=node.hex(), fee_nanos=str(fee))
        case Released(number, node, _, amount):
            return entry_of("released", amount, round=number, node=node.hex())
        case Forfeited(number, node, _, amount):
            return entry_of("forfeited", amount, round=number, node=node.hex())
        case FraudRewarded(number, node, _, amount):
            return entry_of("fraud_reward", amount, round=number, node=node.hex())
        case ServicePaid(service=service, node=node, amount=amount):
            return entry_of("data" if service == DATA else "uptime", amount, node=node.hex())
        case AuditPaid(amount=amount):
            return entry_of("audit", amount)
        case AutoBonded(amount=amount):
            return entry_of("auto_bonded", amount)
        case StakeLeft(amount=amount):
            return entry_of("stake_left", amount)
        case Jailed():
            return entry_of("jailed")
        case Burned(reason=reason, amount=amount) if reason == SLASHED:
            # What a reporter got was taken too.
            reward = after.reward if isinstance(after, Tombstoned) and after.reporter != address else 0
            return entry_of("slashed", amount + reward)
        case Tombstoned(reporter=reporter, reward=reward):
            return entry_of("fraud_reward", reward) if reporter == address else entry_of("banned")
        case _:
            return None


# ---- Transactions


@dataclass(slots=True)
class Transactions:
    """The transactions of an address. The last block that was read is kept: the next one is often of the same."""

    store: Store
    address: bytes
    block: Block | None = None
    read_bytes: int = 0  # of blocks

    def before(self, below: Place) -> Iterator[tuple[Place, Json]]:
        head = b"i" + self.address
        # Places of transactions are keys of the index but for the byte between height and id.
        end = below[:8] + (below[9:] if below[8:9] == TRANSACTION else b"\xff" * 33)
        for key, _ in self.store.database.descending(head, head + end):
            height, identity = int.from_bytes(key[INDEX_HEAD : INDEX_HEAD + 8], "big"), key[INDEX_HEAD + 8 :]
            yield number(height) + TRANSACTION + identity, self._entry(height, identity)

    def _entry(self, height: int, identity: bytes) -> Json:
        if self.block is None or self.block.header.height != height:
            self.block = need(self.store, height).block
            self.read_bytes += len(self.store.encoded_block(height) or b"")
        chain_id = self.store.network.chain_id
        found = (each for each in self.block.body.transactions if each.id(chain_id) == identity)
        transaction = next(found, None)
        if transaction is None:
            raise StoreError(f"block {height} lacks a transaction that the index by address names: see `archive fsck`")
        content = transaction_entry(transaction, self.address, self.store.network.params)
        when = {"height": height, "time_ms": self.block.header.time_ms, "id": identity.hex()}
        is_own = address_of(transaction.sender) == self.address
        fee = fee_of(transaction, self.store.base_fee(height)) if is_own else None
        return content | when | {"fee_nanos": None if fee is None else str(fee)}


def fee_of(transaction: Transaction, base_fee: int | None) -> int | None:
    """What a transaction in a block cost; None where the block's base fee is not known any more."""
    if isinstance(transaction.action, RegisterNode):
        return 0
    if base_fee is None:
        return None
    return transaction_gas(transaction) * (base_fee + min(transaction.tip, transaction.max_fee - base_fee))


def transaction_entry(transaction: Transaction, address: bytes, params: Params) -> Json:
    """A transaction as the one who sent it sees it, or one whom it pays."""
    sender = address_of(transaction.sender)
    if sender != address:
        amount = sum(paid for payee, paid in payments_of(transaction, params) if payee == address)
        return entry_of("received", amount, counterparty=to_text(sender))
    match transaction.action:
        case Transfer(payee=payee, amount=amount) | ServicePayment(payee=payee, amount=amount):
            return entry_of("sent", amount, counterparty=to_text(payee))
        case MultiTransfer(payments=payments):
            payees = {payment.payee for payment in payments}
            only = to_text(payees.pop()) if len(payees) == 1 else None
            return entry_of("sent", sum(payment.amount for payment in payments), counterparty=only)
        case Bond(amount=amount):
            return entry_of("bonded", amount)
        case Unbond(amount=amount):
            return entry_of("unbonded", amount)
        case Withdraw():
            return entry_of("withdrawn")
        case RegisterNode(node_key=key):
            return entry_of("registered", node=node_id(key).hex())
        case RetireNode(node_key=key):
            return entry_of("other", node=node_id(key).hex())
        case _:
            return entry_of("other")


def payments_of(transaction: Transaction, params: Params) -> list[tuple[bytes, int]]:
    """(address, nanos that it gets) of each payment of a transaction."""
    match transaction.action:
        case Transfer(payee=payee, amount=amount):
            return [(payee, amount)]
        case ServicePayment(payee=payee, amount=amount):
            return [(payee, amount - burn_share(amount, params.burn_basis_points))]
        case MultiTransfer(payments=payments):
            return [(payment.payee, payment.amount) for payment in payments]
        case _:
            return []
