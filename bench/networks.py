"""Networks for benchmarks."""

from chain.crypto.hashing import tagged_hash
from chain.genesis import BootstrapValidator
from node.identity import Identity
from wallet.keys import Wallet


def lone_validator() -> BootstrapValidator:
    """A bootstrap validator that is the same in every run."""
    return Identity.of(Wallet(tagged_hash("bench", b"wallet")[:16])).bootstrap_validator()
