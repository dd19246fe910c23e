"""Several accounts of one owner: address numbers of one mnemonic, each with a label."""

from dataclasses import dataclass

from chain.address import address_of, to_text
from chain.crypto import ecdsa
from wallet.keys import Wallet

ACCOUNTS_MAXIMUM = 256
INDEX_MAXIMUM = 2**31 - 1
FIRST_LABEL = "main"


@dataclass(frozen=True, slots=True)
class Account:
    """What can be shown without a password. The public key is unknown until the wallet has been opened once."""

    index: int
    label: str
    address: bytes
    public_key: bytes | None = None

    @property
    def address_text(self) -> str:
        return to_text(self.address)

    def is_of(self, wallet: Wallet) -> bool:
        return wallet.address(self.index) == self.address


def account_of(wallet: Wallet, index: int, label: str) -> Account:
    """The account of an address number. Raises DerivationError."""
    public_key = ecdsa.public_key(wallet.wallet_key(index))
    return Account(index, label, address_of(public_key), public_key)


def find(accounts: tuple[Account, ...], address: bytes) -> Account | None:
    return next((account for account in accounts if account.address == address), None)
