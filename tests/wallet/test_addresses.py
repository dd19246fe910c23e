"""What a mistyped address can do: nothing. Every error of one character is tried, and many of several.

What BIP-350 promises is that up to four replaced characters are always found. Of lost, added and swapped ones it finds
all but about one in a billion; here none of a single one passes, because an address has one length, 21 bytes, and a
swap is two replaced characters. Not promised is anything about five errors and more: one in 2**30 passes.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import address
from chain.errors import DecodeError
from tests.wallet.cases import BOB, FIRST

# A spread: all zeros, all ones, and two of keys.
ADDRESSES = (bytes(21), b"\x00" + b"\xff" * 20, BOB, FIRST.address)
# All of ASCII, and what looks like it or hides.
CHARACTERS = [chr(code) for code in range(128)] + list("оαｑ０ı\u200b\u00a0\u0301\ud800\U0001f511é")
TEXTS = [address.to_text(raw, test) for raw in ADDRESSES for test in (False, True)]
TRIED = [address.to_text(BOB), address.to_text(BOB, True), address.to_text(FIRST.address).upper()]
some_text = st.binary(min_size=20, max_size=20).map(lambda rest: address.to_text(b"\x00" + rest))


def refused(text: str) -> bool:
    """By both networks: an error must not lead from one to the other."""
    try:
        address.bech32m_decode(text)
    except DecodeError:
        return True
    for test in (False, True):
        try:
            address.from_text(text, test)
        except DecodeError:
            continue
        return False
    return True


def replaced(text: str) -> Iterator[str]:
    for position, letter in enumerate(text):
        for other in CHARACTERS:
            if other != letter:
                yield text[:position] + other + text[position + 1 :]


def lost(text: str) -> Iterator[str]:
    yield from (text[:position] + text[position + 1 :] for position in range(len(text)))


def added(text: str) -> Iterator[str]:
    for position in range(len(text) + 1):
        yield from (text[:position] + other + text[position:] for other in CHARACTERS)


def swapped(text: str) -> Iterator[str]:
    for position in range(len(text) - 1):
        first, second = text[position : position + 2]
        if first != second:
            yield text[:position] + second + first + text[position + 2 :]


def doubled(text: str) -> Iterator[str]:
    yield from (text[: position + 1] + text[position:] for position in range(len(text)))


@pytest.mark.parametrize("errors", [replaced, lost, added, swapped, doubled], ids=lambda each: each.__name__)
@pytest.mark.parametrize("text", TRIED)
def test_every_error_of_one_character_is_refused(text: str, errors: Callable[[str], Iterator[str]]) -> None:
    """An upper-case letter in a lower-case address is an error as well; a `t` before it leads nowhere."""
    tried = list(errors(text))
    assert len(tried) >= 40 and not refused(text)
    assert [wrong for wrong in tried if not refused(wrong)] == []


def test_one_character_less_or_more_is_refused_by_its_length_whatever_the_checksum_says() -> None:
    _, values = address.bech32m_decode(address.to_text(BOB))
    for wrong in (values[:-1], *(values + bytes([value]) for value in range(32))):
        with pytest.raises(DecodeError):
            address.from_text(address.bech32m_encode("neuro", wrong))


@settings(max_examples=150, deadline=None)
@given(some_text, st.data())
def test_up_to_four_replaced_characters_are_refused(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(6, len(text) - 1), min_size=1, max_size=4, unique=True))
    letters = list(text)
    for place in places:
        letters[place] = data.draw(st.sampled_from([each for each in address.LETTERS if each != letters[place]]))
    assert refused("".join(letters))


def test_the_four_errors_that_the_code_promises_are_its_limit_and_not_ours() -> None:
    """Two addresses differ in more than four letters: nothing short of that leads from one to another."""
    for one in TEXTS:
        for other in TEXTS:
            if one != other and len(one) == len(other):
                assert sum(a != b for a, b in zip(one, other, strict=True)) > 4
