"""secp256k1 with `cryptography` (OpenSSL), ten times slower and everywhere. Called by `ecdsa` only."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVE = ec.SECP256K1()
_SIGNING = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)
_VERIFYING = ec.ECDSA(Prehashed(SHA256()))


def public_key(secret: bytes) -> bytes:
    """33 bytes."""
    key = ec.derive_private_key(int.from_bytes(secret, "big"), _CURVE).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def sign(secret: bytes, digest: bytes) -> bytes:
    """r‖s, where s may be high."""
    key = ec.derive_private_key(int.from_bytes(secret, "big"), _CURVE)
    r, s = decode_dss_signature(key.sign(digest, _SIGNING))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """False also for a key that is not a point of the curve."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public_key)
        key.verify(encode_dss_signature(r, s), digest, _VERIFYING)
    except (ValueError, InvalidSignature):
        return False
    return True
