"""BLS12-381 with py_ecc, in plain Python: slow, portable, and the judge of the fast back end in the tests.

py_ecc takes half a second to import, so it is imported with the first call, not with this module.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

from chain.errors import BadSignature

CACHED_MESSAGES, CACHED_KEYS = 32, 4096


@cache
def _scheme() -> Any:
    ciphersuites: Any = import_module("py_ecc.bls.ciphersuites")
    # Hashing a message to the curve is a third of a check, and each block's votes are over the same two messages.
    ciphersuites.hash_to_G2 = lru_cache(maxsize=CACHED_MESSAGES)(ciphersuites.hash_to_G2)
    scheme = ciphersuites.G2ProofOfPossession
    # A committee's keys come back with every certificate.
    scheme.KeyValidate = staticmethod(lru_cache(maxsize=CACHED_KEYS)(scheme.KeyValidate))
    return scheme


def public_key(secret: int) -> bytes:
    """48 bytes."""
    return bytes(_scheme().SkToPk(secret))


def sign(secret: int, message: bytes) -> bytes:
    """96 bytes."""
    return bytes(_scheme().Sign(secret, message))


def prove_possession(secret: int) -> bytes:
    """96 bytes."""
    return bytes(_scheme().PopProve(secret))


def verify_possession(public_key: bytes, proof: bytes) -> bool:
    """False also if either is not a point of its group."""
    return bool(_scheme().PopVerify(public_key, proof))


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """96 bytes, possibly infinity."""
    from eth_typing import BLSSignature
    from py_ecc.bls.g2_primitives import signature_to_G2, subgroup_check

    # py_ecc adds points of the curve outside the subgroup without complaint.
    for position, signature in enumerate(signatures):
        try:
            in_subgroup = subgroup_check(signature_to_G2(BLSSignature(signature)))
        except ValueError as error:
            raise BadSignature(f"signature {position} is not a point: {error}") from None
        if not in_subgroup:
            raise BadSignature(f"signature {position} is not a point of G2")
    return bytes(_scheme().Aggregate(signatures))


def fast_aggregate_verify(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    """False also if anything is not a point of its group, or the keys cancel each other."""
    return bool(_scheme().FastAggregateVerify(public_keys, message, signature))
