"""A decoded transaction in words, field by field: what is on screen when somebody says yes. See `signing.described`."""

from collections.abc import Mapping
from dataclasses import dataclass

from chain.address import address_of, to_text
from chain.crypto.votes import KIND_NAMES, Evidence, Vote
from chain.fees import transaction_gas
from chain.transactions import (
    Bond,
    MultiTransfer,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
)
from wallet.amounts import neuro
from wallet.plain import plain

Lines = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Words:
    """What the user calls addresses and the network."""

    names: Mapping[bytes, str]
    network: str = ""

    def address(self, address: bytes) -> str:
        name = self.names.get(address)
        return to_text(address) + (f" ({plain(name)})" if name else " (not in your book)")


def words_of(transaction: Transaction, chain_id: bytes, words: Words) -> Lines:
    gas = transaction_gas(transaction)
    network = f"{plain(words.network, 64)}, chain {chain_id.hex()}" if words.network else f"chain {chain_id.hex()}"
    return [
        *_action(transaction, words),
        ("from", words.address(address_of(transaction.sender))),
        ("sender's public key", transaction.sender.hex()),
        ("nonce", str(transaction.nonce)),
        *_costs(transaction, gas),
        ("network", network),
        ("id", transaction.id(chain_id).hex()),
    ]


def _costs(transaction: Transaction, gas: int) -> Lines:
    if isinstance(transaction.action, RegisterNode) and not (transaction.max_fee or transaction.tip):
        return [("fee", "none: a registration pays with its stamp")]
    most = gas * transaction.max_fee
    tip = gas * min(transaction.tip, transaction.max_fee)
    return [
        ("fee at most", f"{neuro(most)} ({gas} gas at {transaction.max_fee} nanos)"),
        ("of it to the proposer at most", f"{neuro(tip)} ({transaction.tip} nanos per gas)"),
        ("burned of the fee at most", neuro(most)),
    ]


def _action(transaction: Transaction, words: Words) -> Lines:
    match transaction.action:
        case Transfer(payee=payee, amount=amount):
            return [("action", "pay"), ("amount", neuro(amount)), ("to", words.address(payee))]
        case MultiTransfer(payments=payments):
            total = sum(payment.amount for payment in payments)
            head = [("action", f"pay {len(payments)} addresses"), ("amount in all", neuro(total))]
            return head + [
                (f"payment {number}", f"{neuro(payment.amount)} to {words.address(payment.payee)}")
                for number, payment in enumerate(payments, start=1)
            ]
        case ServicePayment(payee=payee, amount=amount, reference=reference):
            return [
                ("action", "pay for a service"),
                ("amount", neuro(amount)),
                ("to", words.address(payee)),
                ("burned of the amount", "the share that the network's rules set, 5 % unless its genesis differs"),
                ("reference", reference.hex()),
            ]
        case Bond(amount=amount, public_key=key, possession=possession):
            return [
                ("action", "put at stake; a validator that breaks the rules loses of it"),
                ("amount", neuro(amount)),
                ("validator key", key.hex()),
                ("that key's consent", possession.hex()),
            ]
        case Unbond(amount=amount):
            return [("action", "ask stake back; it stays at risk until its time is over"), ("amount", neuro(amount))]
    return _without_amount(transaction)


def _without_amount(transaction: Transaction) -> Lines:
    match transaction.action:
        case Withdraw():
            return [("action", "move stake whose unbonding time is over to the balance")]
        case Unjail():
            return [("action", "let your validator into the set again")]
        case RegisterNode(node_key=key, validator_intent=intent, stamp=stamp, node_signature=consent):
            return [
                ("action", "register a node: its rewards belong to this wallet"),
                ("node key", key.hex()),
                ("rewards are bonded for a validator", "yes" if intent else "no"),
                ("stamp", str(stamp)),
                ("the node's consent", consent.hex()),
            ]
        case RetireNode(node_key=key, node_signature=consent):
            return [
                ("action", "end a node's registration for ever"),
                ("node key", key.hex()),
                ("the node's consent", consent.hex()),
            ]
        case Evidence(first=first, second=second):
            return [
                ("action", "accuse a validator of two votes that exclude each other"),
                *_vote("first vote", first),
                *_vote("second vote", second),
            ]
    raise AssertionError("every action has its words")


def _vote(label: str, vote: Vote) -> Lines:
    kind = KIND_NAMES.get(vote.kind, f"kind {vote.kind}")
    place = f"{kind} in epoch {vote.epoch}, view {vote.view}, by signer {vote.signer}, for {vote.block_hash.hex()}"
    return [(label, place), (f"signature of the {label}", vote.signature.hex())]
