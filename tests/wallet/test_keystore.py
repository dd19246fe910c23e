"""Keystores: what is sealed opens again, with the right password only, whatever a file says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.cases import unhurried
from wallet import keystore
from wallet.errors import BadPassword, KeystoreCorrupt, KeystoreError, KeystoreTooCostly, WrongPassword

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "eip2335.json").read_text())
PASSWORD = "correct horse"
SECRET = bytes(range(16))
CHEAP = 2
SEALED = keystore.seal(SECRET, PASSWORD, "neuro1test", "my first", CHEAP)
FILE: dict[str, Any] = json.loads(keystore.to_json(SEALED))


def changed(path: str, value: Any) -> bytes:
    """The file with one value replaced, or taken out if the value is None."""
    content: dict[str, Any] = json.loads(json.dumps(FILE))
    *folders, name = path.split(".")
    place = content
    for folder in folders:
        place = place[folder]
    place[name] = value
    if value is None:
        del place[name]
    return json.dumps(content).encode()


@pytest.mark.parametrize("content", VECTORS["keystores"], ids=lambda content: content["crypto"]["kdf"]["function"])
def test_eip2335_vectors_open(content: dict[str, Any]) -> None:
    kept = keystore.parse(json.dumps(content).encode())
    assert keystore.unseal(kept, VECTORS["password"]).hex() == VECTORS["secret"]
    assert kept.description == content["description"] and kept.identity == content["uuid"]
    assert kept.address == ""


def test_a_file_keeps_everything() -> None:
    assert keystore.parse(keystore.to_json(SEALED)) == SEALED
    assert keystore.unseal(SEALED, PASSWORD) == SECRET
    other = replace(SEALED, stretching=keystore.Pbkdf2(b"salt", 5))
    assert keystore.parse(keystore.to_json(other)) == other


def test_files_have_the_shape_of_eip_2335() -> None:
    published = VECTORS["keystores"][0]
    assert set(published) - set(FILE) == {"pubkey"} and set(FILE) - set(published) == {"address"}
    for module, content in published["crypto"].items():
        ours = FILE["crypto"][module]
        assert set(ours) == set(content) and ours["function"] == content["function"]
        assert set(ours["params"]) == set(content["params"])


def test_new_keystores_cost_what_the_protocol_says() -> None:
    assert (keystore.SCRYPT_N, keystore.SCRYPT_R, keystore.SCRYPT_P) == (2**17, 8, 1)
    assert keystore.seal.__defaults__ == ("", 2**17)


def test_salt_iv_and_identity_are_new_each_time() -> None:
    again = keystore.seal(SECRET, PASSWORD, "neuro1test", "my first", CHEAP)
    assert again.stretching.salt != SEALED.stretching.salt
    assert again.iv != SEALED.iv and again.identity != SEALED.identity and again.sealed != SEALED.sealed


def test_neither_the_secret_nor_the_password_is_in_the_file_or_its_picture() -> None:
    for text in (keystore.to_json(SEALED).decode(), repr(SEALED)):
        assert SECRET.hex() not in text and repr(SECRET) not in text and PASSWORD not in text


@pytest.mark.parametrize("wrong", ["", "correct hors", "Correct horse", "correct  horse", "correct horse "])
def test_another_password_is_refused(wrong: str) -> None:
    with pytest.raises(WrongPassword):
        keystore.unseal(SEALED, wrong)


@pytest.mark.parametrize(
    ("sealed_with", "opened_with"),
    [
        ("caf\u00e9", "cafe\u0301"),
        ("\U0001d51e\U0001d51f", "ab"),
        ("pass\x7fword\x00\x1f\x80\x9f\n", "password"),
        ("two words", "two\x08 words"),
    ],
    ids=["composed", "fraktur", "control codes", "backspace"],
)
def test_passwords_are_one_whatever_the_keyboard(sealed_with: str, opened_with: str) -> None:
    kept = keystore.seal(SECRET, sealed_with, "", "", CHEAP)
    assert keystore.unseal(kept, opened_with) == SECRET
    with pytest.raises(WrongPassword):
        keystore.unseal(kept, opened_with + "\xa0")  # A hard blank is a blank, and counts.


@pytest.mark.parametrize("password", ["", "\n", "\x7f\x00", "\ud800", "x" * 1001])
def test_a_password_that_protects_nothing_is_refused(password: str) -> None:
    with pytest.raises(BadPassword):
        keystore.seal(SECRET, password, "", "", CHEAP)
    assert keystore.unseal(keystore.seal(SECRET, "x" * 1000, "", "", CHEAP), "x" * 1000) == SECRET


def test_a_changed_byte_of_the_sealed_secret_is_noticed() -> None:
    for position in range(16):
        bent = bytearray(SEALED.sealed)
        bent[position] ^= 1
        with pytest.raises(WrongPassword):
            keystore.unseal(replace(SEALED, sealed=bytes(bent)), PASSWORD)


PARAMS = "crypto.kdf.params"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{PARAMS}.n", 2**22),
        (f"{PARAMS}.n", 2**60),
        (f"{PARAMS}.n", 2**19),
        (f"{PARAMS}.r", 65),
        (f"{PARAMS}.r", 2**21),
        (f"{PARAMS}.p", 17),
        (f"{PARAMS}.p", 10**300),
    ],
)
def test_absurd_stretching_is_refused_before_any_memory_is_taken(path: str, value: int) -> None:
    with pytest.raises(KeystoreTooCostly):
        keystore.parse(changed(path, value))


def test_stretching_up_to_the_limits_is_read() -> None:
    for n, r, p in ((2**18, 8, 16), (2**15, 64, 1), (2**15, 1, 1), (2, 1, 1)):
        content = json.loads(changed(f"{PARAMS}.n", n))
        content["crypto"]["kdf"]["params"].update(r=r, p=p)
        stretching = keystore.parse(json.dumps(content).encode()).stretching
        assert stretching == replace(SEALED.stretching, n=n, r=r, p=p)


def test_the_smallest_scrypt_that_the_rules_of_r_allow_opens() -> None:
    for n, readable in ((2**15, True), (2**16, False)):
        kept = replace(SEALED, stretching=keystore.Scrypted(b"salt", n, 1, 1))
        if readable:
            with pytest.raises(WrongPassword):
                keystore.unseal(keystore.parse(keystore.to_json(kept)), PASSWORD)
        else:
            with pytest.raises(KeystoreCorrupt):
                keystore.parse(keystore.to_json(kept))


@pytest.mark.parametrize("rounds", [0, 2**24 + 1])
def test_absurd_pbkdf2_is_refused(rounds: int) -> None:
    with pytest.raises(KeystoreTooCostly):
        keystore.parse(keystore.to_json(replace(SEALED, stretching=keystore.Pbkdf2(b"salt", rounds))))


def test_want_of_memory_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Starved:
        def __init__(self, *_: Any) -> None: ...

        def derive(self, _: bytes) -> bytes:
            raise MemoryError

    monkeypatch.setattr(keystore, "Scrypt", Starved)
    kept = replace(SEALED, stretching=keystore.Scrypted(b"salt"))
    with pytest.raises(KeystoreTooCostly, match="128 MiB"):
        keystore.unseal(kept, PASSWORD)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 3),
        ("version", "4"),
        ("version", True),
        ("version", None),
        ("crypto", []),
        ("crypto", None),
        ("crypto.kdf", "scrypt"),
        ("crypto.kdf.function", "argon2"),
        ("crypto.kdf.function", 7),
        (f"{PARAMS}.dklen", 31),
        (f"{PARAMS}.dklen", 10**9),
        (f"{PARAMS}.n", 0),
        (f"{PARAMS}.n", 1),
        (f"{PARAMS}.n", 3),
        (f"{PARAMS}.n", -2),
        (f"{PARAMS}.n", True),
        (f"{PARAMS}.n", 2.0),
        (f"{PARAMS}.r", 0),
        (f"{PARAMS}.p", 0),
        (f"{PARAMS}.p", True),
        (f"{PARAMS}.p", None),
        (f"{PARAMS}.salt", ""),
        (f"{PARAMS}.salt", "zz"),
        (f"{PARAMS}.salt", "00" * 257),
        ("crypto.checksum.function", "md5"),
        ("crypto.checksum.message", "00" * 31),
        ("crypto.checksum.message", "00" * 33),
        ("crypto.cipher.function", "aes-256-ctr"),
        ("crypto.cipher.params", {}),
        ("crypto.cipher.params.iv", "00" * 15),
        ("crypto.cipher.params.iv", "00" * 17),
        ("crypto.cipher.message", ""),
        ("crypto.cipher.message", "00" * 1025),
        ("crypto.cipher.message", "\ud800"),
        ("address", 5),
        ("address", "a" * 1001),
        ("description", ["x"]),
        ("description", "\x1b[2J"),
        ("description", "two\nlines"),
        ("uuid", {}),
    ],
)
def test_a_damaged_file_is_a_named_error(path: str, value: Any) -> None:
    with pytest.raises(KeystoreCorrupt):
        keystore.parse(changed(path, value))


@pytest.mark.parametrize(
    "file",
    [b"", b"{", b"null", b"[]", b"4", b'"version"', b"\xff\xfe{}", b"[" * 60_000, b'{"version":' + b"9" * 5000 + b"}"],
    ids=["empty", "open", "null", "list", "number", "text", "not UTF-8", "deep", "long number"],
)
def test_what_is_no_keystore_is_a_named_error(file: bytes) -> None:
    with pytest.raises(KeystoreCorrupt):
        keystore.parse(file)


def test_a_file_has_a_greatest_size() -> None:
    file = keystore.to_json(SEALED)
    full = file + b" " * (keystore.MAX_FILE_BYTES - len(file))
    assert keystore.parse(full) == SEALED
    with pytest.raises(KeystoreCorrupt, match="at most"):
        keystore.parse(full + b" ")


def test_a_description_that_could_not_be_read_back_is_not_written() -> None:
    for wrong in ("x" * 1001, "two\nlines", "\x1b[0m", "\ud800"):
        with pytest.raises(KeystoreCorrupt):
            keystore.seal(SECRET, PASSWORD, "", wrong, CHEAP)
    longest = keystore.seal(SECRET, PASSWORD, "", "\U0001f511" * 1000, CHEAP)
    assert keystore.parse(keystore.to_json(longest)) == longest


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@unhurried
@given(st.sampled_from(["version", "crypto", "crypto.kdf", PARAMS, f"{PARAMS}.n", f"{PARAMS}.salt"]), json_values)
def test_strange_values_raise_the_family_or_nothing(path: str, value: Any) -> None:
    try:
        parsed = keystore.parse(changed(path, value))
    except KeystoreError:
        return
    # What is accepted is a keystore that can be written and read again.
    assert keystore.parse(keystore.to_json(parsed)) == parsed


@unhurried
@given(st.binary(max_size=200))
def test_strange_bytes_are_no_keystore(file: bytes) -> None:
    with pytest.raises(KeystoreCorrupt):
        keystore.parse(file)
