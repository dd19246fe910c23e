"""BLS12-381 with pyblst (blst). Called by `bls` only, with checked arguments.

pyblst offers points and pairings; the scheme is put together here. Its `uncompress` refuses, with ValueError, what is
not on the curve or not in the prime-order subgroup.
"""

from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import add

from pyblst import BlstP1Element, BlstP2Element, final_verify, miller_loop

from chain.errors import BadSignature

SIGNATURE_TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
CACHED_KEYS = 4096

_GENERATOR = BlstP1Element.uncompress(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)


@lru_cache(maxsize=CACHED_KEYS)
def _key_point(public_key: bytes) -> BlstP1Element:
    # Parsing is as dear as adding sixty points, and a committee's keys come back with every certificate.
    return BlstP1Element.uncompress(public_key)


def _is_infinity(point: BlstP1Element) -> bool:
    infinity_flag: int = point.compress()[0] & 0x40
    return bool(infinity_flag)


def _signed(secret: int, message: bytes, tag: bytes) -> bytes:
    signature: bytes = BlstP2Element.hash_to_group(message, tag).scalar_mul(secret).compress()
    return signature


def _pairings_agree(key: BlstP1Element, message: bytes, tag: bytes, signature: bytes) -> bool:
    try:
        signature_point = BlstP2Element.uncompress(signature)
    except ValueError:
        return False
    message_point = BlstP2Element.hash_to_group(message, tag)
    return bool(final_verify(miller_loop(_GENERATOR, signature_point), miller_loop(key, message_point)))


def public_key(secret: int) -> bytes:
    """48 bytes."""
    key: bytes = _GENERATOR.scalar_mul(secret).compress()
    return key


def sign(secret: int, message: bytes) -> bytes:
    """96 bytes."""
    return _signed(secret, message, SIGNATURE_TAG)


def prove_possession(secret: int) -> bytes:
    """96 bytes: the public key, signed under a tag that no message has."""
    return _signed(secret, public_key(secret), POSSESSION_TAG)


def verify_possession(public_key: bytes, proof: bytes) -> bool:
    """False also if either is not a point of its group."""
    try:
        key = _key_point(public_key)
    except ValueError:
        return False
    return _pairings_agree(key, public_key, POSSESSION_TAG, proof)


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """96 bytes, possibly infinity."""
    try:
        points = [BlstP2Element.uncompress(signature) for signature in signatures]
    except ValueError as error:
        raise BadSignature(f"one of {len(signatures)} signatures is not a point of G2: {error}") from None
    total: bytes = reduce(add, points).compress()
    return total


def fast_aggregate_verify(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    """False also if anything is not a point of its group, or the keys cancel each other."""
    try:
        key = reduce(add, map(_key_point, public_keys))
    except ValueError:
        return False
    return not _is_infinity(key) and _pairings_agree(key, message, SIGNATURE_TAG, signature)
