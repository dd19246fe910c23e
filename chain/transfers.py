"""Transactions on the state. Start reading at `apply_transaction`: signature, nonce, fee, action, in this order."""

from dataclasses import dataclass, replace

from chain.address import address_of
from chain.awaited import note_registered, note_retired
from chain.crypto.hashing import ZERO, tagged_hash
from chain.crypto.votes import Evidence
from chain.errors import InvalidTransaction
from chain.fees import transaction_gas
from chain.genesis import Network, Params
from chain.money import Balance, burn, burn_share, holdings, move
from chain.receipts import BASE_FEE, SERVICE_SHARE, Burned, Receipt, TransactionApplied
from chain.slashing import punish
from chain.staking import bond, unbond, unjail, withdraw
from chain.state import NodeRecord, State, node_key
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
    check_signature,
    stamp_bits,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction is executed: the block's height and epoch, and who gets the tip."""

    height: int
    epoch: int
    proposer: bytes


def apply_transaction(state: State, transaction: Transaction, place: Place, network: Network) -> list[Receipt]:
    """Apply one transaction. Raises InvalidTransaction, BadSignature or NotEnoughFunds: work on a fork."""
    check_signature(transaction, network.chain_id)
    payer = address_of(transaction.sender)
    nonce = state.account(payer).nonce
    if transaction.nonce != nonce:
        raise InvalidTransaction(f"nonce {transaction.nonce}, expected {nonce}")
    state.spend_nonce(payer)
    receipts = _charge(state, transaction, payer, place.proposer, network.chain_id)
    return receipts + _act(state, transaction, payer, place, network)


def _act(state: State, transaction: Transaction, payer: bytes, place: Place, network: Network) -> list[Receipt]:
    """What the action does; the receipts beyond the fee's."""
    params = network.params
    match transaction.action:
        case Transfer(payee=payee, amount=amount):
            move(state, Balance(payer), Balance(payee), amount)
        case MultiTransfer(payments=payments):
            if not payments:
                raise InvalidTransaction("a multi-transfer pays at least one address")
            for payment in payments:
                move(state, Balance(payer), Balance(payment.payee), payment.amount)
        case ServicePayment(payee=payee, amount=amount):
            share = burn_share(amount, params.burn_basis_points)
            burn(state, Balance(payer), share)
            move(state, Balance(payer), Balance(payee), amount - share)
            return [Burned(SERVICE_SHARE, payer, share)]
        case RegisterNode() as action:
            _register(state, action, transaction.sender, place.height, network)
        case RetireNode(node_key=key):
            _retire(state, key, payer, place.height, params)
        case Bond() as action:
            bond(state, action, payer, place.height, network)
        case Unbond(amount=amount):
            unbond(state, amount, payer, place.height, params)
        case Withdraw():
            withdraw(state, payer, place.epoch)
        case Unjail():
            unjail(state, payer, place.height, place.epoch)
        case Evidence() as evidence:
            return punish(state, evidence, payer, place.epoch, network)
    return []


def _charge(state: State, transaction: Transaction, payer: bytes, proposer: bytes, chain_id: bytes) -> list[Receipt]:
    """Burn the base fee and give the tip to the proposer. A registration pays with its stamp instead."""
    gas = transaction_gas(transaction)
    identity = transaction.id(chain_id)
    if isinstance(transaction.action, RegisterNode):
        if transaction.max_fee or transaction.tip:
            raise InvalidTransaction("a registration pays with its stamp: its max_fee and tip are 0")
        return [TransactionApplied(identity, gas, 0)]
    base_fee = state.ledger.base_fee
    if transaction.max_fee < base_fee:
        raise InvalidTransaction(f"max_fee {transaction.max_fee} nanos per gas, the base fee is {base_fee}")
    tip = min(transaction.tip, transaction.max_fee - base_fee)
    burn(state, Balance(payer), gas * base_fee)
    move(state, Balance(payer), Balance(proposer), gas * tip)
    return [TransactionApplied(identity, gas, gas * (base_fee + tip)), Burned(BASE_FEE, payer, gas * base_fee)]


def node_id(node_public_key: bytes) -> bytes:
    """A node's 32-byte name on the ledger."""
    return tagged_hash("node", node_public_key)


def _register(state: State, action: RegisterNode, wallet_key: bytes, height: int, network: Network) -> None:
    wanted = network.params.stamp_bits
    found = stamp_bits(network.chain_id, action.node_key, wallet_key, action.stamp)
    if found < wanted:
        raise InvalidTransaction(f"the registration stamp has {found} zero bits, {wanted} are wanted")
    node = node_id(action.node_key)
    if state.get(node_key(node)) is not None:
        raise InvalidTransaction(f"node {node.hex()[:16]} is already registered")
    state.put(
        node_key(node),
        NodeRecord(
            public_key=action.node_key,
            wallet=address_of(wallet_key),
            registered_height=height,
            retired_height=0,
            validator_intent=action.validator_intent,
            proofs=0,
            audited_rounds=0,
            counted_rounds=0,
            committed_round=0,
            committed_segments=0,
            averages_root=ZERO,
            averages_steps=0,
            plant=ZERO,
            plant_round=0,
            suspended_round=0,
        ),
    )
    note_registered(state)


def _retire(state: State, node_public_key: bytes, wallet: bytes, height: int, params: Params) -> None:
    node = node_id(node_public_key)
    record = state.find(NodeRecord, node_key(node))
    if record is None or record.retired_height or record.wallet != wallet:
        raise InvalidTransaction(f"node {node.hex()[:16]} is not an active node of this wallet")
    note_retired(state, node, params)
    state.put(node_key(node), replace(record, retired_height=height))


def spendable(state: State, address: bytes) -> int:
    """Nanos that an address can spend now."""
    return holdings(state, Balance(address))
