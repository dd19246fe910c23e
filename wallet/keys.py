"""Your keys. Start reading here.

A wallet is 16 bytes of entropy. They are written down as twelve words (`mnemonic`), kept under a password (`keystore`),
and grow into all keys: wallet and node keys by BIP-32 (`bip32`), validator keys by EIP-2333 (`eip2333`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chain import address
from chain.crypto import ecdsa
from wallet import bip32, eip2333, keystore, keystore_file, mnemonic
from wallet.durable import Reached, unwatched
from wallet.errors import DerivationError, KeystoreCorrupt, KeystoreMismatch

COIN = 20037
BLS_PURPOSE = 12381


@dataclass(frozen=True, slots=True, repr=False)
class Wallet:
    """All keys of one owner. Secrets are 32 bytes; printing a wallet shows none of them."""

    entropy: bytes
    seed: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Kept, because its derivation is slow on purpose.
        object.__setattr__(self, "seed", mnemonic.to_seed(mnemonic.to_words(self.entropy)))

    def __repr__(self) -> str:
        return f"Wallet({address.to_text(self.address())})"

    @classmethod
    def create(cls) -> Self:
        """A new wallet."""
        return cls(mnemonic.new_entropy())

    @classmethod
    def from_words(cls, typed: str) -> Self:
        """The wallet of twelve typed words. Raises MnemonicError."""
        return cls(mnemonic.to_entropy(typed))

    def words(self) -> str:
        """The twelve words: whoever reads them owns the wallet."""
        return mnemonic.to_words(self.entropy)

    def wallet_key(self, index: int = 0) -> bytes:
        """The secret that owns the money of address `index`: m/44'/20037'/0'/0/index."""
        return bip32.derive(self.seed, f"m/44'/{COIN}'/0'/0/{_checked(index)}").secret

    def node_key(self, index: int = 0) -> bytes:
        """The secret of node `index`: m/44'/20037'/1'/0/index."""
        return bip32.derive(self.seed, f"m/44'/{COIN}'/1'/0/{_checked(index)}").secret

    def validator_key(self, index: int = 0) -> bytes:
        """The BLS secret of validator `index`: m/12381/20037/index/0."""
        return eip2333.derive(self.seed, (BLS_PURPOSE, COIN, _checked(index), 0)).to_bytes(32, "big")

    def address(self, index: int = 0) -> bytes:
        """The 21-byte address of `wallet_key(index)`."""
        return address.address_of(ecdsa.public_key(self.wallet_key(index)))

    def to_keystore(
        self, password: str, *, test: bool = False, description: str = "", scrypt_n: int = keystore.SCRYPT_N
    ) -> keystore.Keystore:
        """The wallet under a password. Takes about a second and 128 MiB of memory. Raises KeystoreError."""
        text = address.to_text(self.address(), test)
        return keystore.seal(self.entropy, password, text, description, scrypt_n)

    def save(
        self,
        path: Path,
        password: str,
        *,
        test: bool = False,
        description: str = "",
        reached: Reached = unwatched,
    ) -> None:
        """Write a new keystore file. Raises KeystoreError, KeystoreExists if the name is taken."""
        keystore_file.save(path, self.to_keystore(password, test=test, description=description), reached)

    @classmethod
    def load(cls, path: Path, password: str) -> Self:
        """The wallet in a keystore file. Raises KeystoreError."""
        return cls.from_keystore(keystore_file.load(path), password)

    @classmethod
    def from_keystore(cls, kept: keystore.Keystore, password: str) -> Self:
        """The wallet in a keystore. Raises KeystoreMismatch if its first address is not the one stored beside it."""
        entropy = keystore.unseal(kept, password)
        if len(entropy) != mnemonic.ENTROPY_BYTES:
            raise KeystoreCorrupt(f"a wallet's secret has {mnemonic.ENTROPY_BYTES} bytes, this one {len(entropy)}")
        wallet = cls(entropy)
        found = address.to_text(wallet.address(), test=kept.address.startswith(address.TEST_PREFIX))
        if found != kept.address:
            raise KeystoreMismatch(f"the secret in the keystore belongs to {found}, the file names {kept.address!r}")
        return wallet


def _checked(index: int) -> int:
    if not 0 <= index < bip32.HARDENED:
        raise DerivationError(f"a key's index is between 0 and 2**31 - 1, not {index}")
    return index
