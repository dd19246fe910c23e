"""Single keys of a wallet for other machines, as EIP-2335 keystores: a validator's needs no more than its voting key.

Beside the sealed secret stand its public key and the path that leads to it from the twelve words.
"""

from dataclasses import dataclass, replace
from enum import Enum

from chain.address import address_of, to_text
from chain.crypto import bls, ecdsa
from chain.errors import BadSignature
from wallet import keystore
from wallet.errors import KeystoreMismatch
from wallet.keys import BLS_PURPOSE, COIN, Wallet


class KeyKind(Enum):
    """Which of a wallet's trees a key stands in."""

    WALLET = "wallet"  # owns money
    NODE = "node"  # signs a machine's work
    VALIDATOR = "validator"  # votes; BLS


@dataclass(frozen=True, slots=True, repr=False)
class ExportedKey:
    """A secret with what is public of it; printing it shows the public part."""

    kind: KeyKind
    secret: bytes
    public_key: bytes

    def __repr__(self) -> str:
        return f"ExportedKey({self.kind.value}, {self.public_key.hex()})"


def path_of(kind: KeyKind, index: int) -> str:
    if kind is KeyKind.VALIDATOR:
        return f"m/{BLS_PURPOSE}/{COIN}/{index}/0"
    return f"m/44'/{COIN}'/{0 if kind is KeyKind.WALLET else 1}'/0/{index}"


def key_of(wallet: Wallet, kind: KeyKind, index: int = 0) -> ExportedKey:
    """A key by its number. Raises DerivationError."""
    secret = {
        KeyKind.WALLET: wallet.wallet_key,
        KeyKind.NODE: wallet.node_key,
        KeyKind.VALIDATOR: wallet.validator_key,
    }[kind](index)
    return ExportedKey(kind, secret, _public_key(kind, secret))


def export(
    wallet: Wallet, kind: KeyKind, index: int, password: str, scrypt_n: int = keystore.SCRYPT_N
) -> keystore.Keystore:
    """The keystore of one key, to be written by `keystore_file.save`. Raises KeystoreError, DerivationError."""
    key = key_of(wallet, kind, index)
    address = to_text(address_of(key.public_key)) if kind is KeyKind.WALLET else ""
    description = f"NeuroShard {kind.value} key {index}"
    sealed = keystore.seal(key.secret, password, address, description, scrypt_n)
    return replace(sealed, public_key=key.public_key.hex(), path=path_of(kind, index))


def open_export(kept: keystore.Keystore, kind: KeyKind, password: str) -> ExportedKey:
    """The key in a keystore. Raises KeystoreMismatch if it is not the one that the file names."""
    secret = keystore.unseal(kept, password)
    try:
        key = ExportedKey(kind, secret, _public_key(kind, secret))
    except BadSignature as error:
        raise KeystoreMismatch(f"the keystore holds no {kind.value} key: {error}") from None
    if key.public_key.hex() != kept.public_key:
        raise KeystoreMismatch(
            f"the secret in the keystore belongs to {key.public_key.hex()}, the file names "
            f"{kept.public_key or 'no public key'}"
        )
    return key


def _public_key(kind: KeyKind, secret: bytes) -> bytes:
    return bls.public_key(secret) if kind is KeyKind.VALIDATOR else ecdsa.public_key(secret)
