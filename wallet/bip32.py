"""The tree of secp256k1 keys that grows from one seed (BIP-32). Only secrets are derived, and only from secrets."""

import hmac
from dataclasses import dataclass, field

from chain.crypto import ecdsa
from wallet.errors import DerivationError

HARDENED = 2**31
MASTER_LABEL = b"Bitcoin seed"
MAX_DEPTH = 255
SEED_MIN_BYTES = 16
SEED_MAX_BYTES = 64


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A secret and the chain code that its children need, 32 bytes each."""

    secret: bytes = field(repr=False)
    chain_code: bytes = field(repr=False)


def derive(seed: bytes, path: str) -> ExtendedKey:
    """The key at a path such as m/44'/20037'/0'/0/3, where ' marks a hardened step. Raises DerivationError."""
    key = master(seed)
    for index in parse_path(path):
        key = child(key, index)
    return key


def master(seed: bytes) -> ExtendedKey:
    """The root of the tree of a seed of 16 to 64 bytes."""
    if not SEED_MIN_BYTES <= len(seed) <= SEED_MAX_BYTES:
        raise DerivationError(f"a seed has {SEED_MIN_BYTES} to {SEED_MAX_BYTES} bytes, not {len(seed)}")
    return _extended_key(hmac.digest(MASTER_LABEL, seed, "sha512"), 0)


def child(parent: ExtendedKey, index: int) -> ExtendedKey:
    """Child number `index` of 2³², hardened from 2³¹ on: a hardened child does not depend on the public key."""
    if not 0 <= index < 2 * HARDENED:
        raise DerivationError(f"a child's index is between 0 and 2**32 - 1, not {index}")
    start = b"\x00" + parent.secret if index >= HARDENED else ecdsa.public_key(parent.secret)
    stretched = hmac.digest(parent.chain_code, start + index.to_bytes(4, "big"), "sha512")
    return _extended_key(stretched, int.from_bytes(parent.secret, "big"))


def _extended_key(stretched: bytes, parent_secret: int) -> ExtendedKey:
    tweak = int.from_bytes(stretched[:32], "big")
    secret = (tweak + parent_secret) % ecdsa.CURVE_ORDER
    # One seed in 2**127 leads here; BIP-32 says to take the next index, which is the caller's choice.
    if tweak >= ecdsa.CURVE_ORDER or secret == 0:
        raise DerivationError("there is no key at this index: take the next one")
    return ExtendedKey(secret.to_bytes(32, "big"), stretched[32:])


def parse_path(path: str) -> tuple[int, ...]:
    """The indexes of a path that begins with m. Raises DerivationError."""
    root, *steps = path.split("/", MAX_DEPTH + 1)
    if root != "m" or len(steps) > MAX_DEPTH:
        raise DerivationError(f"a path begins with m and has at most {MAX_DEPTH} steps")
    return tuple(_parse_step(step) for step in steps)


def _parse_step(step: str) -> int:
    digits = step.removesuffix("'")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) < HARDENED):
        raise DerivationError("each step of a path is a number below 2**31, then perhaps an apostrophe")
    return int(digits) + (HARDENED if digits != step else 0)
