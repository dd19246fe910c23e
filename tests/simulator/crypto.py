"""Signatures for the simulator: keyed BLAKE2 in place of elliptic curves, a hundred times cheaper.

Anyone could forge them and no adversary here does. What callers must do with signatures stays the same: a sum of BLS
signatures verifies against its signers, and what is malformed is refused by `chain.crypto` itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from types import SimpleNamespace

from chain.crypto import bls, ecdsa
from chain.errors import BadSignature

SUM = 1 << 512
PADDING = bytes(31)
COMPRESSED = b"\x80"  # what chain.crypto.bls wants to see of a point that is not infinity


def _digest(key: bytes, message: bytes) -> int:
    return int.from_bytes(blake2b(message, key=key).digest(), "big")


def _point(number: int) -> bytes:
    return COMPRESSED + PADDING + number.to_bytes(64, "big")


@lru_cache(maxsize=4096)
def _bls_public_key(secret: int) -> bytes:
    return COMPRESSED + blake2b(secret.to_bytes(32, "big"), digest_size=47, person=b"bls key").digest()


def _bls_sign(secret: int, message: bytes) -> bytes:
    return _point(_digest(_bls_public_key(secret), message))


def _prove_possession(secret: int) -> bytes:
    return _point(_digest(_bls_public_key(secret), b"possession"))


def _verify_possession(public_key: bytes, proof: bytes) -> bool:
    return proof == _point(_digest(public_key, b"possession"))


def _aggregate(signatures: Sequence[bytes]) -> bytes:
    if any(signature[:32] != COMPRESSED + PADDING for signature in signatures):
        raise BadSignature("a signature is not a point")
    return _point(sum(int.from_bytes(signature[32:], "big") for signature in signatures) % SUM)


def _fast_aggregate_verify(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    return signature == _point(sum(_digest(key, message) for key in public_keys) % SUM)


@lru_cache(maxsize=4096)
def _ecdsa_public_key(secret: bytes) -> bytes:
    # Below the field's prime, as `chain.crypto.ecdsa` demands.
    return b"\x02\x00" + blake2b(secret, digest_size=31, person=b"ecdsa key").digest()


def _ecdsa_signature(public_key: bytes, digest: bytes) -> bytes:
    # Both halves above zero, and s below half of the curve's order.
    r, s = (blake2b(digest, key=public_key, digest_size=31, person=name).digest() for name in (b"r", b"s"))
    return b"\x01" + r + b"\x01" + s


def _ecdsa_sign(secret: bytes, digest: bytes) -> bytes:
    return _ecdsa_signature(_ecdsa_public_key(secret), digest)


def _ecdsa_verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    return signature == _ecdsa_signature(public_key, digest)


STUB_BLS = SimpleNamespace(
    public_key=_bls_public_key,
    sign=_bls_sign,
    prove_possession=_prove_possession,
    verify_possession=_verify_possession,
    aggregate=_aggregate,
    fast_aggregate_verify=_fast_aggregate_verify,
)
STUB_ECDSA = SimpleNamespace(public_key=_ecdsa_public_key, sign=_ecdsa_sign, verify=_ecdsa_verify)


@contextmanager
def cheap_signatures() -> Iterator[None]:
    """Within, `chain.crypto.bls` and `ecdsa` compute with the stubs."""
    before = bls._choice.module, ecdsa._choice.module
    bls._choice.module, ecdsa._choice.module = STUB_BLS, STUB_ECDSA
    try:
        yield
    finally:
        bls._choice.module, ecdsa._choice.module = before
