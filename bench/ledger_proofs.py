"""Proofs of state at a million accounts: their size, what checking one costs, and blocks on such a state."""

import random
import time
from collections.abc import Callable

from bench.ledger_chain import EACH, Ledger, address_without_key
from chain.state import Account, account_key
from chain.tree import is_proven, prove

Add = Callable[..., None]


def measure(ledger: Ledger, accounts: int, samples: int, add: Add) -> None:
    """Half of the proofs show an account, half that there is none."""
    choice, root, read = random.Random(1), ledger.parent.state_root, ledger.nodes.get
    value = Account(balance=EACH).encode()
    wanted = [(account_key(address_without_key(choice.randrange(accounts))), value) for _ in range(samples // 2)]
    wanted += [(account_key(address_without_key(accounts + i)), None) for i in range(samples - samples // 2)]
    proofs = [prove(root, key, read) for key, _ in wanted]
    begun = time.process_time()
    good = sum(is_proven(root, key, value, proof) for (key, value), proof in zip(wanted, proofs, strict=True))
    spent = time.process_time() - begun
    if good != samples:
        raise SystemExit(f"{samples - good} of {samples} proofs do not verify")
    sizes = [len(proof.encode()) for proof in proofs]
    note = f"mean of {samples} proofs, half of them of absence, in a tree of {len(ledger.records)} records"
    add("state_proof_bytes_1m", sum(sizes) / samples, "bytes", 1000, note + "; reference: the goal")
    add("state_proof_bytes_1m_largest", max(sizes), "bytes", 1000, "the largest of them")
    add("state_proof_verify_us_1m", spent * 1e6 / samples, "us", None, "processor time of is_proven, one proof")


def many_addresses(accounts: int) -> list[bytes]:
    return [address_without_key(i) for i in range(accounts)]
