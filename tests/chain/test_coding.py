"""The code made for a type is what its layout means: the same bytes, objects, and words about bad bytes."""

import copy
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import Block
from chain.codec import U8, U16, U32, U128, Address, Flag, Hash, Var, Wire
from chain.errors import DecodeError
from chain.transactions import Transaction, Transfer
from tests.builders import ALICE, BOB, a_training_chain, a_transfer, named
from tests.chain import interpreted_codec
from tests.chain.test_codec import KINDS, OBJECTS, edited, mutations


def result_of(call: Any, *args: Any) -> tuple[type, Any]:
    """What a call gives, or which error with which words."""
    try:
        value = call(*args)
    except (DecodeError, OverflowError) as error:
        return type(error), str(error)
    return type(value), value


def same_decision(kind: type[Wire], data: bytes) -> None:
    found, expected = result_of(kind.decode, data), result_of(interpreted_codec.decode, kind, data)
    assert found == expected
    if isinstance(expected[1], kind):
        # By the interpreter: an object that remembers its bytes would only repeat them.
        assert interpreted_codec.encode(found[1]) == found[1].encode() == data


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_type_is_written_and_read_as_its_layout_says_and_refused_in_the_same_words(kind):
    @settings(max_examples=25, deadline=None, database=None)
    @given(st.data())
    def agree(data):
        value = data.draw(OBJECTS[kind])
        encoded = value.encode()
        assert encoded == interpreted_codec.encode(value)
        same_decision(kind, encoded)
        same_decision(kind, data.draw(mutations(encoded)))
        same_decision(kind, encoded[: data.draw(st.integers(0, len(encoded)))])
        same_decision(kind, data.draw(st.binary(max_size=200)))

    agree()


@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_a_damaged_block_is_refused_in_the_same_words(real_block, data):
    same_decision(Block, edited(real_block, data.draw(EDITS)))


EDITS = st.lists(st.tuples(st.integers(0, 1300), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def real_block() -> bytes:
    chain = a_training_chain()
    chain.fund(ALICE, 10**9)
    return chain.build([a_transfer(chain, 1), a_transfer(chain, 2, nonce=2)]).encode()


@dataclass(frozen=True, slots=True)
class Fields(Wire):
    """Every kind of field of fixed size in one run, lists of numbers, and a run after something that varies."""

    small: U8
    flag: Flag
    payee: Address
    root: Hash
    amount: U128
    name: Annotated[bytes, Var(3)]
    last: U16
    numbers: Annotated[tuple[U32, ...], 3]
    large: Annotated[tuple[U128, ...], 2]


GOOD = Fields(1, True, ALICE.address, named("root"), 2**127, b"abc", 513, (0, 2**32 - 1), (2**128 - 1,))


def test_a_run_of_fields_has_the_bytes_of_its_fields():
    assert GOOD.encode() == interpreted_codec.encode(GOOD)
    assert Fields.decode(GOOD.encode()) == GOOD


def test_every_truncation_and_every_flipped_byte_is_judged_in_the_same_words():
    encoded = GOOD.encode()
    for at in range(len(encoded)):
        same_decision(Fields, encoded[:at])
        same_decision(Fields, encoded[:at] + bytes((encoded[at] ^ 0xFF,)) + encoded[at + 1 :])
        # A fault before the end of the bytes comes first.
        same_decision(Fields, b"\xff" * at)
    same_decision(Fields, encoded + b"\x00")


@pytest.mark.parametrize(
    "changes",
    [
        {"small": 256},
        {"small": -1},
        {"last": 2**16},
        {"amount": 2**128},
        {"amount": -1},
        {"payee": ALICE.address[:-1]},
        {"payee": b"\x01" + ALICE.address[1:]},
        {"root": bytes(31)},
        {"root": bytes(33)},
        {"name": b"abcd"},
        {"numbers": (1, 2**32)},
        {"numbers": (1, -1)},
        {"numbers": (1, 2, 3, 4)},
        {"large": (2**128,)},
        {"large": (1, 2, 3)},
    ],
    ids=str,
)
def test_what_no_field_can_hold_has_no_bytes(changes):
    wrong = replace(GOOD, **changes)
    kind, _ = result_of(interpreted_codec.encode, wrong)
    assert kind in (DecodeError, OverflowError)
    assert result_of(wrong.encode)[0] is kind


# ---- Objects that remember their bytes and digest

CHAIN, OTHER_CHAIN = named("chain"), named("other chain")
TRANSFER = Transaction(ALICE.public, 1, 2, 3, Transfer(BOB.address, 4), bytes(64))


def test_what_was_remembered_does_not_reach_a_changed_copy():
    encoded, identity = TRANSFER.encode(), TRANSFER.id(CHAIN)
    changed = replace(TRANSFER, nonce=5)
    assert changed.encode() == interpreted_codec.encode(changed) != encoded
    assert changed.id(CHAIN) != identity
    assert replace(changed, nonce=1).id(CHAIN) == identity


def test_an_id_is_of_the_chain_that_is_asked_for_each_time():
    first, other = TRANSFER.id(CHAIN), TRANSFER.id(OTHER_CHAIN)
    fresh = Transaction.decode(interpreted_codec.encode(TRANSFER))
    assert first != other
    assert (fresh.id(OTHER_CHAIN), fresh.id(CHAIN), TRANSFER.id(CHAIN)) == (other, first, first)


def test_memory_is_no_part_of_an_object():
    fresh = Transaction(*(getattr(TRANSFER, name) for name in TRANSFER.__dataclass_fields__))
    TRANSFER.id(CHAIN)
    assert fresh == TRANSFER
    assert hash(fresh) == hash(TRANSFER)
    assert copy.copy(TRANSFER).encode() == TRANSFER.encode()


def test_the_bytes_of_a_transaction_in_a_block_are_its_own():
    data = b"\x00" * 7 + TRANSFER.encode() + b"\x01" * 9
    found, end = Transaction.read(data, 7)
    assert (found, end) == (TRANSFER, len(data) - 9)
    assert found.encode() == interpreted_codec.encode(TRANSFER)
