"""What inclusion costs: gas is a constant per type plus the bytes; the base fee is burned, a tip goes to the proposer.

The base fee follows EIP-1559, in integers.
"""

from chain.block import Proof
from chain.codec import Wire
from chain.genesis import Params
from chain.transactions import RegisterNode, ServicePayment, Transaction, Transfer

# A signature check dominates a transaction's cost; a unit of gas stands for about 50 ns of one core.
ACTION_GAS: dict[type[Wire], int] = {Transfer: 1_000, ServicePayment: 1_000, RegisterNode: 2_000}
PROOF_GAS = 1_000
CHANGE_DENOMINATOR = 8


def transaction_gas(transaction: Transaction) -> int:
    return ACTION_GAS[type(transaction.action)] + len(transaction.encode())


def proof_gas(proof: Proof) -> int:
    return PROOF_GAS + len(proof.encode())


def next_base_fee(base_fee: int, gas_used: int, params: Params) -> int:
    """The base fee after a block that used `gas_used`; half of the block's gas is the target."""
    target = max(1, params.block_gas_maximum // 2)
    change = base_fee * abs(gas_used - target) // target // CHANGE_DENOMINATOR
    if gas_used > target:
        return min(2**64 - 1, base_fee + max(1, change))
    return max(params.base_fee_minimum, base_fee - change)
