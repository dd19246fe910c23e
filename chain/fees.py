"""What inclusion costs: gas is a constant per type plus the bytes; the base fee is burned, a tip goes to the proposer.

The base fee follows EIP-1559, in integers.
"""

from chain.block import Proof
from chain.codec import Wire
from chain.crypto.votes import Evidence
from chain.genesis import Params
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

# A signature check dominates a transaction's cost; a unit of gas stands for about 50 ns of one core. A pairing check (a
# possession, a vote) costs 40 times an ECDSA check.
ACTION_GAS: dict[type[Wire], int] = {
    Transfer: 1_000,
    MultiTransfer: 1_000,
    RegisterNode: 2_000,
    RetireNode: 2_000,
    Bond: 41_000,
    Unbond: 1_000,
    Withdraw: 1_000,
    Unjail: 1_000,
    Evidence: 81_000,
    ServicePayment: 1_000,
}
PAYMENT_GAS = 400  # of each payment of a multi-transfer: two accounts are read and written
PROOF_GAS = 1_000
CHANGE_DENOMINATOR = 8


def transaction_gas(transaction: Transaction) -> int:
    action = transaction.action
    payments = PAYMENT_GAS * len(action.payments) if isinstance(action, MultiTransfer) else 0
    return ACTION_GAS[type(action)] + payments + len(transaction.encode())


def proof_gas(proof: Proof) -> int:
    return PROOF_GAS + len(proof.encode())


def next_base_fee(base_fee: int, gas_used: int, params: Params) -> int:
    """The base fee after a block that used `gas_used`; half of the block's gas is the target."""
    target = max(1, params.block_gas_maximum // 2)
    change = base_fee * abs(gas_used - target) // target // CHANGE_DENOMINATOR
    if gas_used > target:
        return min(2**64 - 1, base_fee + max(1, change))
    return max(params.base_fee_minimum, base_fee - change)
