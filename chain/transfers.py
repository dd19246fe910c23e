"""Transactions on the state. Start reading at `apply_transaction`: signature, nonce, fee, action, in this order."""

from chain.address import address_of
from chain.crypto.hashing import tagged_hash
from chain.errors import InvalidTransaction
from chain.fees import transaction_gas
from chain.genesis import Network
from chain.money import Balance, burn, burn_share, holdings, move
from chain.receipts import BASE_FEE, SERVICE_SHARE, Burned, Receipt, TransactionApplied
from chain.state import NodeRecord, State, node_key
from chain.transactions import RegisterNode, ServicePayment, Transaction, Transfer, check_signature, stamp_bits


def apply_transaction(
    state: State, transaction: Transaction, height: int, proposer: bytes, network: Network
) -> list[Receipt]:
    """Apply one transaction. Raises InvalidTransaction, BadSignature or NotEnoughFunds: work on a fork."""
    check_signature(transaction, network.chain_id)
    payer = address_of(transaction.sender)
    nonce = state.account(payer).nonce
    if transaction.nonce != nonce:
        raise InvalidTransaction(f"nonce {transaction.nonce}, expected {nonce}")
    state.spend_nonce(payer)
    receipts = _charge(state, transaction, payer, proposer, network.chain_id)
    match transaction.action:
        case Transfer(payee=payee, amount=amount):
            move(state, Balance(payer), Balance(payee), amount)
        case ServicePayment(payee=payee, amount=amount):
            share = burn_share(amount, network.params.burn_basis_points)
            burn(state, Balance(payer), share)
            move(state, Balance(payer), Balance(payee), amount - share)
            receipts.append(Burned(SERVICE_SHARE, payer, share))
        case RegisterNode() as action:
            _register(state, action, transaction.sender, height, network)
    return receipts


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
        ),
    )
    state.update_ledger(nodes=state.ledger.nodes + 1)


def spendable(state: State, address: bytes) -> int:
    """Nanos that an address can spend now."""
    return holdings(state, Balance(address))
