"""What tests of the wallet share: one wallet, its drafts, and one action of each kind."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from chain.crypto import ecdsa
from chain.crypto.votes import Evidence
from chain.transactions import (
    Action,
    MultiTransfer,
    Payment,
    RegisterNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
    node_consent,
)
from tests.node.waiting import an_accusation
from wallet.accounts import account_of
from wallet.folder import WalletFolder
from wallet.keys import Wallet
from wallet.pending import Sent
from wallet.signing import Fees, UnsignedTransaction, bond_action, draft, retire_action, sign

WALLET = Wallet(bytes(range(16)))
OTHER = Wallet(bytes(range(1, 17)))
PASSWORD = "correct horse"
CHAIN = bytes(range(32))
OTHER_CHAIN = bytes(range(1, 33))
FIRST = account_of(WALLET, 0, "main")
BOB = OTHER.address()
assert FIRST.public_key is not None
KEY: bytes = FIRST.public_key
SECRET = WALLET.wallet_key()


def a_draft(action: Action | None = None, nonce: int = 0, max_fee: int = 100, tip: int = 3) -> UnsignedTransaction:
    return draft(action or Transfer(BOB, 1_500_000_000), KEY, nonce, Fees(max_fee, tip), CHAIN)


def a_transaction(nonce: int = 0, **changes: int) -> Transaction:
    return sign(a_draft(nonce=nonce, **changes), SECRET)


def a_sent(nonce: int = 0, at_ms: int = 1_000, **changes: int) -> Sent:
    return Sent(a_transaction(nonce, **changes), CHAIN, at_ms)


def _registration() -> RegisterNode:
    node = WALLET.node_key(1)
    consent = ecdsa.sign(node, node_consent(CHAIN, ecdsa.public_key(node), KEY, True))
    return RegisterNode(ecdsa.public_key(node), True, 12_345, consent)


ACTIONS: dict[type, Callable[[], Action]] = {
    Transfer: lambda: Transfer(BOB, 7),
    MultiTransfer: lambda: MultiTransfer((Payment(BOB, 1), Payment(FIRST.address, 2**127))),
    RegisterNode: _registration,
    type(retire_action(SECRET, KEY, CHAIN)): lambda: retire_action(WALLET.node_key(1), KEY, CHAIN),
    type(bond_action(1, 1, BOB, CHAIN)): lambda: bond_action(5, WALLET.validator_key(), FIRST.address, CHAIN),
    Unbond: lambda: Unbond(9),
    Withdraw: Withdraw,
    Unjail: Unjail,
    Evidence: lambda: an_accusation(CHAIN),
    ServicePayment: lambda: ServicePayment(BOB, 11, bytes(range(32))),
}


def drafted(action: Action, nonce: int = 0) -> UnsignedTransaction:
    """A draft of any action, with fees where it pays any."""
    free = isinstance(action, RegisterNode)
    return a_draft(action, nonce, *((0, 0) if free else (100, 3)))


def a_folder(path: Path) -> WalletFolder:
    """A folder with the wallet in it."""
    folder = WalletFolder(path)
    folder.create(WALLET.words(), PASSWORD)
    return folder


# A slow machine is no error.
unhurried = settings(deadline=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
