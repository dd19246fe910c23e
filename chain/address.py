"""Addresses: 21 bytes on the ledger, bech32m text for people (BIP-350, https://bips.dev/350).

An address is the version byte 0 and the first 20 bytes of the tagged hash of a 33-byte public key. Its text begins with
`neuro1`, or `tneuro1` on test networks, and its checksum catches every error of up to four characters.
"""

from collections.abc import Sequence

from chain.crypto.hashing import tagged_hash
from chain.errors import DecodeError

ADDRESS_BYTES = 21
VERSION = 0
PREFIX = "neuro"
TEST_PREFIX = "tneuro"

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_LETTERS = 6
MAX_TEXT = 90
_CHECKSUM_TARGET = 0x2BC830A3
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_VALUE_OF = {letter: value for value, letter in enumerate(LETTERS)}


def address_of(public_key: bytes) -> bytes:
    """The 21-byte address of a 33-byte public key."""
    return bytes([VERSION]) + tagged_hash("address", public_key)[: ADDRESS_BYTES - 1]


def to_text(address: bytes, test: bool = False) -> str:
    """The lower-case text of an address. Raises DecodeError if it is not 21 bytes of version 0."""
    _check(address)
    return bech32m_encode(TEST_PREFIX if test else PREFIX, _regroup(address, 8, 5))


def from_text(text: str, test: bool = False) -> bytes:
    """The 21 bytes of an address of the wanted network. Raises DecodeError, saying what is wrong with the text."""
    prefix, values = bech32m_decode(text)
    wanted = TEST_PREFIX if test else PREFIX
    if prefix != wanted:
        raise DecodeError(f"an address of this network begins with {wanted}1, this one with {prefix}1")
    address = _regroup(values, 5, 8)
    _check(address)
    if _regroup(address, 8, 5) != values:
        raise DecodeError("the unused last bits of an address are zero")
    return address


def _check(address: bytes) -> None:
    if len(address) != ADDRESS_BYTES:
        raise DecodeError(f"an address has {ADDRESS_BYTES} bytes, not {len(address)}")
    if address[0] != VERSION:
        raise DecodeError(f"the version of an address is {VERSION}, not {address[0]}")


def bech32m_encode(prefix: str, values: Sequence[int]) -> str:
    """The lower-case text of a prefix and numbers below 32."""
    remainder = _polymod([*_spread(prefix), *values, *bytes(CHECKSUM_LETTERS)]) ^ _CHECKSUM_TARGET
    checksum = [remainder >> 5 * (CHECKSUM_LETTERS - 1 - i) & 31 for i in range(CHECKSUM_LETTERS)]
    return prefix + "1" + "".join(LETTERS[value] for value in [*values, *checksum])


def bech32m_decode(text: str) -> tuple[str, bytes]:
    """The prefix and the numbers below 32 of a text without mixed case. Raises DecodeError."""
    if len(text) > MAX_TEXT:
        raise DecodeError(f"an address has at most {MAX_TEXT} characters, this one {len(text)}")
    if not all(33 <= ord(character) <= 126 for character in text):
        raise DecodeError("an address has no blanks and no characters beyond ASCII")
    if text.lower() != text and text.upper() != text:
        raise DecodeError("an address is written in lower case or in upper case, not in both")
    text = text.lower()
    prefix, separator, letters = text.rpartition("1")
    if not separator or not prefix or len(letters) < CHECKSUM_LETTERS:
        raise DecodeError("an address is a prefix, the digit 1, and at least six letters of checksum")
    for position, letter in enumerate(letters, start=len(prefix) + 2):
        if letter not in _VALUE_OF:
            raise DecodeError(f"the character {letter} (number {position}) never occurs in an address")
    values = bytes(_VALUE_OF[letter] for letter in letters)
    if _polymod([*_spread(prefix), *values]) != _CHECKSUM_TARGET:
        raise DecodeError("the checksum of the address is wrong: a character was mistyped or lost")
    return prefix, values[:-CHECKSUM_LETTERS]


def _polymod(values: Sequence[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _spread(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _regroup(values: bytes, width: int, wanted: int) -> bytes:
    """The same bits in groups of `wanted` instead of `width`; widening pads with zeros, narrowing drops the rest."""
    number = 0
    for value in values:
        number = number << width | value
    bits = len(values) * width
    groups = -(-bits // wanted) if wanted < width else bits // wanted
    shift = groups * wanted - bits
    number = number << shift if shift >= 0 else number >> -shift
    mask = (1 << wanted) - 1
    return bytes(number >> wanted * (groups - 1 - i) & mask for i in range(groups))
