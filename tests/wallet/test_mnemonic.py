"""Typed words: forgiving about form, strict about content, helpful about both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.cases import unhurried
from wallet import mnemonic
from wallet.errors import MnemonicError

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ENTROPY = b"\x7f" * 16


@pytest.mark.parametrize(
    "typed",
    [
        WORDS.upper(),
        WORDS.title(),
        "  " + WORDS.replace(" ", "\t\n  ") + "\r\n",
        WORDS.replace(" ", "\u3000"),
        WORDS.replace(" ", "\u00a0"),
        "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in WORDS),
    ],
    ids=["upper", "title", "blanks", "ideographic blanks", "hard blanks", "full-width letters"],
)
def test_form_does_not_open_another_wallet(typed: str) -> None:
    assert mnemonic.to_entropy(typed) == ENTROPY


@unhurried
@given(st.binary(min_size=16, max_size=16))
def test_words_and_entropy_are_one_to_one(entropy: bytes) -> None:
    words = mnemonic.to_words(entropy)
    assert len(words.split()) == 12
    assert mnemonic.to_entropy(words) == entropy


def test_a_wrong_checksum_says_what_to_do() -> None:
    for wrong in (WORDS.replace("yellow", "year"), "winner legal " + WORDS[13:]):
        with pytest.raises(MnemonicError, match="checksum is wrong: compare"):
            mnemonic.to_entropy(wrong)


@pytest.mark.parametrize(("typed", "near"), [("winer", "winner"), ("yelow", "yellow"), ("sausagge", "sausage")])
def test_an_unknown_word_is_named_with_its_neighbours(typed: str, near: str) -> None:
    with pytest.raises(MnemonicError, match=f'"{typed}".*did you mean.*{near}'):
        mnemonic.to_entropy(WORDS.replace(near, typed))


def test_a_word_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(MnemonicError, match=r'word 12, "xqzxqz", is not on the list of BIP-39 words$'):
        mnemonic.to_entropy(WORDS.replace("yellow", "xqzxqz"))


def test_an_error_names_no_word_but_the_wrong_one() -> None:
    with pytest.raises(MnemonicError) as refused:
        mnemonic.to_entropy(WORDS.replace("useful", "usefull"))
    assert not {"legal", "winner", "sausage", "yellow"} & set(str(refused.value).split())


@pytest.mark.parametrize("count", [0, 1, 11, 13, 24])
def test_a_wallet_has_twelve_words(count: int) -> None:
    with pytest.raises(MnemonicError, match=f"12 words, {count} were"):
        mnemonic.to_entropy(" ".join(["abandon"] * count))


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_wallet_has_sixteen_bytes(size: int) -> None:
    with pytest.raises(MnemonicError, match="16 bytes"):
        mnemonic.to_words(bytes(size))


def test_endless_text_is_refused_unread() -> None:
    assert mnemonic.to_entropy(WORDS + " " * (1000 - len(WORDS))) == ENTROPY
    with pytest.raises(MnemonicError, match="1001 were given"):
        mnemonic.to_entropy(WORDS + " " * (1001 - len(WORDS)))


@unhurried
@given(st.text(max_size=200))
def test_any_text_is_a_wallet_or_a_named_error(typed: str) -> None:
    with pytest.raises(MnemonicError):
        mnemonic.to_entropy(typed)


def test_new_wallets_differ() -> None:
    assert mnemonic.new_entropy() != mnemonic.new_entropy()
    assert len(mnemonic.new_entropy()) == 16
