"""Addresses and their text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import address
from chain.crypto import ecdsa
from chain.crypto.hashing import tagged_hash
from chain.errors import DecodeError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bech32m.json").read_text())
PUBLIC_KEY = ecdsa.public_key(bytes(31) + b"\x01")
ADDRESS = address.address_of(PUBLIC_KEY)
TEXT = "neuro1qzkky0v6ftdtgu3mtmhwfhp8nu36tgk4w5gc0qvx"

some_address = st.binary(min_size=20, max_size=20).map(lambda rest: b"\x00" + rest)


@pytest.mark.parametrize("text", VECTORS["valid"])
def test_valid_bech32m_decodes_and_encodes_back(text: str) -> None:
    prefix, values = address.bech32m_decode(text)
    assert address.bech32m_encode(prefix, values) == text.lower()


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["why"])
def test_invalid_bech32m_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(DecodeError):
        address.bech32m_decode(case["text"])


def test_an_address_is_the_version_and_twenty_bytes_of_the_tagged_hash() -> None:
    assert b"\x00" + tagged_hash("address", PUBLIC_KEY)[:20] == ADDRESS
    assert address.to_text(ADDRESS) == TEXT


@given(some_address, st.booleans())
def test_text_and_bytes_are_one_to_one(raw: bytes, test: bool) -> None:
    text = address.to_text(raw, test)
    assert text.startswith("tneuro1" if test else "neuro1") and text == text.lower()
    assert address.from_text(text, test) == raw
    assert address.from_text(text.upper(), test) == raw


def test_every_single_character_error_is_refused() -> None:
    for position in range(len(TEXT)):
        for code in range(32, 128):
            wrong = TEXT[:position] + chr(code) + TEXT[position + 1 :]
            if wrong != TEXT:
                with pytest.raises(DecodeError):
                    address.from_text(wrong)


def test_lost_added_and_swapped_characters_are_refused() -> None:
    for position in range(len(TEXT)):
        swapped = TEXT[:position] + TEXT[position : position + 2][::-1] + TEXT[position + 2 :]
        lost = TEXT[:position] + TEXT[position + 1 :]
        added = [TEXT[:position] + letter + TEXT[position:] for letter in address.LETTERS]
        for wrong in (lost, swapped, *added):
            if wrong != TEXT:
                with pytest.raises(DecodeError):
                    address.from_text(wrong)


def test_mixed_case_is_refused() -> None:
    for wrong in (TEXT.capitalize(), TEXT[:10] + TEXT[10:].upper(), "NEURO" + TEXT[5:]):
        with pytest.raises(DecodeError, match="case"):
            address.from_text(wrong)


def test_an_address_of_the_other_network_is_refused_by_name() -> None:
    with pytest.raises(DecodeError, match="tneuro1"):
        address.from_text(address.to_text(ADDRESS, test=True))
    with pytest.raises(DecodeError, match="begins with tneuro1"):
        address.from_text(TEXT, test=True)


@pytest.mark.parametrize("wrong", [b"", ADDRESS[:20], ADDRESS + b"\x00", b"\x01" + ADDRESS[1:], b"\xff" * 21])
def test_other_sizes_and_versions_are_no_addresses(wrong: bytes) -> None:
    with pytest.raises(DecodeError):
        address.to_text(wrong)
    values = address._regroup(wrong, 8, 5)
    with pytest.raises(DecodeError, match=r"bytes|version"):
        address.from_text(address.bech32m_encode("neuro", values))


def test_a_second_text_of_the_same_bytes_is_refused() -> None:
    _, values = address.bech32m_decode(TEXT)
    for second in (values[:-1] + bytes([values[-1] | 1]), values + b"\x00", values + b"\x1f"):
        with pytest.raises(DecodeError, match="unused"):
            address.from_text(address.bech32m_encode("neuro", second))


def test_the_old_bech32_checksum_is_refused() -> None:
    # BIP-173 checksums differ from BIP-350 ones by a constant in the last six letters.
    values = [address.LETTERS.index(letter) for letter in TEXT[-6:]]
    difference = 1 ^ 0x2BC830A3
    old = [value ^ (difference >> 5 * (5 - i) & 31) for i, value in enumerate(values)]
    with pytest.raises(DecodeError, match="checksum"):
        address.from_text(TEXT[:-6] + "".join(address.LETTERS[value] for value in old))


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_a_named_error(text: str) -> None:
    try:
        found = address.from_text(text)
    except DecodeError:
        return
    assert address.to_text(found) == text.lower()
