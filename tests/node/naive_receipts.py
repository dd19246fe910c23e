"""What the receipts of all blocks say of wallets, gathered the simple way: the index has to say the same."""

from collections import defaultdict

from chain.block import Block
from chain.crypto.hashing import ZERO
from chain.genesis import Network, genesis_state
from chain.receipts import DATA, PROOF_FEE, SLASHED, UPTIME, Burned, Receipt, Tombstoned
from chain.stakes import ValidatorKey, validator_key
from chain.state import State
from chain.transition import Applied, apply_block, genesis_parent
from chain.tree import Update
from node.key_value import KeyValue
from node.receipt_index import DAY_MS, SUMS


def executed(database: KeyValue, network: Network) -> list[Applied]:
    """Every block with its receipts, computed again from the genesis; certificates are not looked at."""
    state, tree = genesis_state(network), Update(lambda _: None)
    root = tree.apply(ZERO, state.changes)
    flat, nodes, found = dict(state.changes), dict(tree.fresh), list[Applied]()
    parent = genesis_parent(network, root)
    for _, data in database.items(b"b"):
        applied = apply_block(State(flat.get), parent, Block.decode(data), network, nodes.get, True)
        flat.update(applied.state.changes)
        nodes.update(applied.tree.fresh)
        found.append(applied)
        parent = applied.parent
    return found


def naive_sums(blocks: list[Applied]) -> dict[tuple[bytes, int], dict[str, int]]:
    """By wallet and day what was added on this day alone; by the names of the receipts' fields."""
    days: dict[tuple[bytes, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for applied in blocks:
        day = applied.block.header.time_ms // DAY_MS
        for receipt in applied.receipts:
            kind, said = type(receipt).__name__, {name: getattr(receipt, name) for name in receipt.__slots__}
            if kind == "ServicePaid":
                kind += str(said["service"])
            plain = {
                "Minted": "training", f"ServicePaid{UPTIME}": "uptime", f"ServicePaid{DATA}": "data",
                "AuditPaid": "audit", "FraudRewarded": "fraud_reward", "Released": "released",
                "Forfeited": "forfeited",
            }  # fmt: skip
            if kind in plain and said["amount"]:
                days[said["wallet"], day][plain[kind]] += said["amount"]
            elif kind == "Burned" and said["amount"]:
                days[said["payer"], day]["burned"] += said["amount"]
            elif kind == "Tombstoned" and said["reward"]:
                days[said["reporter"], day]["fraud_reward"] += said["reward"]
    return days


def naive_history(blocks: list[Applied]) -> dict[tuple[bytes, int], list[Receipt]]:
    told: dict[tuple[bytes, int], list[Receipt]] = defaultdict(list)
    for applied in blocks:
        height = applied.block.header.height
        for receipt in applied.receipts:
            if isinstance(receipt, Burned):
                if receipt.reason in (PROOF_FEE, SLASHED) and receipt.amount > 0:
                    told[receipt.payer, height].append(receipt)
            elif isinstance(receipt, Tombstoned):
                known = applied.state.get(validator_key(receipt.public_key))
                told[receipt.reporter, height].append(receipt)
                if known is not None:
                    told[ValidatorKey.decode(known).wallet, height].append(receipt)
            elif (wallet := getattr(receipt, "wallet", None)) is not None:
                told[wallet, height].append(receipt)
    return told
