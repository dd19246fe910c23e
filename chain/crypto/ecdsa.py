"""ECDSA over secp256k1: wallet and node keys. Public keys of 33 bytes, signatures r‖s of 64, digests of 32.

Sources: SEC 1 (keys, verification), RFC 6979 (nonces), BIP-62 rule 5 (low s). Whatever two libraries could judge
differently (ranges, low s, the form of a key) is decided here, before a library is called: a node must not split from
the others because its machine lacks a wheel. `use` chooses the library; coincurve is the fast one.
"""

from typing import Protocol, cast

from chain.crypto.choice import Choice
from chain.errors import BadSignature

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD_PRIME = 2**256 - 2**32 - 977
HALF_ORDER = CURVE_ORDER // 2

SECRET_BYTES = 32
PUBLIC_KEY_BYTES = 33
DIGEST_BYTES = 32
SIGNATURE_BYTES = 64


class BackEnd(Protocol):
    """A library. It gets only arguments that passed the checks of this module."""

    def public_key(self, secret: bytes) -> bytes: ...

    def sign(self, secret: bytes, digest: bytes) -> bytes: ...

    def verify(self, public_key: bytes, digest: bytes, signature: bytes) -> bool: ...


_choice = Choice({"coincurve": "chain.crypto.ecdsa_fast", "cryptography": "chain.crypto.ecdsa_portable"})
# Compute with another library from now on. Raises ImportError if it is absent.
use = _choice.use


def back_end() -> str:
    """The name of the library in use."""
    return _choice.name


def _library() -> BackEnd:
    return cast(BackEnd, _choice.module)


def public_key(secret: bytes) -> bytes:
    """The 33-byte compressed public key of a 32-byte secret. Raises BadSignature if the secret is out of range."""
    _check_secret(secret)
    return _library().public_key(secret)


def sign(secret: bytes, digest: bytes) -> bytes:
    """The one 64-byte signature r‖s of a 32-byte digest: RFC 6979 nonce, low s. Raises BadSignature on a bad secret."""
    _check_secret(secret)
    assert len(digest) == DIGEST_BYTES
    signature = _library().sign(secret, digest)
    s = int.from_bytes(signature[32:], "big")
    if s <= HALF_ORDER:
        return signature
    return signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big")


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the key signed the digest. Any bytes may be given; what is malformed is just not a signature."""
    if len(digest) != DIGEST_BYTES or not _key_in_form(public_key) or not _signature_in_range(signature):
        return False
    return _library().verify(public_key, digest, signature)


def _check_secret(secret: bytes) -> None:
    if len(secret) != SECRET_BYTES or not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
        raise BadSignature(f"a secret key is {SECRET_BYTES} bytes between 1 and the curve's order less 1")


def _key_in_form(key: bytes) -> bool:
    # Libraries also know uncompressed and hybrid keys, and could differ on an x beyond the field.
    return len(key) == PUBLIC_KEY_BYTES and key[0] in (2, 3) and int.from_bytes(key[1:], "big") < FIELD_PRIME


def _signature_in_range(signature: bytes) -> bool:
    if len(signature) != SIGNATURE_BYTES:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    return 0 < r < CURVE_ORDER and 0 < s <= HALF_ORDER
