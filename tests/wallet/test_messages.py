"""Signed texts: they prove who said what, and are nothing that a ledger or a validator could take."""

import ast
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import address_of, to_text
from chain.crypto import ecdsa, hashing
from chain.crypto.hashing import tagged_hash
from tests.wallet.cases import ACTIONS, BOB, CHAIN, FIRST, KEY, OTHER, SECRET, drafted, unhurried
from wallet import messages
from wallet.errors import MessageError
from wallet.messages import SignedMessage, check, digest_of, read_block, sign_message
from wallet.signing import sign

ROOT = Path(__file__).parents[2]
SIGNED = sign_message("I own this address.\nReally.", SECRET)


def test_a_signed_text_says_who_signed_it() -> None:
    block = SIGNED.to_block()
    assert read_block(block) == SIGNED and SIGNED.address == FIRST.address
    assert to_text(FIRST.address) in block and "I own this address.\nReally." in block
    check(SIGNED, FIRST.address)
    with pytest.raises(MessageError, match="not of"):
        check(SIGNED, BOB)


def test_a_changed_character_of_a_block_is_noticed_or_changes_nothing() -> None:
    block = SIGNED.to_block()
    for position in range(len(block) - 1):
        for letter in "q0 \n":
            bent = block[:position] + letter + block[position + 1 :]
            try:
                assert read_block(bent) == SIGNED
            except MessageError:
                assert bent != block
            else:
                # What may differ is white space around the lines that are ours.
                assert bent == block or letter in " \n"


def test_every_changed_byte_of_the_signature_is_noticed() -> None:
    for position in range(64):
        bent = bytearray(SIGNED.signature)
        bent[position] ^= 1
        with pytest.raises(MessageError, match="does not fit"):
            check(replace(SIGNED, signature=bytes(bent)), FIRST.address)


def test_the_signature_of_one_key_is_none_of_another() -> None:
    theirs = ecdsa.public_key(OTHER.wallet_key())
    with pytest.raises(MessageError, match="does not fit"):
        check(replace(SIGNED, public_key=theirs), OTHER.address())


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a\n\n", " blanks ", "ünïcödé \U0001f511", messages.HEAD, messages.END, messages.MIDDLE + "\naddress: x",
     SIGNED.to_block(), "\x1b[2J", "\x00"],
)  # fmt: skip
def test_any_text_can_be_signed_and_read_back(text: str) -> None:
    assert read_block(sign_message(text, SECRET).to_block()).text == text


def test_the_second_key_that_every_signature_fits_is_refused() -> None:
    """Each signature of a digest fits a second key. Here the digest holds the key, so the second one fails."""
    coincurve = pytest.importorskip("coincurve")
    digest = digest_of(SIGNED.text, KEY)
    fitting = [
        coincurve.PublicKey.from_signature_and_message(SIGNED.signature + bytes([number]), digest, hasher=None).format()
        for number in (0, 1)
    ]
    [other] = [key for key in fitting if key != KEY]
    assert ecdsa.verify(other, digest, SIGNED.signature)
    with pytest.raises(MessageError, match="does not fit"):
        check(SignedMessage(SIGNED.text, other, SIGNED.signature), address_of(other))


def test_the_digest_is_that_of_the_document() -> None:
    tag = b"neuroshard/message/1"
    assert digest_of("a\r\nü", KEY) == sha256(bytes([len(tag)]) + tag + KEY + "a\nü".encode()).digest()


def test_line_ends_may_change_on_the_way() -> None:
    block = SIGNED.to_block()
    for changed in (
        block.replace("\n", "\r\n"),
        block.replace("\n", "\r"),
        "\n\n" + block + "\n\n",
        block.rstrip("\n"),
    ):
        assert read_block(changed) == SIGNED
    assert sign_message("a\r\nb", SECRET) == sign_message("a\nb", SECRET)


def test_a_text_has_a_greatest_size() -> None:
    most = "x" * messages.TEXT_BYTES_MAXIMUM
    assert read_block(sign_message(most, SECRET).to_block()).text == most
    for wrong in (most + "x", "ü" * (messages.TEXT_BYTES_MAXIMUM // 2 + 1)):
        with pytest.raises(MessageError, match="at most"):
            sign_message(wrong, SECRET)
    with pytest.raises(MessageError, match="at most"):
        read_block("x" * (messages.BLOCK_CHARACTERS_MAXIMUM + 1))


def test_what_is_no_text_or_no_key_is_a_named_error() -> None:
    with pytest.raises(MessageError, match="not text"):
        sign_message("\ud800", SECRET)
    for secret in (bytes(32), b"", bytes(33)):
        with pytest.raises(MessageError):
            sign_message("text", secret)


@pytest.mark.parametrize("missing", range(-5, 0))
def test_a_block_without_one_of_its_lines_is_a_named_error(missing: int) -> None:
    lines = SIGNED.to_block().splitlines()
    del lines[missing]
    with pytest.raises(MessageError):
        read_block("\n".join(lines))


@unhurried
@given(st.text(max_size=300))
def test_any_text_is_a_block_or_a_named_error(text: str) -> None:
    for block in (text, f"{messages.HEAD}\n{text}\n{messages.MIDDLE}\n{text}\n{messages.END}"):
        with pytest.raises(MessageError):
            read_block(block)


# ---- The domain


def tags_of(package: str) -> set[str]:
    """The names that a package gives to `tagged_hash`."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)) if "tagged_hash" in source else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "tagged_hash":
                first = node.args[0]
                found.add(first.value if isinstance(first, ast.Constant) else ast.unparse(first))
    return found


def test_the_tag_of_messages_is_nobody_elses() -> None:
    others = set().union(*(tags_of(package) for package in ("chain", "consensus", "network", "node", "training")))
    assert len(others) > 30 and "transaction" in others and "vote" in others and "message" not in others
    # A chain id may be made of a network file here as well as there.
    assert tags_of("wallet") - {"chain"} == {"message"}


def test_no_other_digest_of_the_protocol_is_made_of_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hash begins with the length of its tag and the tag, so two of different tags never hash the same bytes."""
    hashed: list[bytes] = []
    real = hashing.sha256

    def listening(data: bytes = b"") -> object:
        hashed.append(bytes(data))
        return real(data)

    monkeypatch.setattr(hashing, "sha256", listening)
    digest_of("text", KEY)
    tagged_hash("messages", KEY, b"text")
    tagged_hash("transaction", CHAIN, KEY)
    begin = [data[1 : 1 + data[0]] for data in hashed]
    assert begin == [b"neuroshard/message/1", b"neuroshard/messages/1", b"neuroshard/transaction/1"]


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.__name__)
def test_a_signed_transaction_is_no_signed_message_and_the_other_way_round(kind: type) -> None:
    unsigned = drafted(ACTIONS[kind]())
    # Even if somebody is talked into signing the very bytes of a transaction as a text.
    for text in (unsigned.raw.hex(), unsigned.raw.decode("latin-1"), (CHAIN + unsigned.raw).decode("latin-1")):
        said = sign_message(text, SECRET)
        assert not ecdsa.verify(KEY, unsigned.id, said.signature)
        signature = sign(unsigned, SECRET).signature
        with pytest.raises(MessageError):
            check(SignedMessage(said.text, KEY, signature), FIRST.address)
