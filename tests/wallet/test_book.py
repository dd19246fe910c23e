"""Names of addresses: none can be mistaken for an address, another name or a word of the program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import to_text
from tests.wallet.cases import BOB, FIRST, unhurried
from wallet.book import ENTRIES_MAXIMUM, Book, Entry, checked_name, key_of
from wallet.errors import NameRefused


def test_a_name_stands_for_one_address() -> None:
    book = Book().added("Bob", BOB)
    assert book.find("bob") == book.find("BOB") == BOB and book.name_of(BOB) == "Bob"
    assert book.find("alice") is None and book.name_of(FIRST.address) is None
    for spelling in ("Bob", "bob", "BOB", "Ｂob"):
        with pytest.raises(NameRefused, match="taken"):
            book.added(spelling, FIRST.address)


def test_an_address_has_one_name() -> None:
    with pytest.raises(NameRefused, match="as bob: remove"):
        Book().added("bob", BOB).added("robert", BOB)


def test_a_name_is_removed_however_it_is_capitalised() -> None:
    book = Book().added("bob", BOB).added("me", FIRST.address)
    assert book.removed("BOB") == Book((Entry("me", FIRST.address),))
    with pytest.raises(NameRefused, match="no such name"):
        book.removed("alice")


def test_a_name_that_stands_for_something_else_is_taken() -> None:
    with pytest.raises(NameRefused, match="taken"):
        Book().added("savings", BOB, taken=["Savings"])


def test_the_book_has_a_greatest_size() -> None:
    rows = tuple(Entry(f"n{number}", bytes([0]) + number.to_bytes(20, "big")) for number in range(ENTRIES_MAXIMUM - 1))
    full = Book(rows).added("last", BOB)
    assert len(full) == ENTRIES_MAXIMUM == len(list(full))
    with pytest.raises(NameRefused, match="all it holds"):
        full.added("more", FIRST.address)


@pytest.mark.parametrize("name", ["a", "x" * 32, "anna-maria", "Zoë", "Мама", "母親", "bob.2", "a_b", "Müller", "3rd"])
def test_usual_names_are_kept_as_they_are(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "x" * 33, "x" * 10_000, "two words", "tab\tbed", "line\nbreak", " bob", "bob ", "\u00a0bob", "bo\u200bb",
        "\u202eevil", "bob\x1b[2J", "\x00", "\ud800", "-bob", "--yes", "_x", "12", "0.5", "٣", "²", "b\u0336b",
    ],
)  # fmt: skip
def test_what_is_not_readable_as_a_name_is_refused(name: str) -> None:
    with pytest.raises(NameRefused):
        checked_name(name)


@pytest.mark.parametrize("letter", "\u115f\u1160\u3164\uffa0\u2800\U0001d159", ids=ascii)
def test_a_letter_that_is_drawn_as_nothing_makes_no_second_name_that_looks_the_same(letter: str) -> None:
    for name in (f"alice{letter}", f"ali{letter}ce", f"{letter}alice"):
        with pytest.raises(NameRefused):
            checked_name(name)


@pytest.mark.parametrize("name", ["all", "ALL", "help", "Yes", "no"])
def test_words_of_commands_are_no_names(name: str) -> None:
    with pytest.raises(NameRefused, match="something else"):
        checked_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "neuro1", "neuro1qqqq", "NEURO1abc", "tneuro1x", "neurol", "neuroI", "Neuro|q", "neuro-1x", "neur01q", "nėuro1",
        "ｎｅｕｒｏ１q", "neuro１", "n.e.u.r.o.1", to_text(BOB)[:32],
    ],
)  # fmt: skip
def test_what_looks_like_an_address_is_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="look like an address"):
        checked_name(name)


@pytest.mark.parametrize("name", ["neurо1", "bоb", "Αlice", "paypаl"], ids=ascii)
def test_letters_of_two_alphabets_that_look_the_same_are_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="alphabet"):
        checked_name(name)


def test_names_that_only_begin_alike_are_let_be() -> None:
    for name in ("neuro", "neuron", "neuro2", "Bob1"):
        assert checked_name(name) == name


@unhurried
@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_named_error(text: str) -> None:
    try:
        name = checked_name(text)
    except NameRefused:
        return
    # What is kept can be kept again, and found by each of its spellings.
    assert checked_name(name) == name and 1 <= len(name) <= 32 and name.isprintable()
    assert (
        key_of(name) == key_of(text) and Book().added(text, BOB).find(name.upper() if name.isascii() else name) == BOB
    )
