"""BLS signatures over BLS12-381: validator keys. Public keys of 48 bytes in G1, signatures of 96 in G2.

Suite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ of draft-irtf-cfrg-bls-signature-05. Adding public keys is safe only
because a key counts once its owner has shown a proof of possession (`verify_possession`); who adds keys must have seen
that proof. A caller who counts signers counts distinct keys: the sum does not show that one was added twice.

Libraries disagree on malformed encodings of infinity. So any string whose top bits are not "compressed, not infinity"
is refused here, before a library sees it. Both back ends check that points lie in the right subgroup.
`use` chooses the library: pyblst is the fast one; py_ecc is the readable reference, 300 times slower.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from chain.crypto.choice import Choice
from chain.errors import BadSignature

GROUP_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001

SECRET_BYTES = 32
PUBLIC_KEY_BYTES = 48
SIGNATURE_BYTES = 96


class BackEnd(Protocol):
    """A library. It gets only secrets in range and strings that passed `_well_formed`."""

    def public_key(self, secret: int) -> bytes: ...

    def sign(self, secret: int, message: bytes) -> bytes: ...

    def prove_possession(self, secret: int) -> bytes: ...

    def verify_possession(self, public_key: bytes, proof: bytes) -> bool: ...

    def aggregate(self, signatures: Sequence[bytes]) -> bytes: ...

    def fast_aggregate_verify(self, public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool: ...


_choice = Choice({"pyblst": "chain.crypto.bls_fast", "py_ecc": "chain.crypto.bls_reference"})
# Compute with another library from now on. Raises ImportError if it is absent.
use = _choice.use


def back_end() -> str:
    """The name of the library in use."""
    return _choice.name


def _library() -> BackEnd:
    return cast(BackEnd, _choice.module)


def public_key(secret: int | bytes) -> bytes:
    """The 48-byte public key of a secret (an integer or 32 bytes). Raises BadSignature if it is out of range."""
    return _library().public_key(_scalar(secret))


def sign(secret: int | bytes, message: bytes) -> bytes:
    """The one 96-byte signature of a message of any length. Raises BadSignature if the secret is out of range."""
    return _library().sign(_scalar(secret), message)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed the message. Any bytes may be given."""
    return fast_aggregate_verify((public_key,), message, signature)


def prove_possession(secret: int | bytes) -> bytes:
    """96 bytes that show that the owner of the public key knows its secret (PopProve of the draft)."""
    return _library().prove_possession(_scalar(secret))


def verify_possession(public_key: bytes, proof: bytes) -> bool:
    """Whether `proof` is the public key's proof of possession. Any bytes may be given."""
    if not _well_formed(public_key, PUBLIC_KEY_BYTES) or not _well_formed(proof, SIGNATURE_BYTES):
        return False
    return _library().verify_possession(public_key, proof)


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """The sum of at least one signature, 96 bytes. Raises BadSignature if one is malformed or the sum is nothing.

    The signatures are checked to be points of G2, not to be valid: verify the sum.
    """
    if not signatures:
        raise BadSignature("there is no signature to aggregate")
    for position, signature in enumerate(signatures):
        if not _well_formed(signature, SIGNATURE_BYTES):
            raise BadSignature(f"signature {position} of {len(signatures)} is not an encoding of a point")
    total = _library().aggregate(signatures)
    if not _well_formed(total, SIGNATURE_BYTES):
        raise BadSignature(f"the {len(signatures)} signatures cancel each other")
    return total


def fast_aggregate_verify(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the sum of one signature by each key over the same message. No keys: False."""
    if not public_keys or not _well_formed(signature, SIGNATURE_BYTES):
        return False
    if not all(_well_formed(key, PUBLIC_KEY_BYTES) for key in public_keys):
        return False
    return _library().fast_aggregate_verify(public_keys, message, signature)


def _scalar(secret: int | bytes) -> int:
    if isinstance(secret, bytes):
        secret = int.from_bytes(secret, "big") if len(secret) == SECRET_BYTES else 0
    if not 0 < secret < GROUP_ORDER:
        raise BadSignature(f"a secret key is {SECRET_BYTES} bytes between 1 and the group's order less 1")
    return secret


def _well_formed(point: bytes, size: int) -> bool:
    # The two top bits: compressed is 1, infinity is 0. The third is the sign of y, either is fine.
    return len(point) == size and point[0] & 0xC0 == 0x80
