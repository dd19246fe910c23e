"""secp256k1 with coincurve (libsecp256k1). Called by `ecdsa` only, with checked arguments."""

from coincurve import PrivateKey, PublicKey
from coincurve.ecdsa import cdata_to_der, deserialize_compact


def public_key(secret: bytes) -> bytes:
    """33 bytes."""
    return PublicKey.from_valid_secret(secret).format(compressed=True)


def sign(secret: bytes, digest: bytes) -> bytes:
    """r‖s. The recoverable form is compact already; its 65th byte, the recovery id, is dropped."""
    return PrivateKey(secret).sign_recoverable(digest, hasher=None)[:64]


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """False also for a key that is not a point of the curve."""
    try:
        key = PublicKey(public_key)
    except ValueError:
        return False
    return key.verify(cdata_to_der(deserialize_compact(signature)), digest, hasher=None)
