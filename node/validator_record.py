"""A bootstrap validator as text, for whoever makes a network: BLS key, its proof of possession, payout address.

    neuroval1:<base32 of (record ‖ check)>      record = key[48] ‖ possession[96] ‖ address[21], check[4]

Base32 is RFC 4648's alphabet in lower case without padding. `check` is the first four bytes of SHA-256 over the prefix
and the record: the possession proves the key, only the check covers the address. Blanks and line ends do not count.
"""

import base64
import binascii
from hashlib import sha256

from chain.crypto import bls
from chain.errors import NeuroError
from chain.genesis import BootstrapValidator
from node.errors import NodeError

PREFIX = "neuroval1:"
CHECK_BYTES = 4
RECORD_BYTES = 48 + 96 + 21
TEXT_MAXIMUM = 1_000  # characters, with line ends in between


class BadRecord(NodeError):
    """Text that is no validator's record, in words."""


def record_text(validator: BootstrapValidator) -> str:
    """The record as one word."""
    content = validator.encode()
    return PREFIX + base64.b32encode(content + _check(content)).decode().lower().rstrip("=")


def read_record(text: str) -> BootstrapValidator:
    """The validator of a record. Raises BadRecord if a character is wrong, or it does not prove to own its key."""
    word = "".join(text[: TEXT_MAXIMUM + 1].split()).lower()
    if len(text) > TEXT_MAXIMUM or not word.startswith(PREFIX):
        raise BadRecord(f"this is no validator's record: one begins with {PREFIX} (`neuroshard network key` prints it)")
    letters = word.removeprefix(PREFIX).upper()
    try:
        content = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError) as error:
        raise BadRecord("the validator's record holds characters that never occur in one, or lacks some") from error
    record, check = content[:-CHECK_BYTES], content[-CHECK_BYTES:]
    if len(record) != RECORD_BYTES or check != _check(record):
        raise BadRecord("the checksum of the validator's record is wrong: a part was lost or mistyped")
    try:
        validator = BootstrapValidator.decode(record)
    except NeuroError as error:
        raise BadRecord(f"the validator's record is damaged: {error}") from error
    if record_text(validator) != word:
        raise BadRecord("the validator's record has another spelling than the one that is allowed")
    if not bls.verify_possession(validator.public_key, validator.possession):
        raise BadRecord(
            f"the validator {validator.public_key.hex()[:16]} does not prove possession of its key: "
            "ask its owner for the output of `neuroshard network key`"
        )
    return validator


def _check(record: bytes) -> bytes:
    return sha256(PREFIX.encode() + record).digest()[:CHECK_BYTES]
