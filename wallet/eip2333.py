"""The tree of BLS12-381 keys that grows from one seed (EIP-2333, https://eips.ethereum.org/EIPS/eip-2333).

Every step is hardened: a child's secret is a hash of a Lamport public key made from its parent's secret.
"""

import hmac
from hashlib import sha256

from chain.crypto import bls
from wallet.errors import DerivationError

KEYGEN_SALT = b"BLS-SIG-KEYGEN-SALT-"
HASH_BYTES = 32
LAMPORT_PARTS = 255
SEED_MIN_BYTES = 32
WIDE_BYTES = 48
INDEXES = 2**32


def derive(seed: bytes, path: tuple[int, ...]) -> int:
    """The secret at a path of indexes below 2³², from a seed of at least 32 bytes. Raises DerivationError."""
    secret = master(seed)
    for index in path:
        secret = child(secret, index)
    return secret


def master(seed: bytes) -> int:
    """The root of the tree."""
    if len(seed) < SEED_MIN_BYTES:
        raise DerivationError(f"a seed has at least {SEED_MIN_BYTES} bytes, not {len(seed)}")
    return _to_secret(seed)


def child(parent: int, index: int) -> int:
    """The secret of child number `index`."""
    if not 0 <= index < INDEXES:
        raise DerivationError(f"a child's index is between 0 and 2**32 - 1, not {index}")
    return _to_secret(_lamport_public_key(parent, index))


def _lamport_public_key(parent: int, index: int) -> bytes:
    """SHA-256 of the hashes of 2 · 255 secrets, of the parent's bits and of their complement."""
    salt = index.to_bytes(4, "big")
    secret = parent.to_bytes(HASH_BYTES, "big")
    complement = bytes(byte ^ 0xFF for byte in secret)
    hashes = []
    for source in (secret, complement):
        stretched = _expand(hmac.digest(salt, source, "sha256"), b"", LAMPORT_PARTS * HASH_BYTES)
        parts = (stretched[at : at + HASH_BYTES] for at in range(0, len(stretched), HASH_BYTES))
        hashes += [sha256(part).digest() for part in parts]
    return sha256(b"".join(hashes)).digest()


def _to_secret(source: bytes) -> int:
    """hkdf_mod_r of the EIP: 48 bytes reduced by the group's order, so that the bias is below 2⁻¹²⁸."""
    salt = KEYGEN_SALT
    secret = 0
    while secret == 0:
        salt = sha256(salt).digest()
        key = hmac.digest(salt, source + b"\x00", "sha256")
        secret = int.from_bytes(_expand(key, WIDE_BYTES.to_bytes(2, "big"), WIDE_BYTES), "big") % bls.GROUP_ORDER
    return secret


def _expand(key: bytes, info: bytes, size: int) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256; `size` is at most 255 · 32 bytes."""
    blocks: list[bytes] = []
    block = b""
    for counter in range(1, -(-size // HASH_BYTES) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        blocks.append(block)
    return b"".join(blocks)[:size]
