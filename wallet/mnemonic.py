"""Twelve words that are a wallet (BIP-39, English list).

The 16 bytes of entropy are the secret; the words spell them with a checksum of four bits; the seed of all keys is
PBKDF2 of the words. Typed words are brought to one form first: another form would silently open another wallet.
"""

import secrets
import unicodedata
from difflib import get_close_matches
from functools import cache

from mnemonic import Mnemonic

from wallet.errors import MnemonicError
from wallet.plain import plain

ENTROPY_BYTES = 16
WORDS = 12
SEED_BYTES = 64
MAX_TYPED = 1000
SUGGESTIONS = 3


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")


def new_entropy() -> bytes:
    """16 bytes from the operating system's generator."""
    return secrets.token_bytes(ENTROPY_BYTES)


def to_words(entropy: bytes) -> str:
    """The twelve words of 16 bytes, separated by single blanks."""
    if len(entropy) != ENTROPY_BYTES:
        raise MnemonicError(f"a wallet has {ENTROPY_BYTES} bytes of entropy, not {len(entropy)}")
    return str(_english().to_mnemonic(entropy))


def to_entropy(typed: str) -> bytes:
    """The 16 bytes that typed words spell, whatever their case and spacing. Raises MnemonicError."""
    words = _normalised(typed)
    if len(words) != WORDS:
        raise MnemonicError(f"a wallet has {WORDS} words, {len(words)} were given")
    known = set(_english().wordlist)
    for position, word in enumerate(words, start=1):
        if word not in known:
            raise MnemonicError(
                f'word {position}, "{plain(word, 40)}", is not on the list of BIP-39 words{_suggestion(word)}'
            )
    try:
        return bytes(_english().to_entropy(words))
    except ValueError:
        raise MnemonicError(
            "every word is on the list, but the checksum is wrong: compare each word and their order with your note"
        ) from None


def to_seed(words: str, passphrase: str = "") -> bytes:
    """The 64-byte seed of words as `to_words` writes them. This network's wallets have no passphrase."""
    return bytes(Mnemonic.to_seed(words, passphrase))


def _normalised(typed: str) -> list[str]:
    if len(typed) > MAX_TYPED:
        raise MnemonicError(f"{WORDS} words have at most {MAX_TYPED} characters, {len(typed)} were given")
    return unicodedata.normalize("NFKD", typed).lower().split()


def _suggestion(word: str) -> str:
    near = get_close_matches(word[:16], _english().wordlist, n=SUGGESTIONS)
    return f"; did you mean {' or '.join(near)}?" if near else ""
